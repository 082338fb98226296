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
  if (trace_) std::printf("%s %s\n", format_time(clock_.at).c_str(), text.c_str());
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
    clock_.at += chance(0.15) ? between(60'000, 40 * 60'000) : between(1, 60'000);
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

// ---- clients and front door

void World::say_create() {
  const auto t = pick(topics_.size());
  auto& topic = topics_[t];
  Said said{.record = {}, .topic = t};
  auto& record = said.record;
  const bool by_trace = chance(0.4);
  record.target = {by_trace ? Target::Kind::trace_id : Target::Kind::client_request_id,
                   by_trace ? topic.trace_id : topic.client_request_id};
  record.idempotent = chance(0.7);
  record.body_hash = random_();
  const auto items = chance(0.15) ? 2 + pick(3) : 1;
  for (std::uint64_t i = 0; i < items; ++i) {
    const auto id = "a-" + std::to_string(next_id_++);
    record.items.push_back({id, id,
                            R"({"assessment_id":")" + id + R"(","assessment_name":"n","feedback":{"value":)" +
                                std::to_string(next_id_) + "}}"});
    topic.assessments.push_back(id);
  }
  said_.push_back(std::move(said));
  send(said_.size() - 1);
  // The change that overtakes its create.
  if (chance(0.1)) say_change();
}

void World::say_change() {
  const auto t = pick(topics_.size());
  auto& topic = topics_[t];
  if (topic.assessments.empty()) return;
  const auto& id = topic.assessments[pick(topic.assessments.size())];
  Said said{.record = {}, .topic = t};
  auto& record = said.record;
  record.op = chance(0.25) ? Op::erase : Op::update;
  const bool by_trace = chance(0.5);
  record.target = {by_trace ? Target::Kind::trace_id : Target::Kind::client_request_id,
                   by_trace ? topic.trace_id : topic.client_request_id};
  record.idempotent = chance(0.6);
  record.body_hash = random_();
  const auto record_id = "u-" + std::to_string(next_id_++);
  auto json = R"({"assessment_id":")" + id + '"';
  if (record.op == Op::update) json += R"(,"feedback":{"value":)" + std::to_string(next_id_) + "}";
  record.items.push_back({record_id, id, json + "}"});
  said_.push_back(std::move(said));
  send(said_.size() - 1);
}

// The client did not hear, or repeats itself, maybe at another door.
void World::say_again() {
  if (said_.empty()) return;
  const auto said = pick(said_.size());
  if (said_[said].record.idempotent) send(said);
}

// The same key with another body.
void World::say_otherwise() {
  if (said_.empty()) return;
  const auto& before = said_[pick(said_.size())];
  if (!before.record.idempotent || before.record.op != Op::create) return;
  Said said{.record = before.record, .topic = before.topic};
  said.record.body_hash = random_();
  for (auto& item : said.record.items)
    item.json = R"({"assessment_id":")" + item.assessment_id + R"(","assessment_name":"n","feedback":{"value":)" +
                std::to_string(next_id_++) + "}}";
  said_.push_back(std::move(said));
  send(said_.size() - 1);
}

void World::send(std::size_t said) {
  if (mode_ == Mode::transactional && chance(0.15)) {  // the door's spool: accepted there, in the log later
    spool_.push_back({said, clock_.at});
    said_[said].accepted = true;
    return note("spooled " + said_[said].record.items.front().record_id);
  }
  if (append(said, clock_.at) && !chance(faults_)) said_[said].accepted = true;  // or the answer was lost
  if (chance(0.1)) append(said, clock_.at);  // the client's connection broke: it sends again at once
}

void World::deliver_spooled() {
  if (spool_.empty()) return;
  const auto i = pick(spool_.size());
  const auto spooled = spool_[i];
  if (!append(spooled.said, spooled.accepted_at)) return;
  spool_.erase(spool_.begin() + static_cast<std::ptrdiff_t>(i));
}

// True: durable. The embedded log looks for repeats, and writes the seen ids with the record.
bool World::append(std::size_t index, Instant accepted_at) {
  if (log_full_) return false;
  auto& said = said_[index];
  if (!said.record.idempotent && !said.landed.empty()) return true;  // such a client does not repeat itself
  auto feedback = said.record;
  feedback.accepted_at = accepted_at;
  const auto record = to_record(feedback);
  const auto partition = log_.partition_for(record);
  auto& state = owned_[static_cast<std::size_t>(partition)].disks.front()->inner;
  if (mode_ == Mode::atomic)
    for (const auto& identity : record.identities) {
      const auto bytes = state.get(Family::seen, seen_key(partition, identity.record_id));
      if (!*bytes) continue;
      const auto seen = decode_seen(**bytes);
      if (accepted_at - seen->accepted_at > config_.policy.dedupe_window) continue;
      return seen->body_hash == identity.body_hash;
    }
  const auto offset = log_.append(record);
  if (mode_ == Mode::atomic) {
    Changes changes;
    for (const auto& identity : record.identities)
      changes.put(Family::seen, seen_key(partition, identity.record_id),
                  encode_seen({offset, identity.body_hash, accepted_at}));
    (void)state.write(changes);
  }
  said.landed.push_back(clock_.at);
  note("logged " + std::string(name_of(feedback.op)) + " " + feedback.items.front().record_id + " of " +
       feedback.items.front().assessment_id + " target=" + feedback.target.id + " at " + std::to_string(partition) +
       "/" + std::to_string(offset));
  return true;
}

