#include "tests/simulation/world.hpp"

#include <cstdio>

#include "storage/records/dead_letter_record.hpp"
#include "storage/records/fields.hpp"
#include "storage/records/request_record.hpp"

namespace assay::simulation {

using namespace std::chrono_literals;

World::World(std::uint64_t seed, Metrics& metrics, bool trace)
    : random_(seed * 0x9e3779b97f4a7c15ull + 1),
      metrics_(metrics),
      trace_(trace),
      mode_(chance(0.35) ? Mode::atomic : Mode::transactional),
      partitions_(1 + static_cast<Partition>(pick(3))),
      faults_(chance(0.2) ? 0.0 : 0.02 + 0.2 * static_cast<double>(pick(100)) / 100),
      log_(partitions_) {
  config_.policy.park_max = between(10 * 60'000, 120 * 60'000);
  config_.policy.dedupe_window = between(30 * 60'000, 240 * 60'000);
  config_.policy.log_repeats = mode_ == Mode::transactional;
  if (mode_ == Mode::transactional && chance(0.4))
    config_.policy.request_retention = between(20 * 60'000, 180 * 60'000);
  config_.policy.outputs_max = 1 + pick(20);
  config_.policy.bytes_max = 500 + pick(20'000);
  config_.records_max = 1 + pick(20);
  config_.joined_max = 1 + pick(5);
  owned_.resize(static_cast<std::size_t>(partitions_));
  for (auto& owned : owned_)
    for (int i = 0; i < 2; ++i) owned.disks.push_back(std::make_unique<Disk>(*this));
  const auto traces = 2 + pick(7);
  for (std::uint64_t i = 0; i < traces; ++i) {
    Topic topic{"tr-" + std::to_string(i), "req-" + std::to_string(i), {}, {}, {}};
    if (chance(0.1)) topic.other_trace_id = "tr-other-" + std::to_string(i);
    topics_.push_back(std::move(topic));
  }
  note(std::string("mode=") + (mode_ == Mode::atomic ? "atomic" : "transactional") +
       " partitions=" + std::to_string(partitions_) + " faults=" + std::to_string(faults_));
}

void World::note(const std::string& text) const {
  if (trace_) std::printf("%s %s\n", format_time(clock_.now()).c_str(), text.c_str());
}

void World::run() {
  const auto acts = 40 + pick(120);
  for (std::uint64_t i = 0; i < acts; ++i) act();
  settle();
  check();
}

void World::act() {
  const auto partition = static_cast<Partition>(pick(static_cast<std::uint64_t>(partitions_)));
  const auto n = pick(100);
  if (n < 20) return say_create();
  if (n < 28) return say_change();
  if (n < 36) return say_again();
  if (n < 38) return say_otherwise();
  if (n < 42) return deliver_spooled();
  if (n < 43) return poison();
  if (n < 51) return tell();
  if (n < 53) return replay();
  if (n < 78) return run_loop(partition);
  if (n < 84) return run_sink();
  if (n < 94) {
    clock_ += chance(0.15) ? between(60'000, 40 * 60'000) : between(1, 60'000);
    return;
  }
  if (faults_ == 0) return run_loop(partition);
  if (n < 96) return die(partition);
  if (n < 97 && mode_ == Mode::transactional) return take_over(partition);
  if (n < 98 && mode_ == Mode::transactional) return follow(partition);
  if (n < 99) {
    log_full_ = !log_full_;
    return note(log_full_ ? "the log is full" : "the log has room");
  }
  // A machine's disk is lost. In the embedded log it holds the log as well: nothing is left to be promised.
  if (mode_ == Mode::transactional) {
    auto& owned = owned_[static_cast<std::size_t>(partition)];
    die(partition);
    owned.copy.reset();
    owned.disks[owned.machine]->inner.clear();
    note("state lost partition=" + std::to_string(partition));
  }
}

void World::run_sink() {
  auto budget = 1 + pick(20);  // a slow one
  for (Partition p = 0; p < partitions_; ++p) {
    const auto& records = log_.records({Stream::assessments, p});
    auto& position = sink_position_[p];
    for (; position < std::ssize(records) && budget > 0; ++position, --budget) {
      const auto& stored = records[static_cast<std::size_t>(position)];
      const auto parsed = parse_assessment_record(*stored.value);
      if (!parsed) violated("an assessment record can't be read: " + parsed.error().reason);
      if (!rows_[parsed->assessment_id].apply(*parsed, p, position)) violated("the sink refuses an assessment record");
    }
    // It died before it wrote its position down: the records come again.
    if (!calm_ && chance(faults_) && position > 0)
      position -= 1 + static_cast<Offset>(pick(static_cast<std::uint64_t>(position)));
  }
}

// Everything heals, and comes to rest.
void World::settle() {
  note("settle");
  calm_ = true;
  log_full_ = false;
  while (!spool_.empty()) deliver_spooled();
  if (chance(0.5))
    for (auto& topic : topics_)
      if (chance(0.7))
        for (const auto& record : request_records(topic.trace_id, topic.client_request_id, clock_.now())) {
          log_.append(record);
          topic.told[record.key].push_back(clock_.now());
        }
  if (chance(0.3)) clock_ += config_.policy.park_max;
  for (Partition p = 0; p < partitions_; ++p) {
    if (chance(0.3)) die(p);
    if (mode_ == Mode::transactional && chance(0.3)) {
      auto& owned = owned_[static_cast<std::size_t>(p)];
      owned.machine ^= 1;
      owned.copy.reset();
      die(p);
    }
    int rounds = 0;
    do {
      run_loop(p);
      if (++rounds > 100'000) violated("the loop does not come to rest");
    } while (!owned_[static_cast<std::size_t>(p)].loop->caught_up() ||
             *owned_[static_cast<std::size_t>(p)].loop->run_once(0ms) != PartitionLoop::Ran::idle);
  }
  const auto behind = [&] {
    for (Partition p = 0; p < partitions_; ++p)
      if (sink_position_[p] < log_.end({Stream::assessments, p})) return true;
    return false;
  };
  while (behind()) run_sink();
}

}  // namespace assay::simulation
