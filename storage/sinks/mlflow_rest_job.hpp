#pragma once
// A record on its way into MLflow, and what came of saying it there.
#include <cstddef>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ops/runtime/clock.hpp"
#include "ops/runtime/error.hpp"
#include "storage/log/event_source.hpp"
#include "storage/records/assessment_record.hpp"

namespace assay::mlflow {

// What the marks do not say of a trace's record.
struct TraceNews {
  bool deleted = false;
  std::vector<std::string> removed_tags = {};
  std::vector<std::string> spans = {};  // their ids
};

// How often MLflow failed at it and answered others, and since when.
struct Trouble {
  int breaks = 0;
  Instant since = {};
};

enum class Outcome {
  applied,     // it has ended, as these three
  duplicate,   // it changes nothing
  dead,        // MLflow will never take it
  waits,       // MLflow does not have its trace, or its create
  gathers,     // a long trace, of which all was said a moment ago
  broke,       // a 500 in MLflow's own words
  silent,      // no answer of MLflow's own
  unanswered,  // one of these two, and MLflow answers others: it waits beside those
  again,       // with all of its lane: MLflow is in trouble, or this machine is
};
inline bool has_failed(Outcome outcome) { return outcome == Outcome::broke || outcome == Outcome::silent; }
inline bool has_to_wait(Outcome outcome) { return outcome == Outcome::waits || outcome == Outcome::unanswered; }

// A record that has not ended.
struct Job {
  StreamPartition of;
  Offset offset;
  std::variant<TraceNews, AssessmentRecord> record;
  std::optional<Instant> waits_since = {};
  Trouble trouble = {};
  std::optional<Outcome> said = {};  // it is in MLflow, and ends with the tag of its trace: or a stop could lose that
};

struct Written {
  Outcome outcome;
  std::string why = {};     // in a sentence
  error_code failure = {};  // this machine's
  Instant gathers_to = {};  // where it gathers
};

}  // namespace assay::mlflow
