#pragma once
// Recounts assay.assessments against a real MLflow server, trace by trace: what was created and not deleted, by itself
// or with its trace, must be shown, what was deleted must not.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "storage/log/event_source.hpp"
#include "storage/sinks/mlflow_client.hpp"

namespace assay {

// Of one partition of assay.assessments, in assessments.
struct MlflowCount {
  std::int64_t logged = 0;
  std::int64_t shown = 0;
  std::int64_t deleted = 0;    // and not shown
  std::int64_t held = 0;       // changes without a create
  std::int64_t dead = 0;       // the sink gave them up: a dead letter says why
  std::int64_t in_flight = 0;  // behind the sink's position
  std::int64_t unaccounted = 0;
};

struct MlflowRecount {
  std::map<Partition, MlflowCount> partitions;
  std::vector<std::string> examples;  // of what is wrong, in words, the first few
  std::int64_t unaccounted() const;
};

struct MlflowRecountInput {
  EventSources& log;
  MlflowConfig mlflow;
  std::map<StreamPartition, Offset> positions;  // of the sink, in both streams; a partition without: 0
  std::set<std::string, std::less<>> dead;      // assessment ids that the sink gave up
  std::size_t requests_max = 16;                // in flight
};

// An error is a sentence. Memory: all ids of assay.assessments. One request for each trace.
Result<MlflowRecount, std::string> recount(const MlflowRecountInput& input);

std::string to_text(const MlflowRecount& found);
std::string to_json(const MlflowRecount& found);  // one object

}  // namespace assay
