#pragma once
// What stands on assay.assessments, assay.traces, assay.parked and assay.catalog that may be one user's, and was not
// deleted there. Records may come in any order, but for those of one key: a deletion is final, wherever it stands.
#include "ops/cli/said_by.hpp"

namespace assay::cli {

class Standing {
 public:
  // `ids` are added to; both outlive this.
  Standing(const std::string& user, UsersIds& ids) : user_(user), ids_(ids) {}

  void add_assessment(const LogRecord& record);
  void add_trace(const LogRecord& record);
  void add_parked(const LogRecord& record);
  // After all traces: what was made of a trace is known by that.
  void add_catalog(const LogRecord& record);

  // To be kept, as find_said_by()'s.
  SaidBy said() &&;

 private:
  const std::string& user_;
  UsersIds& ids_;
  std::map<std::string, std::string> assessments_;  // id → trace_id
  std::set<std::string> erased_;                    // of assessments
  std::set<std::string> traces_, deleted_;
  std::map<std::string, SaidBy::Parked> parked_;
  std::map<std::string, SaidBy::DatasetEntry> dataset_records_;  // by key: dataset/ID/RECORD; '0' comes behind '/'
};

}  // namespace assay::cli
