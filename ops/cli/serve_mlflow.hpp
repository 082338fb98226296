#pragma once
// The MLflow behind `assay serve`: the sink with its committer, and the feeder. Where the flags name none there is none
// of these, and nothing is done.
#include <memory>
#include <optional>
#include <string>

#include "ops/cli/dead_letter_acts.hpp"
#include "ops/cli/mlflow_options.hpp"
#include "storage/db/db.hpp"
#include "storage/log/embedded_log.hpp"
#include "storage/sinks/positions.hpp"
#include "storage/view/store_view.hpp"
#include "workers/committer.hpp"

namespace assay::cli {

class ServeMlflow {
 public:
  struct Parts {
    const std::string directory;
    Db& db;
    EmbeddedLog& log;
    const DeadLetterActs& acts;
    StoreView& view;
    const Clock& clock;
    Metrics& metrics;
  };
  // All outlives it.
  ServeMlflow(const MlflowOptions& options, const Parts& parts);

  // Once, before anybody reads the view. What stands against it, in a sentence.
  std::optional<std::string> open();
  void start();
  void stop();  // for good

  // None: null. Its applied() is thread-safe.
  const AssessmentSink* sink() const { return sink_.get(); }
  // For /livez. Thread-safe.
  bool stuck() const;

 private:
  const MlflowOptions& options_;
  const Parts parts_;
  KeyValuePositions positions_;
  std::unique_ptr<AssessmentSink> sink_;
  std::unique_ptr<Committer> committer_;
  std::unique_ptr<Feeder> feeder_;
};

}  // namespace assay::cli
