#pragma once
// For an application that logs its traces straight to an MLflow server and only feedback to us: finds them there by
// time and tells assay.requests which trace an id names, so that their feedback is resolved and what is parked for them
// is released.
//
// A trace stands under the time it began, but comes when it has ended: now and then the whole window of the last
// `overlap` is read, in between only what is newest. How far it came is kept, so that it goes on there. What began
// before the window is found when something in this process waits for it, which is asked for by its id, some at a time,
// in turn; else by how long it took, once in a window's time.
//
// Of several traces of one name the last record wins, so they are said in the order in which they began, and what the
// index knows is not said again: a name would go back to an older trace, or from one of ours that MLflow does not have
// yet.
#include <atomic>
#include <boost/asio/cancellation_signal.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <unordered_set>

#include "ops/runtime/clock.hpp"
#include "ops/runtime/metrics.hpp"
#include "storage/log/event_log.hpp"
#include "storage/log/stall_watch.hpp"
#include "storage/sinks/mlflow_client.hpp"
#include "storage/sinks/mlflow_search.hpp"
#include "storage/state/key_value.hpp"

namespace assay {

// How far it came: milliseconds since the epoch, in decimal, in Family::meta. DO NOT CHANGE.
inline constexpr const char* feeder_position_key = "feeder/mlflow";

struct FeederConfig {
  MlflowConfig mlflow;                            // its rates hold for the feeder alone
  std::chrono::milliseconds interval{2'000};      // between two looks at what is newest
  std::chrono::milliseconds whole_every{30'000};  // between two readings of the whole window
  std::chrono::milliseconds overlap = std::chrono::minutes(15);
  std::chrono::milliseconds first_look_back = std::chrono::hours(24);  // where it was never before
  std::size_t known_max = 200'000;  // traces remembered as said; and what is gathered of one question, of pages
  std::size_t asked_max = 100;      // ids that something waits for, at each reading of the whole window
  // One question, for /livez: it may be put off five times, for a minute.
  std::chrono::milliseconds stuck_after = std::chrono::minutes(15);
};

// What this process knows of ids.
struct FeederIndex {
  // Visits the workers' states that are here: of all partitions, or of some.
  using Visit = std::function<void(Partition partition, const KeyValue& state)>;
  std::function<void(const Visit& visit)> states = [](const Visit&) {};
  // Returns when they have what was acknowledged before, as far as that can be known.
  std::function<Task<Result<void>>()> applied = []() -> Task<Result<void>> { co_return Result<void>(); };
};

class Feeder {
 public:
  // All outlive it. `local` keeps how far it came.
  Feeder(FeederConfig config, EventLog& log, KeyValue& local, const Clock& clock, Metrics& metrics,
         FeederIndex index = {});
  ~Feeder();  // stops

  void start();
  void stop();

  // One look, for tests: of the whole window, or of what is newest. The number of traces that were said.
  Result<std::size_t> look(bool whole);

  // For /livez: one question, or the append of what it brought, hangs. Thread-safe.
  bool stuck() const { return question_.stalled(); }

  // That it waits in: it must outlive this a little, where the log's threads go on. See run_task.hpp.
  std::shared_ptr<IoContext> context() const { return io_; }

  // What MLflow has answered to the question that the last look failed at; empty: it was not one of MLflow's.
  const std::string& refusal() const { return refusal_; }

 private:
  Result<std::size_t> look_or_fail(bool whole);
  Task<Result<std::size_t>> look_once(bool whole);
  Result<std::vector<std::string>> whole_filters(Instant now, Instant since);
  Task<Result<std::size_t>> read_all(const std::vector<std::string>& experiments, const std::string& filter);
  Task<Result<std::size_t>> read_newest(const std::vector<std::string>& experiments, Instant since);
  Task<Result<std::vector<std::string>>> experiments();
  Task<Result<mlflow::TracesPage>> search(const std::vector<std::string>& experiments, std::string filter,
                                          mlflow::Order order, std::string token);
  Result<void> turn_page(std::string& token, std::string next, std::size_t gathered);
  Task<Result<std::string>> ask(const char* path, std::string body);
  Task<Result<std::size_t>> append_found(std::vector<mlflow::FoundTrace> oldest_first);
  Result<std::set<std::string>> known_of(const std::vector<std::string>& ids) const;
  Result<std::vector<std::string>> next_waiting();
  static std::string key_of(const mlflow::FoundTrace& trace);
  bool is_fresh(const mlflow::FoundTrace& trace) const { return !known_.contains(key_of(trace)); }
  void remember(std::string key);
  bool long_ones_due(Instant now) const { return now >= long_ones_at_ || now + config_.overlap < long_ones_at_; }
  Result<Instant> since() const;
  Result<void> save_position(Instant at);

  const FeederConfig config_;
  EventLog& log_;
  KeyValue& local_;
  const FeederIndex index_;
  const Clock& clock_;
  std::unordered_set<std::string> known_;
  std::deque<std::string> known_order_;
  std::pair<Partition, std::string> wait_cursor_;  // of what waits
  Instant long_ones_at_{};                         // when what took long is looked for again
  Counter &fed_total_, &failures_total_;
  const std::shared_ptr<IoContext> io_ = std::make_shared<IoContext>(1);
  MlflowClient client_;
  std::string refusal_;
  asio::cancellation_signal cancel_;
  StallWatch question_;
  std::atomic<bool> stopped_{false};
  std::jthread thread_;
};

}  // namespace assay
