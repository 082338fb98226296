// EmbeddedLog: a worker's step.
#include "storage/log/embedded_numbering.hpp"

namespace assay {

class EmbeddedCommitter final : public StepCommitter {
 public:
  explicit EmbeddedCommitter(EmbeddedLog& log) : log_(log) {}

  StepOutcome commit(Step& step) override {
    EmbeddedLog::Numbering::Streams streams{};
    for (const auto& record : step.outputs)
      if (record.stream != Stream::parked) streams[static_cast<std::size_t>(record.stream)] = true;
    EmbeddedLog::Numbering numbering(log_, streams);
    Changes changes = std::move(step.state);
    for (const auto& record : step.outputs)
      if (record.stream != Stream::parked) numbering.add(record, numbering.partition_of(record), changes);
    if (!log_.db_.write(changes)) return StepOutcome::aborted;
    numbering.keep();
    numbering.publish();
    return StepOutcome::committed;
  }

 private:
  EmbeddedLog& log_;
};

std::unique_ptr<StepCommitter> EmbeddedLog::committer() { return std::make_unique<EmbeddedCommitter>(*this); }

}  // namespace assay