void World::poison() {
  static constexpr std::string_view values[] = {
      "",
      "{",
      "[]",
      "{\"v\":2}",
      "{\"v\":1,\"op\":\"create\",\"items\":[]}",
      "\xff\xfe",
      "null",
      R"({"v":1,"op":"create","accepted_at":"2026-11-23T00:00:00Z","trace_id":"tr-0","items":[{"assessment_id":7}]})"};
  const auto partition = static_cast<Partition>(pick(static_cast<std::uint64_t>(partitions_)));
  const auto offset = log_.append({.stream = Stream::feedback,
                                   .key = "tr-0",
                                   .value = std::string(values[pick(std::size(values))]),
                                   .partition = partition});
  poisoned_.insert({{Stream::feedback, partition}, offset});
  note("poison at " + std::to_string(partition) + "/" + std::to_string(offset));
}

void World::tell() {
  auto& topic = topics_[pick(topics_.size())];
  const bool other = !topic.other_trace_id.empty() && chance(0.5);
  const auto& trace_id = other ? topic.other_trace_id : topic.trace_id;
  for (const auto& record : request_records(trace_id, topic.client_request_id, clock_.at)) {
    if (log_full_) return;
    log_.append(record);
    topic.told[record.key].push_back(clock_.at);
    note("told " + record.key + " is " + trace_id);
    if (chance(faults_)) return;  // the door died between the two
  }
}

// An operator replays a dead letter.
void World::replay() {
  if (log_full_) return;
  const auto partition = static_cast<Partition>(pick(static_cast<std::uint64_t>(partitions_)));
  const auto& letters = log_.records({Stream::deadletters, partition});
  if (letters.empty()) return;
  const auto& letter = letters[pick(letters.size())];
  const auto dead = letter.value ? parse_dead_letter(*letter.value) : Result<DeadLetter, Malformed>(Malformed{});
  if (!dead || !dead->record || dead->reason != dead_reason::expired || dead->record->op != Op::create) return;
  Said said{.record = *dead->record, .topic = 0, .accepted = true};
  ++said.record.attempt;
  for (auto& item : said.record.items) item.record_id = record_id_of(item.assessment_id, said.record.attempt);
  if (!replayed_.insert(said.record.items.front().record_id).second) return;
  for (std::size_t t = 0; t < topics_.size(); ++t)
    if (std::ranges::count(topics_[t].assessments, said.record.items.front().assessment_id)) said.topic = t;
  said_.push_back(std::move(said));
  note("replay of " + dead->record_id);
  append(said_.size() - 1, clock_.at);
}

// ---- workers

Result<void> World::Disk::write(const Changes& changes) {
  // In the embedded log a step's write is a whole: see commit().
  if (world_.mode_ == Mode::transactional && !world_.calm_ && world_.chance(world_.faults_ / 4)) throw Crash{};
  return inner.write(changes);
}

void World::start_process(Partition partition) {
  auto& owned = owned_[static_cast<std::size_t>(partition)];
  auto& disk = *owned.disks[mode_ == Mode::atomic ? 0 : owned.machine];
  const auto owner = ++owned.owner;
  auto open = [this, partition, &disk, owner]() -> Result<OpenedPartition> {
    auto& mine = owned_[static_cast<std::size_t>(partition)];
    if (mine.owner != owner) return Error::stopped;  // the group has given it to someone else
    const auto epoch = ++mine.epoch;
    OpenedPartition opened{std::make_unique<Committer>(*this, partition, disk, epoch), {}};
    if (mode_ == Mode::transactional) opened.committed = mine.committed;
    return opened;
  };
  auto config = config_;
  config.partition = partition;
  owned.loop = std::make_unique<PartitionLoop>(config, log_, disk, open, clock_, metrics_, nullptr);
}

void World::die(Partition partition) {
  owned_[static_cast<std::size_t>(partition)].loop.reset();
  note("died partition=" + std::to_string(partition));
}

