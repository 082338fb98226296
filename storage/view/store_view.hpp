#pragma once
// The View of a process that has it all in one place: the resolver's state, the store and the log they follow.
#include <functional>
#include <vector>

#include "storage/log/event_log.hpp"
#include "storage/log/progress.hpp"
#include "storage/records/dead_letter_record.hpp"
#include "storage/sinks/assessment_sink.hpp"
#include "storage/store/store.hpp"
#include "storage/store/view.hpp"

namespace assay {

class StoreView final : public View {
 public:
  // `kv` holds both the resolver's state and the store. `end`: one past the last durable record; thread-safe.
  StoreView(const KeyValue& kv, const EventLog& log, Progress& progress, std::function<Offset(StreamPartition)> end);
  // The same where resolver and sinks are elsewhere: `applied` waits as View::applied does.
  using Applied = std::function<Task<Result<void>>(std::chrono::milliseconds limit)>;
  StoreView(const KeyValue& kv, const EventLog& log, Applied applied)
      : kv_(kv), store_(kv), log_(log), applied_(std::move(applied)) {}

  // Another sink whose state receipts tell: one past the last record of the partition that it has; none: nobody knows.
  // Before anybody reads; thread-safe.
  using SinkApplied = std::function<std::optional<Offset>(StreamPartition)>;
  void add_sink(std::string name, SinkApplied applied) {
    sinks_.push_back({std::move(name), std::move(applied), nullptr});
  }
  // `sink` outlives the view; its applied() is thread-safe.
  void add_sink(std::string name, const AssessmentSink& sink) {
    sinks_.push_back({std::move(name), [&sink](StreamPartition of) { return std::optional(sink.applied(of)); }, &sink});
  }

  // Ids that were told before this count as unknown, as they do where feedback is resolved: or what is answered as
  // known would be parked, and expire. Before anybody reads; thread-safe.
  void forget_told_before(std::function<Instant()> since) { told_since_ = std::move(since); }

  Result<std::optional<std::string>> trace_of(std::string_view id) override;
  Instant told_since() const override { return told_since_(); }
  Task<Result<void>> applied(std::chrono::milliseconds limit) override { return applied_(limit); }
  Task<Result<void>> sunk(std::chrono::milliseconds limit) override;
  Result<std::optional<Receipt>> receipt(std::string_view assessment_id) override;
  Result<std::optional<std::string>> assessment(std::string_view assessment_id) override {
    return store_.assessment(assessment_id);
  }
  Result<bool> deleted(std::string_view trace_id) override { return store_.deleted(trace_id); }
  const KeyValue& kv() const override { return kv_; }
  Result<std::optional<std::string>> trace_info(std::string_view trace_id) override {
    return store_.trace_info(trace_id);
  }
  Result<std::string> report(const std::string& experiment, Instant from, Instant now,
                             const std::function<bool()>& go_on) override;

 private:
  struct OtherSink {
    std::string name;
    SinkApplied applied;
    const AssessmentSink* here;  // null where it is in another process
  };
  Result<std::optional<Receipt>> committed(std::string_view assessment_id) const;
  Receipt deleted(std::string_view assessment_id, std::string_view trace_id) const;
  Result<std::optional<Receipt>> parked(std::string_view assessment_id) const;
  Result<std::optional<Receipt>> taken_back(std::string_view assessment_id) const;
  Result<std::optional<Receipt>> dead(std::string_view assessment_id) const;
  Result<std::optional<DeadLetter>> letter_of(std::string_view assessment_id) const;

  const KeyValue& kv_;
  const Store store_;
  const EventLog& log_;
  const Applied applied_;
  std::function<Offset(StreamPartition)> end_;  // one past the last durable record, where this process has the log
  std::function<Instant()> told_since_ = [] { return Instant::min(); };
  std::vector<OtherSink> sinks_;
};

}  // namespace assay
