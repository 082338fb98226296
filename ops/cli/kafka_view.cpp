#include "ops/cli/kafka_view.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include "ops/runtime/log.hpp"
#include "ops/runtime/run_task.hpp"
#include "ops/runtime/thread.hpp"

namespace assay::cli {
namespace {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

constexpr std::chrono::milliseconds open_limit{5'000}, answer_limit{2'000}, ask_first{2}, ask_max{50}, drain_look{10},
    follow_limit{250};
constexpr std::chrono::milliseconds sinks_every{1'000};
constexpr std::chrono::minutes everything_every{1}, others_every{1};

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
  if (others_ && Steady::now() < ask_again_) return Error::log_changed;
  if (!sources_) {
    auto opened = KafkaSources::open(kafka_.config, open_limit);
    if (!opened) {
      spdlog::warn("event=view_waits problem=\"{}\"", opened.error());
      return Error::log_unavailable;
    }
    sources_ = std::move(*opened);
  }
  auto source = sources_->open(std::move(starts));
  // Asking takes seconds, in which a stop would have to wait, and topics that are others do not become those of before.
  others_ = !source && source.error() == Error::corrupt;
  if (!others_) return source;
  ask_again_ = Steady::now() + others_every;
  spdlog::error(
      "event=view_of_other_topics problem=\"the topics hold less than this view has read of them: they have been made "
      "anew\" act=\"stop this door when its spool is empty, remove its --data directory, start it again\"");
  return Error::log_changed;
}

KafkaView::KafkaView(const KafkaOptions& kafka, DoorLog& door, KeyValue& db, const ViewAges& ages, ViewCutoffs& cutoffs,
                     const Clock& clock, Metrics& metrics)
    : kafka_(kafka),
      door_(door),
      cutoffs_(cutoffs),
      clock_(clock),
      sources_(kafka, door),
      store_sink_(db, clock, nullptr, ages.retention),
      state_sink_(db),
      store_committer_(sources_, store_sink_, metrics, {.progress = &progress_}),
      state_committer_(sources_, state_sink_, metrics, {.progress = &progress_}),
      view_(db, door.log(), [this](std::chrono::milliseconds limit) { return applied(limit); }),
      round_({.accepted = [this] { return accepted(); },
              .committed = [this](auto of) { return resolver_->committed(of, answer_limit); },
              .ends = [this] { return written(); },
              .followed = [this](const auto& ends) { return followed(ends, round_io_); }}),
      everything_({.accepted = [this] { return logged(); },
                   .committed = [this](auto of) { return resolver_->committed(of, answer_limit); },
                   .ends = [this] { return written(); },
                   .followed = [this](const auto& ends) { return followed(ends, everything_io_); }}) {
  view_.forget_told_before([this] { return cutoffs_.told_since(); });
  view_.add_sink("mlflow", [this](StreamPartition of) -> std::optional<Offset> {
    std::scoped_lock lock(mutex_);
    return place_of_sink(mlflow_offsets_, of);
  });
}

std::optional<Offset> place_of_sink(const KafkaOffsets::Offsets& committed, StreamPartition of) {
  if (committed.empty()) return {};
  const auto at = committed.find(of);
  return at == committed.end() ? 0 : at->second;
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
  sinks_watcher_ = std::jthread([this](std::stop_token stop) { watch_sinks(stop); });
  return {};
}

void KafkaView::stop() {
  for (auto* const thread : {&watcher_, &sinks_watcher_}) thread->request_stop();
  for (auto* const thread : {&watcher_, &sinks_watcher_})
    if (thread->joinable()) thread->join();
  store_committer_.stop();
  state_committer_.stop();
}

Result<void> KafkaView::caught_up(std::int64_t lag_max) const {
  if (sources_.others()) return Error::log_changed;
  if (!door_.reachable()) return {};  // the lag is that of when Kafka was last there
  if (!store_committer_.opened() || !state_committer_.opened())
    return door_.direct() ? Error::log_unavailable : Result<void>();
  if (store_committer_.lag() + state_committer_.lag() > lag_max) return Error::timed_out;
  return {};
}

bool KafkaView::live() const {
  return !store_committer_.stuck() && !state_committer_.stuck() && !round_step_.stalled() && !sinks_step_.stalled();
}

std::vector<StreamPartition> KafkaView::all(std::initializer_list<Stream> streams) const {
  std::vector<StreamPartition> out;
  for (const auto stream : streams)
    for (Partition p = 0; p < door_.log().partitions(stream); ++p) out.push_back({stream, p});
  return out;
}

Task<Result<void>> KafkaView::applied(std::chrono::milliseconds limit) {
  const auto deadline = Steady::now() + limit;
  const auto drained = co_await until_drained(door_.spooled(), deadline);
  if (!drained) co_return drained;
  const auto version = door_.acknowledged().version();
  if (reached_ >= version) co_return Result<void>();
  std::optional<Waiting> waiting;
  {
    std::scoped_lock lock(mutex_);  // of both that the watcher looks at before it sleeps
    wanted_ = std::max(wanted_.load(), version);
    waiting.emplace(waiting_);
  }
  wake_.notify_all();
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Steady::now());
  co_return co_await settled_.wait(version, std::max(left, 0ms));
}

// What this door has accepted and Kafka has not can't be read; while Kafka is away nobody is kept waiting for it.
// What is accepted later is not waited for: under load the spool may not be empty for long.
Task<Result<void>> KafkaView::until_drained(Offset spooled, Steady::time_point deadline) {
  if (door_.drained(spooled)) co_return Result<void>();
  const auto executor = co_await asio::this_coro::executor;
  Timer timer(executor);
  while (!door_.drained(spooled)) {
    if (!door_.reachable()) co_return Result<void>(Error::log_unavailable);
    if (Steady::now() >= deadline) co_return Result<void>(Error::timed_out);
    timer.expires_after(drain_look);
    co_await timer.async_wait(as_result);
  }
  co_return Result<void>();
}

void KafkaView::watch(std::stop_token stop) {
  auto pause = ask_first;
  while (!stop.stop_requested()) {
    if (std::unique_lock lock(mutex_); !wake_.wait(lock, stop, [this] { return wanted(); })) return;
    std::optional<std::int64_t> version;
    round_step_.begin();
    try {
      version = round_.look();
    } catch (const std::exception& e) {
      spdlog::error("event=view_round_failed problem=\"{}\" act=\"try again\"", e.what());
    }
    round_step_.end();
    if (version) {
      reached_ = *version;
      settled_.reach(*version);
      pause = ask_first;
      continue;
    }
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, stop, pause, [] { return false; });
    pause = std::min(2 * pause, ask_max);
  }
}

