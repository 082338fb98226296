#pragma once
// For an application that logs its traces straight to an MLflow server and only feedback to us: finds them there by
// time and tells assay.requests which trace an id names, so that their feedback is resolved and what is parked for them
// is released.
//
// A trace stands under the time it began, but comes when it has ended: now and then the whole window of the last
// `overlap` is read, in between only what is newest. How far it came is kept, so that it goes on there. Saying a trace
// twice is harmless: assay.requests is compacted, and the same record says the same.
#include <atomic>
#include <boost/asio/cancellation_signal.hpp>
#include <deque>
#include <string>
#include <thread>
#include <unordered_set>

#include "ops/runtime/clock.hpp"
#include "ops/runtime/metrics.hpp"
#include "storage/log/event_log.hpp"
#include "storage/sinks/mlflow_client.hpp"
#include "storage/state/key_value.hpp"

namespace assay {

struct FeederConfig {
  MlflowConfig mlflow;                            // its rates hold for the feeder alone
  std::chrono::milliseconds interval{2'000};      // between two looks at what is newest
  std::chrono::milliseconds whole_every{30'000};  // between two readings of the whole window
  std::chrono::milliseconds overlap = std::chrono::minutes(15);
  std::chrono::milliseconds first_look_back = std::chrono::hours(24);  // where it was never before
  std::size_t known_max = 200'000;                                     // traces remembered as said
};

class Feeder {
 public:
  // All outlive it. `local` keeps how far it came.
  Feeder(FeederConfig config, EventLog& log, KeyValue& local, const Clock& clock, Metrics& metrics);
  ~Feeder();  // stops

  void start();
  void stop();

  // One look, for tests: of the whole window, or of what is newest. The number of traces that were said.
  Result<std::size_t> look(bool whole);

 private:
  struct Found {
    std::string trace_id;
    std::vector<std::string> request_ids;
  };
  struct Page {
    std::vector<Found> traces;
    std::string next;
  };
  Task<Result<std::size_t>> look_once(bool whole);
  Task<Result<std::vector<std::string>>> experiments();
  Task<Result<Page>> search(const std::vector<std::string>& experiments, Instant since, std::string token);
  Task<Result<std::size_t>> say(const std::vector<Found>& traces);
  static std::string key_of(const Found& trace);
  void remember(std::string key);
  Result<Instant> since() const;
  Result<void> came_to(Instant at);

  const FeederConfig config_;
  EventLog& log_;
  KeyValue& local_;
  const Clock& clock_;
  std::unordered_set<std::string> known_;
  std::deque<std::string> known_order_;
  Counter &fed_total_, &failures_total_;
  IoContext io_{1};
  MlflowClient client_;
  asio::cancellation_signal cancel_;
  std::atomic<bool> stopped_{false};
  std::jthread thread_;
};

}  // namespace assay
