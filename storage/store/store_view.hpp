#pragma once
// The View of a process that has it all in one place: the resolver's state, the store and the log they follow.
#include <functional>
#include <vector>

#include "storage/log/event_log.hpp"
#include "storage/log/progress.hpp"
#include "storage/sinks/assessment_sink.hpp"
#include "storage/store/store.hpp"
#include "storage/store/view.hpp"

namespace assay {

class StoreView final : public View {
 public:
  // `kv` holds both the resolver's state and the store. `end`: one past the last durable record; thread-safe.
  StoreView(const KeyValue& kv, const EventLog& log, Progress& progress, std::function<Offset(StreamPartition)> end)
      : kv_(kv), store_(kv), log_(log), progress_(progress), end_(std::move(end)) {}

  // Another sink whose state receipts tell. Before anybody reads. `sink` outlives the view; its applied() is
  // thread-safe.
  void add_sink(std::string name, const AssessmentSink& sink) { sinks_.push_back({std::move(name), &sink}); }

  Result<std::optional<std::string>> trace_of(std::string_view id) override;
  Task<Result<void>> applied(std::chrono::milliseconds limit) override;
  Result<std::optional<Receipt>> receipt(std::string_view assessment_id) override;
  Result<std::optional<std::string>> assessment(std::string_view assessment_id) override {
    return store_.assessment(assessment_id);
  }
  Result<bool> deleted(std::string_view trace_id) override { return store_.deleted(trace_id); }
  const KeyValue& kv() const override { return kv_; }
  Result<std::optional<std::string>> trace_info(std::string_view trace_id) override {
    return store_.trace_info(trace_id);
  }
  Result<std::string> report(const std::string& experiment, Instant from, Instant to) override;

 private:
  struct OtherSink {
    std::string name;
    const AssessmentSink* sink;
  };
  Result<std::optional<Receipt>> committed(std::string_view assessment_id) const;
  Receipt deleted(std::string_view assessment_id, std::string_view trace_id) const;
  Result<std::optional<Receipt>> parked(std::string_view assessment_id) const;
  Result<std::optional<Receipt>> dead(std::string_view assessment_id) const;
  Task<Result<void>> reached(Follower who, std::vector<Stream> streams, std::chrono::steady_clock::time_point deadline);

  const KeyValue& kv_;
  const Store store_;
  const EventLog& log_;
  Progress& progress_;
  const std::function<Offset(StreamPartition)> end_;
  std::vector<OtherSink> sinks_;
};

}  // namespace assay