// The version first: what comes between the two is in the next one.
ViewRound::Accepted KafkaView::accepted() const {
  const auto version = door_.acknowledged().version();
  return {version, door_.acknowledged().all()};
}

Result<KafkaOffsets::Offsets> KafkaView::written() const {
  return resolver_->ends(all({Stream::assessments, Stream::parked, Stream::deadletters}), answer_limit);
}

// The followers here have applied everything up to these.
bool KafkaView::followed(const KafkaOffsets::Offsets& ends, IoContext& io) {
  auto wait = [&]() -> Task<bool> {
    const auto deadline = Steady::now() + follow_limit;
    for (const auto& [where, end] : ends) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Steady::now());
      if (!co_await progress_.wait(Follower::store, where, end, std::max(left, 0ms))) co_return false;
    }
    co_return true;
  };
  return run_task(io, wait());
}

// On a thread of its own: brokers that don't answer would keep readers waiting.
void KafkaView::watch_sinks(std::stop_token stop) {
  do {
    const StallWatch::Step looking(sinks_step_);
    try {
      look_at_sinks();
      look_whether_all_is_seen();
    } catch (const std::exception& e) {
      spdlog::error("event=view_sinks_not_seen problem=\"{}\" act=\"try again\"", e.what());
    }
  } while (sleep_unless_stopped(stop, sinks_every));
}

void KafkaView::look_at_sinks() {
  const auto where = all({Stream::assessments});
  auto committed = mlflow_->committed(where, answer_limit);
  if (!committed) return;
  std::scoped_lock lock(mutex_);
  mlflow_offsets_ = std::move(*committed);
}

// By all doors, as of now; as of the epoch while the brokers don't answer.
ViewRound::Accepted KafkaView::logged() const {
  const auto now = clock_.now();
  auto ends = resolver_->ends(all({Stream::feedback, Stream::requests, Stream::traces}), answer_limit);
  if (!ends) return {0, {}};
  return {now.time_since_epoch().count(), std::move(*ends)};
}

void KafkaView::look_whether_all_is_seen() {
  if (!cutoffs_.drops_tombstones() || Steady::now() < everything_next_) return;
  const auto seen = everything_.look();
  if (!seen) return;
  everything_next_ = Steady::now() + everything_every;
  if (*seen > 0) cutoffs_.all_seen(Instant(std::chrono::milliseconds(*seen)));
}

}  // namespace assay::cli
