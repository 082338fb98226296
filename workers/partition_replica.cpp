#include "workers/partition_replica.hpp"

#include <filesystem>
#include <utility>

#include "ops/runtime/log.hpp"
#include "storage/state/partition_state.hpp"
#include "storage/state/seen.hpp"
#include "storage/state/state_keys.hpp"

namespace assay {
namespace {

using Steady = std::chrono::steady_clock;
constexpr std::chrono::milliseconds wait_max{200};  // for records; wake() ends it
// After a failure. Short, because it is what a partition stands still when the brokers are back.
constexpr std::chrono::milliseconds backoff_first{50}, backoff_max{1'000};
constexpr int corrupt_max = 2;                      // a state that can't be read so often is built anew
constexpr std::chrono::minutes corrupt_within{10};  // steps that don't meet what is broken may go well in between
constexpr int unheard_max = 15;  // looks in a row at a position that nobody tells; an owner that was killed in a step
                                 // holds it back for as long as its session lasts
constexpr std::chrono::minutes flush_every{5};  // bounds what a kill -9 makes us read again

}  // namespace

PartitionReplica::PartitionReplica(ReplicaConfig config, Parts parts, Role role,
                                   std::shared_ptr<PartitionReplica> predecessor)
    : config_(std::move(config)),
      parts_(std::move(parts)),
      role_(role),
      step_(config_.step_max),
      flushed_(Steady::now()),
      predecessor_(std::move(predecessor)),
      thread_([this](std::stop_token stop) { run(stop); }) {}

PartitionReplica::~PartitionReplica() { end(); }

void PartitionReplica::end() {
  thread_.request_stop();
  std::scoped_lock lock(mutex_);
  ending_ = true;
  if (loop_) loop_->stop();
}

void PartitionReplica::become(Role role) {
  std::scoped_lock lock(mutex_);
  if (role_ == role) return;
  role_ = role;
  // A copy may be up to date and an owner not yet.
  if (role != Role::paused) caught_up_ = false;
  if (loop_) loop_->wake();
  changed_.notify_all();
}

void PartitionReplica::wait_settled() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return role_ == Role::owner || !stepping_; });
}

PartitionReplica::Role PartitionReplica::role() const {
  std::scoped_lock lock(mutex_);
  return role_;
}

std::uint64_t PartitionReplica::bytes_on_disk() const {
  std::scoped_lock lock(mutex_);
  return db_ ? db_->bytes_on_disk() : 0;
}

void PartitionReplica::run(std::stop_token stop) {
  // Who still holds it has nothing to wait for.
  if (predecessor_) predecessor_->wait_ended();
  predecessor_.reset();
  Backoff backoff(backoff_first, backoff_max);
  while (!stop.stop_requested()) {
    Role role;
    {
      std::scoped_lock lock(mutex_);
      role = role_;
      stepping_ = role == Role::owner && loop_ && loop_->is_open();
      if (stepping_) step_.begin();
    }
    const auto done = turn_or_close(role);
    {
      std::scoped_lock lock(mutex_);
      stepping_ = false;
    }
    step_.end();
    changed_.notify_all();
    if (done) {
      if (*done == Turn::done) {
        backoff.reset();
        failing_ = false;
      }
      if (role == Role::paused) rest(stop, std::chrono::hours(1), role);
      if (role == Role::standby) rest(stop, config_.follow_every, role);
      continue;
    }
    if (stop.stop_requested()) break;
    if (done.error() == Error::corrupt && count_corrupt()) {
      spdlog::error("event=state_unreadable partition={} act=\"throw away and rebuild\"", config_.loop.partition);
      throw_state_away();
    }
    failing_ = true;
    const auto pause = backoff.next();
    spdlog::warn("event=resolver_failed partition={} error=\"{}\" retry_ms={}", config_.loop.partition,
                 done.error().message(), pause.count());
    rest(stop, pause, role);
  }
  close_database();
  std::scoped_lock lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

// Whether it is enough.
bool PartitionReplica::count_corrupt() {
  const auto now = Steady::now();
  if (now - std::exchange(corrupt_at_, now) > corrupt_within) corrupt_ = 0;
  if (++corrupt_ < corrupt_max) return false;
  corrupt_ = 0;
  return true;
}

void PartitionReplica::wait_ended() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return ended_.load(); });
}

// Until the limit, the end, or another role.
bool PartitionReplica::rest(std::stop_token stop, std::chrono::milliseconds limit, Role unless_left) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, stop, limit, [&] { return role_ != unless_left; });
}

// What is thrown (the system has no thread, no memory) is a failure as any other: nothing in memory survives it.
Result<PartitionReplica::Turn> PartitionReplica::turn_or_close(Role role) {
  try {
    return turn(role);
  } catch (const std::exception& e) {
    spdlog::error("event=partition_failed partition={} problem=\"{}\"", config_.loop.partition, e.what());
    close_database();
    return Error::storage_failed;
  }
}

