// The world's clients and its front door.
#include "tests/simulation/world.hpp"

#include "storage/records/dead_letter_record.hpp"
#include "storage/records/request_record.hpp"

namespace assay::simulation {

using namespace std::chrono_literals;

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
  const auto said = !died_.empty() && chance(0.5) ? died_[pick(died_.size())] : pick(said_.size());
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
    spool_.push_back({said, clock_.now()});
    said_[said].accepted = true;
    return note("spooled " + said_[said].record.items.front().record_id);
  }
  if (append(said, clock_.now()) && !chance(faults_)) said_[said].accepted = true;  // or the answer was lost
  if (chance(0.1)) append(said, clock_.now());  // the client's connection broke: it sends again at once
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
  const bool repeats = said.record.idempotent || said.record.attempt > 0;
  if (!repeats && !said.landed.empty()) return true;  // such a client does not repeat itself
  auto feedback = said.record;
  if (feedback.attempt == 0) feedback.accepted_at = accepted_at;  // a replay has its times
  const auto record = to_record(feedback);
  const auto partition = log_.partition_for(record);
  auto& state = owned_[static_cast<std::size_t>(partition)].disks.front()->inner;
  if (mode_ == Mode::atomic)
    for (const auto& identity : record.identities) {
      const auto bytes = state.get(Family::seen, seen_key(partition, identity.record_id));
      if (!*bytes) continue;
      const auto said_so =
          said_before(*decode_seen(**bytes), identity.body_hash, record.accepted_at, config_.policy.dedupe_window);
      if (said_so != SaidBefore::no) return said_so == SaidBefore::the_same;
    }
  const auto offset = log_.append(record);
  if (mode_ == Mode::atomic) {
    Changes changes;
    for (const auto& identity : record.identities)
      changes.put(Family::seen, seen_key(partition, identity.record_id),
                  encode_seen({offset, identity.body_hash, record.accepted_at}));
    (void)state.write(changes);
  }
  said.landed.push_back(clock_.now());
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
  for (const auto& record : request_records(trace_id, topic.client_request_id, clock_.now())) {
    if (log_full_) return;
    log_.append(record);
    topic.told[record.key].push_back(clock_.now());
    note("told " + record.key + " is " + trace_id);
    if (chance(faults_)) return;  // the door died between the two
  }
}

// An operator replays a dead letter; several do, at once.
void World::replay() {
  if (log_full_) return;
  const auto partition = static_cast<Partition>(pick(static_cast<std::uint64_t>(partitions_)));
  const auto& letters = log_.records({Stream::deadletters, partition});
  if (letters.empty()) return;
  const auto at = pick(letters.size());
  const auto& letter = letters[at];
  for (auto later = at + 1; later < letters.size(); ++later)  // it has ended since, or another one has its place
    if (letters[later].key == letter.key) return;
  const auto dead = letter.value ? parse_dead_letter(*letter.value) : Result<DeadLetter, Malformed>(Malformed{});
  if (!dead || !dead->record || dead->reason != dead_reason::expired) return;
  Said said{.record = replay_of(*dead->record, clock_.now()), .topic = 0, .accepted = true};
  if (!replayed_.insert(said.record.items.front().record_id).second) return;
  for (std::size_t t = 0; t < topics_.size(); ++t)
    if (std::ranges::count(topics_[t].assessments, said.record.items.front().assessment_id)) said.topic = t;
  said_.push_back(std::move(said));
  note("replay of " + dead->record_id);
  append(said_.size() - 1, clock_.now());
  if (said_.back().landed.empty()) violated("a replay was taken for a repeat: " + dead->record_id);
  if (chance(0.3)) append(said_.size() - 1, clock_.now());
  // Nobody has told its client, who may still say it again.
  for (std::size_t i = 0; i < said_.size(); ++i)
    if (said_[i].record.idempotent && said_[i].record.items.front().record_id == first_said(dead->record_id))
      died_.push_back(i);
}

}  // namespace assay::simulation
