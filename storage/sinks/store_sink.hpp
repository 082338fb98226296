#pragma once
// The embedded store as a sink: one batch of records, its positions and its ledgers in one KeyValue::write.
#include <map>
#include <mutex>
#include <optional>

#include "ops/runtime/clock.hpp"
#include "ops/runtime/metrics.hpp"
#include "storage/sinks/assessment_sink.hpp"
#include "storage/sinks/positions.hpp"
#include "storage/state/key_value.hpp"
#include "storage/store/aggregates_upkeep.hpp"
#include "storage/store/batch.hpp"

namespace assay {

class StoreSink final : public AssessmentSink {
 public:
  // The only writer of the store's families in `kv`. Metric: assay_sink_commit_seconds{sink}. A trace whose
  // request_time is longer ago than `retention` goes, with what was said of it, as if it had been deleted; so does one
  // that nobody has told of, by what was said of it first. Zero: never.
  StoreSink(KeyValue& kv, const Clock& clock, Metrics* metrics = nullptr, std::chrono::milliseconds retention = {});

  std::string_view name() const override { return "store"; }
  std::vector<Stream> follows() const override {
    return {Stream::traces, Stream::assessments, Stream::deadletters, Stream::catalog};
  }
  Result<Offset> position(StreamPartition of) override;
  // Of no records, too: then it only looks whether something has expired, or has still to be summed up.
  Result<void> apply(std::span<const LogRecord> records) override;
  Offset applied(StreamPartition of) const override;
  SinkLedger ledger() const override;
  // Of one partition of assay.assessments.
  SinkLedger ledger(Partition partition) const;

 private:
  Result<void> expire();
  StoreBatch::SummedUp summed_up() const {
    return [this](const std::string& trace_id) { return upkeep_.covers(trace_id); };
  }

  KeyValue& kv_;
  const Clock& clock_;
  Histogram* const commit_seconds_;
  const std::chrono::milliseconds retention_;
  AggregatesUpkeep upkeep_;
  static constexpr std::string_view of_experiments = "e";  // begins the index of traces by experiment and time
  std::optional<Instant> looked_at_;                       // for what has expired
  std::string expired_to_{of_experiments};                 // in this look
  bool tombstones_ = false;                                // whether a trace was ever deleted
  mutable std::mutex mutex_;
  std::map<StreamPartition, Offset> applied_;
  std::map<Partition, SinkLedger> ledgers_;
};

}  // namespace assay
