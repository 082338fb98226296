#pragma once
// Where in a store and a worker's state something stands that one user said.
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "ops/runtime/result.hpp"
#include "storage/log/event_source.hpp"
#include "storage/state/key_value.hpp"

namespace assay::cli {

struct SaidBy {
  struct Assessment {
    std::string id, trace_id;
  };
  struct Parked {
    std::string record_id, assessment_id, id;
    bool by_trace_id = false;
    std::string expires_at;  // empty: not parked, on its way there or to its trace
  };
  struct DatasetEntry {
    std::string dataset_id, record_id;
  };
  std::vector<Assessment> assessments;        // its source is the user
  std::vector<std::string> traces;            // the user asked: mlflow.trace.user
  std::vector<Parked> parked;                 // feedback of the user that waits for its trace
  std::vector<Parked> in_flight;              // accepted, and not resolved yet
  std::vector<std::string> dead_letters;      // by record_id
  std::vector<DatasetEntry> dataset_records;  // made of one of the user's traces, or by the user
};

bool is_said_by(std::string_view assessment, const std::string& user);  // MLflow's JSON of it: the source's id
bool is_asked_by(std::string_view trace_info, const std::string& user);

// What a record of the catalog is, if it is a dataset's record that was made of one of these traces, or by the user.
std::optional<SaidBy::DatasetEntry> copied_from(std::string_view catalog_value, const std::set<std::string>& traces,
                                                const std::string& user);

// Reads all of it, from beginning to end. `gone`: traces of the user's that are not there any more. Leaves in_flight
// empty: that is the log's.
Result<SaidBy> find_said_by(const KeyValue& kv, const std::string& user, std::span<const std::string> gone = {});

// Of a parked record that is a create of the user's.
std::optional<SaidBy::Parked> parked_by(std::string_view parked_value, const std::string& user);

// The user's feedback that the resolver has not come to: behind `resolved`, by partition.
using ResolvedTo = std::map<Partition, Offset>;
Result<std::vector<SaidBy::Parked>> find_in_flight(EventSources& log, const ResolvedTo& resolved,
                                                   const std::string& user);

}  // namespace assay::cli
