// What the overseer of an assignment does in turn: looks at topics, plans the standby copies, counts, tidies.
#include <spdlog/fmt/fmt.h>

#include <filesystem>

#include "ops/runtime/log.hpp"
#include "ops/runtime/thread.hpp"
#include "storage/log/kafka_offsets.hpp"
#include "workers/assignment.hpp"
#include "workers/standby_plan.hpp"

namespace assay {
namespace {

using Steady = std::chrono::steady_clock;
using Role = PartitionReplica::Role;

constexpr std::chrono::milliseconds look_every{1'000};  // of the overseer
constexpr std::chrono::seconds topics_every{10};        // metadata
constexpr std::chrono::seconds plan_every{10};          // of standbys, where nothing was heard of
constexpr std::chrono::hours stale_after{24};           // state of a partition that is neither ours nor a copy
constexpr const char* stale_suffix = ".stale";
constexpr std::chrono::seconds members_wait{5};

}  // namespace

void Assignment::oversee(std::stop_token stop) {
  auto topics_at = Steady::now(), plan_at = topics_at, stale_at = topics_at;
  bool unsettled = false;
  while (sleep_unless_stopped(stop, look_every)) {
    const auto now = Steady::now();
    try {
      if (unsettled) {
        settle();
        count_partitions();
        unsettled = false;
      }
      if (now - topics_at >= topics_every) {
        topics_at = now;
        check_topics();
      }
      if (config_.standby > 0 && (plan_soon_.exchange(false) || now - plan_at >= plan_every)) {
        plan_at = now;
        plan_standby();
      }
      if (now - stale_at >= std::chrono::hours(1)) {
        stale_at = now;
        remove_stale_state();
      }
      count();
    } catch (const std::exception& e) {  // the system has no thread for a replica, or no memory
      unsettled = true;
      spdlog::error("event=assignment_not_settled problem=\"{}\" act=\"try again\"", e.what());
    }
  }
}

void Assignment::check_topics() {
  const auto changed = config_.topics_changed().value_or("");
  {
    std::scoped_lock lock(mutex_);
    if (changed == refusal_) return;
    refusal_ = changed;
  }
  refused_.Set(changed.empty() ? 0 : 1);
  if (changed.empty())
    spdlog::info("event=topics_as_before act=\"go on\"");
  else
    spdlog::error("event=topics_changed problem=\"{}\" act=\"stop working\"", changed);
  settle();
  count_partitions();
}

// One that refuses works on none: what watches the partitions must see that.
void Assignment::count_partitions() {
  std::scoped_lock lock(mutex_);
  partitions_.Set(refusal_.empty() ? static_cast<double>(owned_.size()) : 0);
}

void Assignment::plan_standby() {
  const auto members = group_->members(members_wait);
  if (!members || members->empty()) {
    plan_soon_ = true;  // away, or in the middle of a rebalance
    return;
  }
  const auto self = std::ranges::find_if(*members, [](const auto& member) { return member.self; });
  if (self == members->end()) return;
  const auto copies =
      standby_partitions(sources_.partitions(Stream::feedback), members->size(),
                         static_cast<std::size_t>(self - members->begin()), static_cast<std::size_t>(config_.standby));
  {
    std::scoped_lock lock(mutex_);
    // While a rebalance is under way this is of before it, and the next plan comes soon.
    if (owned_ != std::set<Partition>(self->partitions.begin(), self->partitions.end())) {
      plan_soon_ = true;
      return;
    }
    const std::set<Partition> planned(copies.begin(), copies.end());
    if (planned == copies_) return;
    copies_ = planned;
  }
  spdlog::info("event=standby partitions={}", copies.size());
  settle();
}

// A partition that has gone elsewhere may come back, and its state makes that quicker; but not for ever.
void Assignment::remove_stale_state() {
  std::error_code ec, failed;
  std::filesystem::directory_iterator at(config_.directory, failed);
  // Not a range's: that throws where the directory can't be read on.
  for (; !failed && at != std::filesystem::directory_iterator(); at.increment(failed)) {
    const auto& entry = *at;
    const auto name = entry.path().filename().string();
    if (!entry.is_directory(ec)) continue;
    if (name.ends_with(stale_suffix)) std::filesystem::remove_all(entry.path(), ec);  // a process ended in between
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto written = std::filesystem::last_write_time(entry.path(), ec);
    if (ec || std::filesystem::file_time_type::clock::now() - written < stale_after) continue;
    // Out of the way at once: the partition may be won back while the files go.
    const auto aside = entry.path().string() + stale_suffix;
    {
      std::scoped_lock lock(mutex_);
      const auto partition = static_cast<Partition>(std::atoi(name.c_str()));
      if (replicas_.contains(partition) || ending_.contains(partition)) continue;
      std::filesystem::rename(entry.path(), aside, ec);
      if (ec) continue;
    }
    spdlog::info("event=stale_state_removed partition={}", name);
    std::filesystem::remove_all(aside, ec);
  }
}

void Assignment::count() {
  std::uint64_t bytes = 0;
  int copies = 0, ready = 0;
  {
    std::scoped_lock lock(mutex_);
    for (const auto& [partition, replica] : replicas_) {
      bytes += replica->bytes_on_disk();
      if (replica->role() != Role::standby) continue;
      ++copies;
      ready += replica->caught_up();
    }
  }
  state_bytes_.Set(static_cast<double>(bytes));
  standby_.Set(copies);
  standby_ready_.Set(ready);
  member_.Set(group_->joined() ? 1 : 0);
}

}  // namespace assay