Result<PartitionReplica::Turn> PartitionReplica::turn(Role role) {
  if (role == Role::paused) return Turn::done;
  if (!db_)
    if (auto opened = open_database(); !opened) return opened.error();
  if (!loop_->is_open() && is_stale()) {
    spdlog::warn("event=state_stale partition={} act=\"throw away and rebuild\"", config_.loop.partition);
    throw_state_away();
    if (auto opened = open_database(); !opened) return opened.error();
  }
  told_since_ = told_since(config_.loop.policy, parts_.clock.now());
  if (Steady::now() - flushed_ > flush_every) {
    flushed_ = Steady::now();
    if (auto flushed = db_->flush(); !flushed) return flushed.error();
    set_seen_cutoff();
  }
  if (role == Role::owner) return own();
  if (auto followed = follow(); !followed) return followed.error();
  return Turn::done;
}

// One step, or on the way to it.
Result<PartitionReplica::Turn> PartitionReplica::own() {
  if (!loop_->is_open()) {
    if (auto opened = loop_->open(); !opened) {
      loop_->close();
      return opened.error();
    }
    return Turn::nearer;
  }
  const auto ran = loop_->run_once(wait_max);
  if (!ran) return ran.error();
  // Who slept believes it is up to date until its first step, which its successor has fenced.
  const bool slept = loop_->caught_up() && is_stale();
  if (slept) loop_->close();
  caught_up_ = loop_->caught_up();
  if (caught_up_)
    if (auto noted = note_caught_up(); !noted) return noted.error();
  return *ran == PartitionLoop::Ran::joined ? Turn::nearer : Turn::done;
}

Result<void> PartitionReplica::follow() {
  if (loop_->is_open()) loop_->close();
  const auto committed = parts_.committed();
  if (!committed && committed.error() == Error::log_unavailable && ++unheard_ < unheard_max) return {};
  if (!committed) {
    caught_up_ = false;
    return committed.error();
  }
  unheard_ = 0;
  if (auto followed = loop_->follow(*committed); !followed) return followed;
  caught_up_ = true;
  return note_caught_up();
}

// When it was, once a minute.
Result<void> PartitionReplica::note_caught_up() {
  const auto now = parts_.clock.now();
  if (now >= fresh_at_ && now - fresh_at_ < std::chrono::minutes(1)) return {};
  return note_fresh(*db_, now);
}

Result<void> PartitionReplica::note_fresh(Db& db, Instant now) {
  fresh_at_ = now;
  Changes changes;
  changes.put(Family::meta, state::meta_key(config_.loop.partition, state::fresh_at),
              big_endian(static_cast<std::uint64_t>(now.time_since_epoch().count())));
  return db.write(changes);
}

bool PartitionReplica::is_stale() const {
  return fresh_at_ != Instant() && parts_.clock.now() - fresh_at_ > config_.stale_after;
}

// What compaction may drop: see seen_may_go. By what is flushed: after a kill -9 the state is as of then, and whether
// the log is its own is known by the entries of what stands before its position.
void PartitionReplica::set_seen_cutoff() {
  const auto accepted_max = loop_->is_open() ? loop_->meta().accepted_max : loop_->restored_accepted_max();
  seen_since_ = accepted_max - config_.loop.policy.dedupe_window;
}

Result<void> PartitionReplica::open_database() {
  DbConfig db{.directory = config_.directory, .memory = config_.memory, .cache = true};
  db.drop = [this](Family family, std::string_view, std::string_view value) {
    if (family == Family::seen) return seen_may_go(value, seen_since_);
    return family == Family::index && index_may_go(value, told_since_);
  };
  auto opened = Db::open(db);
  if (!opened && opened.error().find("Corruption") != std::string::npos) {
    spdlog::error("event=partition_unreadable partition={} problem=\"{}\" act=\"throw away and rebuild\"",
                  config_.loop.partition, opened.error());
    throw_state_away();
    opened = Db::open(db);
  }
  if (!opened) {
    spdlog::error("event=partition_failed partition={} problem=\"{}\"", config_.loop.partition, opened.error());
    return Error::storage_failed;
  }
  const auto fresh = (*opened)->get(Family::meta, state::meta_key(config_.loop.partition, state::fresh_at));
  if (!fresh) return fresh.error();
  // Of an earlier version, or new: it is not known.
  fresh_at_ = *fresh && (*fresh)->size() == 8
                  ? Instant(std::chrono::milliseconds(static_cast<std::int64_t>(read_big_endian64(**fresh))))
                  : Instant();
  if (const auto meta = load_meta(**opened, config_.loop.partition); meta && *meta == Meta{} && fresh_at_ == Instant())
    if (const auto noted = note_fresh(**opened, parts_.clock.now()); !noted)
      return noted;  // it holds nothing that is old
  auto open = [this, state = opened->get()] { return parts_.open(*state); };
  auto loop = std::make_unique<PartitionLoop>(config_.loop, parts_.sources, **opened, open, parts_.clock,
                                              parts_.metrics, nullptr);
  std::scoped_lock lock(mutex_);
  db_ = std::move(*opened);
  loop_ = std::move(loop);
  if (ending_) loop_->stop();
  return {};
}

void PartitionReplica::close_database() {
  std::unique_ptr<PartitionLoop> loop;
  std::unique_ptr<Db> db;
  {
    std::scoped_lock lock(mutex_);
    loop = std::move(loop_);
    db = std::move(db_);
  }
  loop.reset();  // it uses the database
  db.reset();
}

void PartitionReplica::throw_state_away() {
  close_database();
  std::error_code ec;
  std::filesystem::remove_all(config_.directory, ec);
  parts_.rebuilt.Increment();
}

}  // namespace assay
