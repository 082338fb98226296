#include "ops/cli/kafka_view.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include "ops/runtime/log.hpp"

namespace assay::cli {
namespace {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

constexpr std::chrono::milliseconds open_limit{5'000}, answer_limit{2'000}, ask_first{2}, ask_max{50}, drain_look{10},
    follow_limit{1'000};
constexpr std::chrono::milliseconds sinks_every{1'000};
constexpr StreamPartition one_place{Stream::feedback, 0};

struct Waiting {
  explicit Waiting(std::atomic<std::int64_t>& c) : count(c) { ++count; }
  ~Waiting() { --count; }
  Waiting(const Waiting&) = delete;
  std::atomic<std::int64_t>& count;
};

}  // namespace

Result<std::unique_ptr<EventSource>> LazyKafkaSources::open(std::vector<StartAt> starts) {
  if (!door_.opened()) return Error::log_unavailable;
  std::scoped_lock lock(mutex_);
  if (!sources_) {
    auto opened = KafkaSources::open(kafka_.config, open_limit);
    if (!opened) {
      spdlog::warn("event=view_waits problem=\"{}\"", opened.error());
      return Error::log_unavailable;
    }
    sources_ = std::move(*opened);
  }
  return sources_->open(std::move(starts));
}

KafkaView::KafkaView(const KafkaOptions& kafka, DoorLog& door, KeyValue& db, const Clock& clock, Metrics& metrics)
    : kafka_(kafka),
      door_(door),
      sources_(kafka, door),
      store_sink_(db, clock),
      state_sink_(db),
      store_committer_(sources_, store_sink_, metrics, {.progress = &progress_}),
      state_committer_(sources_, state_sink_, metrics, {.progress = &progress_}),
      view_(db, door.log(), [this](std::chrono::milliseconds limit) { return applied(limit); }) {
  view_.add_sink("mlflow", [this](StreamPartition of) -> std::optional<Offset> {
    std::scoped_lock lock(mutex_);
    const auto at = mlflow_offsets_.find(of);
    return at == mlflow_offsets_.end() ? std::nullopt : std::optional(at->second);
  });
}

KafkaView::~KafkaView() { stop(); }

Result<void, std::string> KafkaView::start() {
  for (auto* const group : {&resolver_, &mlflow_}) {
    auto opened = KafkaOffsets::open(kafka_.config, group == &resolver_ ? "resolve" : "sink-mlflow");
    if (!opened) return opened.error();
    *group = std::move(*opened);
  }
  store_committer_.start();
  state_committer_.start();
  watcher_ = std::jthread([this](std::stop_token stop) { watch(stop); });
  return {};
}

void KafkaView::stop() {
  watcher_.request_stop();
  wake_.notify_all();
  if (watcher_.joinable()) watcher_.join();
  store_committer_.stop();
  state_committer_.stop();
}

Result<void> KafkaView::caught_up(std::int64_t lag_max) const {
  if (!store_committer_.opened() || !state_committer_.opened())
    return door_.direct() ? Error::log_unavailable : Result<void>();
  if (store_committer_.lag() + state_committer_.lag() > lag_max) return Error::timed_out;
  return {};
}

std::vector<StreamPartition> KafkaView::all(std::initializer_list<Stream> streams) const {
  std::vector<StreamPartition> out;
  for (const auto stream : streams)
    for (Partition p = 0; p < door_.log().partitions(stream); ++p) out.push_back({stream, p});
  return out;
}

Task<Result<void>> KafkaView::applied(std::chrono::milliseconds limit) {
  const auto deadline = Steady::now() + limit;
  if (!door_.drained()) {
    const auto drained = co_await until_drained(deadline);
    if (!drained) co_return drained;
  }
  const auto version = door_.acknowledged().version();
  if (reached_ >= version) co_return Result<void>();
  {
    std::scoped_lock lock(mutex_);
    wanted_ = std::max(wanted_.load(), version);
  }
  const Waiting waiting(waiting_);
  wake_.notify_all();
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Steady::now());
  co_return co_await settled_.wait(Follower::store, one_place, version, std::max(left, 0ms));
}

// What this door has accepted and Kafka has not can't be read; while Kafka is away nobody is kept waiting for it.
Task<Result<void>> KafkaView::until_drained(Steady::time_point deadline) {
  const auto executor = co_await asio::this_coro::executor;
  Timer timer(executor);
  while (!door_.drained()) {
    if (!door_.reachable()) co_return Result<void>(Error::log_unavailable);
    if (Steady::now() >= deadline) co_return Result<void>(Error::timed_out);
    timer.expires_after(drain_look);
    co_await timer.async_wait(as_result);
  }
  co_return Result<void>();
}

void KafkaView::watch(std::stop_token stop) {
  auto looked = Steady::now() - sinks_every;
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, stop, sinks_every, [this] { return wanted(); });
    }
    if (stop.stop_requested()) return;
    if (Steady::now() - looked >= sinks_every) {
      look_at_sinks();
      looked = Steady::now();
    }
    if (wanted() && !settle(stop)) {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, stop, 100ms, [] { return false; });
    }
  }
}