// A rebalance: the other machine gets the partition, with whatever state it was left with.
void World::take_over(Partition partition) {
  auto& owned = owned_[static_cast<std::size_t>(partition)];
  owned.machine = 1 - owned.machine;
  owned.copy.reset();
  note("partition=" + std::to_string(partition) + " goes to machine " + std::to_string(owned.machine));
  const auto predecessor = std::move(owned.loop);
  start_process(partition);
  for (auto steps = pick(4); steps > 0; --steps) run_loop(partition);
  // The predecessor comes back to life, and tries to finish.
  if (predecessor && depth_ == 0 && chance(0.7)) {
    note("zombie partition=" + std::to_string(partition));
    try {
      (void)predecessor->run_once(0ms);
    } catch (const Crash&) {
    }
  }
}

// A standby's turn, on the machine that has not the partition. What it hears of the committed position may be old.
void World::follow(Partition partition) {
  auto& owned = owned_[static_cast<std::size_t>(partition)];
  if (!owned.copy) {
    auto config = config_;
    config.partition = partition;
    const auto never = []() -> Result<OpenedPartition> { return Error::stopped; };
    owned.copy = std::make_unique<PartitionLoop>(config, log_, *owned.disks[1 - owned.machine], never, clock_, metrics_,
                                                 nullptr);
  }
  const auto heard = owned.committed - (chance(0.2) ? static_cast<Offset>(pick(4)) : 0);
  note("follow partition=" + std::to_string(partition) + " to " + std::to_string(heard));
  try {
    if (const auto followed = owned.copy->follow(std::max<Offset>(0, heard)); !followed)
      violated("the standby failed: " + followed.error().message());
  } catch (const Crash&) {
    owned.copy.reset();
  }
}

void World::run_loop(Partition partition) {
  auto& owned = owned_[static_cast<std::size_t>(partition)];
  if (!owned.loop) start_process(partition);
  auto* const loop = owned.loop.get();
  try {
    const auto ran = loop->run_once(0ms);
    if (ran && loop->meta().ledger.unaccounted() != 0) violated("the ledger does not add up");
    if (ran && loop->meta().ledger.parked != loop->parked())
      violated("the ledger's parked differ from the state's: " + std::to_string(loop->meta().ledger.parked) + ", " +
               std::to_string(loop->parked()));
    if (!ran) {
      note("partition=" + std::to_string(partition) + " " + ran.error().message());
      if (calm_ || (ran.error() != Error::log_unavailable && ran.error() != Error::stopped))
        violated("the loop failed: " + ran.error().message());
    }
  } catch (const Crash&) {
    note("crash partition=" + std::to_string(partition));
    if (owned.loop.get() == loop) owned.loop.reset();
  }
  if (depth_ == 0) zombie_.reset();
}

void World::land(const Step& step, Partition partition) {
  for (const auto& record : step.outputs)
    if (record.stream != Stream::parked || mode_ == Mode::transactional) {
      const auto offset = log_.append(record);
      if (record.stream == Stream::assessments) forwarded_at_[{log_.partition_for(record), offset}] = clock_.at;
    }
  owned_[static_cast<std::size_t>(partition)].committed = step.feedback_position;
}

StepOutcome World::commit(Step& step, Partition partition, Disk& disk, int epoch) {
  auto& owned = owned_[static_cast<std::size_t>(partition)];
  const auto fault = [this] { return !calm_ && chance(faults_); };
  if (mode_ == Mode::atomic) {
    if (fault()) return StepOutcome::aborted;
    if (fault() && chance(0.5)) throw Crash{};
    land(step, partition);
    (void)disk.inner.write(step.state);
    if (fault() && chance(0.5)) throw Crash{};
    return StepOutcome::committed;
  }
  // A rebalance between read and commit: the caller becomes a zombie in the middle of its step.
  if (depth_ == 0 && fault() && chance(0.5)) {
    ++depth_;
    // The loop whose commit this is must outlive it.
    auto here = std::move(owned.loop);
    take_over(partition);
    --depth_;
    const auto outcome = epoch == owned.epoch ? StepOutcome::unknown : StepOutcome::aborted;
    if (outcome == StepOutcome::unknown) land(step, partition);  // it was in time
    // Its memory goes with the process, once run_loop() is through with it.
    zombie_ = std::move(here);
    return outcome;
  }
  if (epoch != owned.epoch) return StepOutcome::aborted;  // fenced
  const bool transaction = !step.outputs.empty() || step.feedback_position != owned.committed;
  if (transaction) {
    if (fault()) return StepOutcome::aborted;
    if (fault()) throw Crash{};
    if (fault()) {
      if (chance(0.5)) land(step, partition);
      return StepOutcome::unknown;
    }
    land(step, partition);
    if (fault()) throw Crash{};  // committed, and the state not written
  }
  (void)disk.write(step.state);
  if (fault() && chance(0.5)) throw Crash{};
  return StepOutcome::committed;
}

// ---- sink

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
        for (const auto& record : request_records(topic.trace_id, topic.client_request_id, clock_.at)) {
          log_.append(record);
          topic.told[record.key].push_back(clock_.at);
        }
  if (chance(0.3)) clock_.at += config_.policy.park_max;
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
