#pragma once
// What workers elsewhere know, followed into a store beside a front door: which trace an id names (assay.requests), and
// what is parked (its changelog). So a view answers as the resolver would. One batch and its positions in one write.
#include <map>
#include <mutex>

#include "storage/sinks/assessment_sink.hpp"
#include "storage/state/key_value.hpp"

namespace assay {

class StateSink final : public AssessmentSink {
 public:
  // The only writer of the index and the parked in `kv`.
  explicit StateSink(KeyValue& kv) : kv_(kv) {}

  std::string_view name() const override { return "state"; }
  std::vector<Stream> follows() const override { return {Stream::requests, Stream::parked}; }
  Result<Offset> position(StreamPartition of) override;
  Result<void> apply(std::span<const LogRecord> records) override;
  Offset applied(StreamPartition of) const override;
  SinkLedger ledger() const override { return {}; }  // of assay.assessments, which it does not follow

 private:
  KeyValue& kv_;
  mutable std::mutex mutex_;
  std::map<StreamPartition, Offset> applied_;
};

}  // namespace assay