// One round for all who wait by now. False: the brokers, or the workers, did not get there; the next round tries anew.
bool KafkaView::settle(std::stop_token stop) {
  const auto version = door_.acknowledged().version();
  const auto own = door_.acknowledged().all();
  if (!decided(own, stop)) return false;
  const auto written = all({Stream::assessments, Stream::parked, Stream::deadletters});
  auto ends = resolver_->ends(written, answer_limit);
  if (!ends) return false;
  for (const auto& [where, end] : own)
    if (where.stream == Stream::traces || where.stream == Stream::requests) (*ends)[where] = end;
  if (!followed(*ends, stop)) return false;
  reached_ = version;
  settled_.advance(Follower::store, one_place, version);
  return true;
}

// The workers have decided what this door has appended to assay.feedback.
bool KafkaView::decided(const std::map<StreamPartition, Offset>& own, std::stop_token stop) {
  std::vector<StreamPartition> asked;
  for (const auto& [where, end] : own)
    if (where.stream == Stream::feedback) asked.push_back(where);
  const auto deadline = Steady::now() + follow_limit;
  auto pause = ask_first;
  while (!asked.empty()) {
    const auto committed = resolver_->committed(asked, answer_limit);
    if (!committed) return false;
    std::erase_if(asked, [&](StreamPartition where) {
      const auto at = committed->find(where);
      return at != committed->end() && at->second >= own.at(where);
    });
    if (asked.empty()) break;
    if (stop.stop_requested() || Steady::now() >= deadline) return false;
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, ask_max);
  }
  return true;
}

// The followers here have applied everything up to these.
bool KafkaView::followed(const KafkaOffsets::Offsets& ends, std::stop_token stop) {
  bool all_there = true;
  auto wait = [&]() -> Task<void> {
    const auto deadline = Steady::now() + follow_limit;
    for (const auto& [where, end] : ends) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Steady::now());
      const auto done = co_await progress_.wait(Follower::store, where, end, std::max(left, 0ms));
      all_there = all_there && done;
      if (!all_there || stop.stop_requested()) co_return;
    }
  };
  IoContext io(1);
  asio::co_spawn(io, std::move(wait), [](std::exception_ptr thrown) {
    if (thrown) std::rethrow_exception(thrown);
  });
  io.run();
  return all_there && !stop.stop_requested();
}

void KafkaView::look_at_sinks() {
  const auto where = all({Stream::assessments});
  auto committed = mlflow_->committed(where, answer_limit);
  if (!committed) return;
  std::scoped_lock lock(mutex_);
  mlflow_offsets_ = std::move(*committed);
}

}  // namespace assay::cli
