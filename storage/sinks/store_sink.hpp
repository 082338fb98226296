#pragma once
// The embedded store as a sink: one batch of records, its positions and its ledgers in one KeyValue::write.
#include <map>
#include <mutex>

#include "ops/runtime/clock.hpp"
#include "ops/runtime/metrics.hpp"
#include "storage/sinks/assessment_sink.hpp"
#include "storage/sinks/positions.hpp"
#include "storage/state/key_value.hpp"

namespace assay {

class StoreSink final : public AssessmentSink {
 public:
  // The only writer of the store's families in `kv`. Metric: assay_sink_commit_seconds{sink}.
  StoreSink(KeyValue& kv, const Clock& clock, Metrics* metrics = nullptr);

  std::string_view name() const override { return "store"; }
  std::vector<Stream> follows() const override {
    return {Stream::traces, Stream::assessments, Stream::deadletters, Stream::catalog};
  }
  Result<Offset> position(StreamPartition of) override;
  Result<void> apply(std::span<const LogRecord> records) override;
  Offset applied(StreamPartition of) const override;
  SinkLedger ledger() const override;
  // Of one partition of assay.assessments.
  SinkLedger ledger(Partition partition) const;

 private:
  KeyValue& kv_;
  const Clock& clock_;
  Histogram* const commit_seconds_;
  bool tombstones_ = false;  // whether a trace was ever deleted
  mutable std::mutex mutex_;
  std::map<StreamPartition, Offset> applied_;
  std::map<Partition, SinkLedger> ledgers_;
};

}  // namespace assay
