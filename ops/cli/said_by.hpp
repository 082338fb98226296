#pragma once
// Where in a store and a worker's state something stands that one user said.
#include <string>
#include <vector>

#include "ops/runtime/result.hpp"
#include "storage/state/key_value.hpp"

namespace assay::cli {

struct SaidBy {
  struct Assessment {
    std::string id, trace_id;
  };
  struct Parked {
    std::string record_id, assessment_id, id;
    bool by_trace_id = false;
    std::string expires_at;
  };
  std::vector<Assessment> assessments;    // its source is the user
  std::vector<std::string> traces;        // the user asked: mlflow.trace.user
  std::vector<Parked> parked;             // feedback of the user that waits for its trace
  std::vector<std::string> dead_letters;  // by record_id
  bool empty() const { return assessments.empty() && traces.empty() && parked.empty() && dead_letters.empty(); }
};

// Reads all of it, from beginning to end.
Result<SaidBy> find_said_by(const KeyValue& kv, const std::string& user);

}  // namespace assay::cli
