#pragma once
// Where in a store, a worker's state and the log something stands that one user said.
//
// A create names its user, a trace names who asked. A change and a copy do not: they are the user's by the id that they
// are about. So all that may be the user's is collected first, with the ids that tell, and then what is not is dropped.
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ops/runtime/result.hpp"
#include "storage/log/event_source.hpp"
#include "storage/state/key_value.hpp"

namespace assay::cli {

// What is known to be the user's, also of what was taken back meanwhile.
struct UsersIds {
  std::set<std::string> assessments, traces;
};

struct SaidBy {
  struct Assessment {
    std::string id, trace_id;
  };
  struct Letter {
    std::string record_id, assessment_id;
  };
  struct Parked {
    std::string record_id, assessment_id, id;
    bool by_trace_id = false;
    std::string expires_at;  // empty: not parked, on its way there or to its trace
  };
  struct DatasetEntry {
    std::string dataset_id, record_id;
  };
  std::vector<Assessment> assessments;  // its source is the user; or changes of it, which a sink holds for it
  std::vector<std::string> traces;      // the user asked: mlflow.trace.user
  std::vector<Parked> parked;           // feedback of the user that waits for its trace, and changes, with their words
  std::vector<Parked> in_flight;        // accepted, and not resolved yet
  std::vector<Letter> dead_letters;
  std::vector<DatasetEntry> dataset_records;  // made of one of the user's traces, or by the user

  // Drops what is about assessments of others.
  void keep(const std::set<std::string>& assessments_of_the_user);
};

bool is_said_by(std::string_view assessment, const std::string& user);  // MLflow's JSON of it: the source's id
bool is_asked_by(std::string_view trace_info, const std::string& user);

// What a record of the catalog is, if it is a dataset's record that was made of one of these traces, or by the user.
std::optional<SaidBy::DatasetEntry> copied_from(std::string_view catalog_value, const std::set<std::string>& traces,
                                                const std::string& user);

// Reads all of it, from beginning to end, and adds to `ids`. What it returns is to be kept. Leaves in_flight empty:
// that is the log's.
Result<SaidBy> find_said_by(const KeyValue& kv, const std::string& user, UsersIds& ids);

// Of a parked record that may be the user's. None of what was taken back: it has no words left.
std::optional<SaidBy::Parked> parked_by(std::string_view parked_value, const std::string& user, UsersIds& ids);

// What may be the user's feedback that the resolver has not come to: behind `resolved`, by partition. Reads all that
// the log has of the feedback, and adds to `ids`.
using ResolvedTo = std::map<Partition, Offset>;
Result<std::vector<SaidBy::Parked>> find_in_flight(EventSources& log, const ResolvedTo& resolved,
                                                   const std::string& user, UsersIds& ids);

}  // namespace assay::cli
