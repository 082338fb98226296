// What must be true after a run, seen from outside: the records of the log, the state that is left, the sink.
#include <algorithm>

#include "storage/records/dead_letter_record.hpp"
#include "storage/records/remains_record.hpp"
#include "storage/state/parked_state.hpp"
#include "tests/simulation/world.hpp"

namespace assay::simulation {
namespace {

// One record_id, and what became of it.
struct Fate {
  struct Copy {
    std::uint64_t body_hash;
    Instant accepted_at, logged_at;
    std::string json;
  };
  Op op = Op::create;
  Target target;
  std::string assessment_id;
  std::vector<Copy> copies;  // in the log's order
  Instant last_landed;
  Partition partition = 0;   // of the feedback stream
  Offset first = -1;         // of the first copy
  Offset forwarded_at = -1;  // on its trace's partition of assay.assessments
  Instant forwarded_landed;
  int forwarded = 0, expired = 0, conflicts = 0, parked = 0;
  bool ended = false;  // there is no letter, or none any more
  std::string text(const std::string& id) const {
    return id + ": copies " + std::to_string(copies.size()) + " forwarded " + std::to_string(forwarded) + " expired " +
           std::to_string(expired) + " conflicts " + std::to_string(conflicts) + " parked " + std::to_string(parked);
  }
  // All copies came while the first one was remembered.
  bool exact(std::chrono::milliseconds window) const {
    const auto first = std::ranges::min_element(copies, {}, &Copy::logged_at);
    return last_landed - first->logged_at <= window;
  }
};

std::string value_of(std::string_view json) {
  const auto at = json.find("\"feedback\":");
  return at == json.npos ? std::string() : std::string(json.substr(at, json.find('}', at) - at));
}

}  // namespace

// Whether the id was told before `at`, and is not forgotten then.
bool World::told_within(const Topic& topic, const std::string& id, Instant upto, Instant kept_at) const {
  const auto told = topic.told.find(id);
  if (told == topic.told.end()) return false;
  return std::ranges::any_of(told->second,
                             [&](Instant t) { return t <= upto && t >= told_since(config_.policy, kept_at); });
}

// A create's attempts have "#N" behind its id.
bool World::was_replayed(const std::string& record_id) const {
  const auto mark = record_id.find('#');
  const auto attempt = mark == record_id.npos ? 0 : std::stoi(record_id.substr(mark + 1));
  return replayed_.contains(record_id.substr(0, mark) + "#" + std::to_string(attempt + 1));
}

void World::check() {
  std::map<std::string, Fate> fates;
  std::map<Partition, std::int64_t> logged;
  for (Partition p = 0; p < partitions_; ++p)
    for (Offset offset = 0; const auto& stored : log_.records({Stream::feedback, p})) {
      const auto here = offset++;
      const auto feedback = parse_feedback_record(*stored.value);
      logged[p] += feedback ? std::ssize(feedback->items) : 1;
      if (!feedback) continue;
      for (const auto& item : feedback->items) {
        auto& fate = fates[item.record_id];
        fate.op = feedback->op;
        fate.partition = p;
        if (fate.first < 0) fate.first = here;
        fate.target = feedback->target;
        fate.assessment_id = item.assessment_id;
        fate.copies.push_back({feedback->body_hash, feedback->accepted_at, feedback->logged_at(), item.json});
      }
    }
  std::map<std::string, const Topic*> topic_of;
  for (const auto& topic : topics_)
    for (const auto& id : topic.assessments) topic_of[id] = &topic;
  for (const auto& said : said_)
    for (const auto& item : said.record.items) {
      const auto at = fates.find(item.record_id);
      if (at == fates.end()) {
        if (said.accepted && !said.landed.empty()) violated("accepted, and not in the log: " + item.record_id);
        continue;
      }
      for (const auto landed : said.landed) at->second.last_landed = std::max(at->second.last_landed, landed);
    }

  // Promises 1, 2, 3: what the streams say of each.
  std::map<std::string, int> unreadable;
  std::map<std::string, std::optional<std::string>> letters;
  std::map<std::string, Instant> letter_landed;
  for (Partition p = 0; p < partitions_; ++p) {
    for (Offset offset = 0; const auto& stored : log_.records({Stream::assessments, p})) {
      const auto here = offset++;
      const auto record = parse_assessment_record(*stored.value);
      if (!record) violated("an assessment record can't be read");
      const auto fate = fates.find(record->record_id);
      if (fate == fates.end()) violated("forwarded, and never said: " + record->record_id);
      ++fate->second.forwarded;
      fate->second.forwarded_at = here;
      const auto* topic = topic_of[record->assessment_id];
      // Ids are forgotten after request_retention, and stay so through every rebuild.
      const auto landed = fate->second.forwarded_landed = landed_at_.at({{Stream::assessments, p}, here});
      if (fate->second.op == Op::create && !told_within(*topic, fate->second.target.id, landed, landed))
        violated("forwarded by an id that was forgotten: " + record->record_id);
      if (stored.key != topic->trace_id && (topic->other_trace_id.empty() || stored.key != topic->other_trace_id))
        violated("the wrong trace for " + record->record_id + ": " + stored.key);
    }
    for (Offset offset = 0; const auto& stored : log_.records({Stream::deadletters, p})) {
      const auto landed = letter_landed[stored.key] = landed_at_.at({{Stream::deadletters, p}, offset++});
      letters[stored.key] = stored.value;
      if (!stored.value) continue;
      const auto letter = parse_dead_letter(*stored.value);
      if (!letter) violated("a dead letter can't be read: " + letter.error().reason);
      if (letter->reason == dead_reason::malformed) {
        ++unreadable[letter->record_id];
        continue;
      }
      if (!letter->record) violated("a letter without a record: " + stored.key);
      if (letter->reason != dead_reason::expired) continue;
      const auto& fate = fates.at(stored.key);
      if (letter->dead_at < letter->record->accepted_at + config_.policy.park_max)
        violated("expired too early: " + stored.key);
      if (fate.op == Op::create && told_within(*topic_of.at(fate.assessment_id), fate.target.id,
                                               letter->dead_at - std::chrono::milliseconds(1), landed))
        violated("expired although its trace was told: " + stored.key);
    }
  }
  // What stands in the end under each key.
  for (const auto& [key, value] : letters) {
    if (unreadable.contains(key)) continue;
    auto& fate = fates.at(key.substr(0, key.find('@')));
    if (key.find('@') != key.npos)
      ++fate.conflicts;
    else if (value)
      ++fate.expired;
    else
      fate.ended = true;
  }
  // What was taken back has no letter: no deletion that stands behind what the letter holds, nor one that waited for
  // it. And nothing is forwarded that stands behind a deletion which was not.
  for (const auto& [erase_id, erased] : fates) {
    if (erased.op != Op::erase) continue;
    for (const auto& [key, value] : letters) {
      const auto letter = value ? parse_dead_letter(*value) : Result<DeadLetter, Malformed>(Malformed{});
      if (letter && letter->record && letter->record->items.front().assessment_id == erased.assessment_id &&
          letter->from.partition == erased.partition && (erased.first > letter->offset || erased.forwarded == 0))
        violated("the words of what was taken back: " + key + " by " + erase_id);
    }
    for (const auto& [id, fate] : fates)
      if (erased.forwarded == 0 && fate.op != Op::erase && fate.assessment_id == erased.assessment_id &&
          fate.partition == erased.partition && fate.first > erased.first && fate.forwarded > 0)
        violated("forwarded although it was taken back: " + id + " by " + erase_id);
  }
  for (const auto& [where, offset] : poisoned_) {
    const auto key = "feedback/" + std::to_string(where.partition) + "/" + std::to_string(offset);
    if (unreadable[key] != 1) violated("not one dead letter for the poison at " + key);
  }

  // Promise 4: the states, and their ledgers.
  for (Partition p = 0; p < partitions_; ++p) {
    auto& owned = owned_[static_cast<std::size_t>(p)];
    const auto& state = owned.disks[mode_ == Mode::atomic ? 0 : owned.machine]->inner;
    std::set<std::string> parked;
    const auto prefix = big_endian(static_cast<std::uint32_t>(p)) + "r";
    (void)state.scan(Family::parked, prefix, after_prefix(prefix), [&](std::string_view key, std::string_view) {
      parked.emplace(key.substr(prefix.size()));
      return true;
    });
    for (const auto& id : parked) ++fates.at(id).parked;
    if (mode_ == Mode::transactional) {
      std::set<std::string> changelog;
      for (const auto& stored : log_.records({Stream::parked, p}))
        if (!remains_of(stored.key))
          stored.value ? void(changelog.insert(stored.key)) : void(changelog.erase(stored.key));
      if (changelog != parked) violated("the parked differ from their changelog");
    }
    std::map<std::string, Instant> index;
    for (const auto& stored : log_.records({Stream::requests, p})) index[stored.key] = stored.at;
    const auto awaited = awaited_ids(state, p, "", 1'000'000);
    for (const auto& id : *awaited)
      if (index.contains(id) && index[id] >= told_since(config_.policy, clock_.now()))
        violated("parked although its trace is known: waits for " + id);
    const auto meta = load_meta(state, p);
    if (!meta || meta->ledger.unaccounted() != 0) violated("the ledger does not add up");
    if (meta->ledger.parked != std::ssize(parked)) violated("the ledger's parked are not those of the state");
    if (mode_ == Mode::atomic && meta->ledger.logged != logged[p])
      violated("logged " + std::to_string(logged[p]) + ", counted " + std::to_string(meta->ledger.logged) +
               " in partition " + std::to_string(p));
    if (meta->feedback != log_.end({Stream::feedback, p})) violated("not all was read");
  }
  std::set<std::string> taken_back;
  for (const auto& [id, fate] : fates)
    if (fate.op == Op::erase) taken_back.insert(fate.assessment_id);
  std::map<std::string, int> lives;  // by the id under which it was first said
  for (const auto& [id, fate] : fates) lives[first_said(id)] += fate.forwarded + fate.expired + fate.parked;
  for (const auto& [id, fate] : fates) {
    // Without a letter ends what was taken back; and what was replayed, or said again since, is another record.
    const bool may_end = taken_back.contains(fate.assessment_id) || was_replayed(id) || lives[first_said(id)] > 0;
    const auto ends = fate.forwarded + fate.expired + fate.parked +
                      (fate.ended && may_end && fate.forwarded + fate.expired + fate.parked == 0 ? 1 : 0);
    if (!fate.exact(config_.policy.dedupe_window)) {
      if (ends + fate.conflicts < 1 || ends + fate.conflicts > std::ssize(fate.copies))
        violated("late repeat " + fate.text(id));
      continue;
    }
    const auto others = std::ranges::count_if(
        fate.copies, [&](const auto& copy) { return copy.body_hash != fate.copies.front().body_hash; });
    if (ends != 1 || fate.conflicts != others) violated("not exactly one: " + fate.text(id));
  }

  // Of a create's attempts one lives: what is said again after a replay was forwarded is a repeat, and no letter stands
  // of what was said again, and forwarded, since it was written.
  for (const auto& [id, fate] : fates) {
    if (fate.op != Op::create) continue;
    for (const auto& [other_id, other] : fates) {
      if (other.op != Op::create || other.assessment_id != fate.assessment_id || other_id == id) continue;
      // The atomic log remembers a key since the replay, the transactional one since it was first said.
      const auto window = config_.policy.dedupe_window;
      const bool remembered =
          mode_ == Mode::atomic ? fate.last_landed - other.copies.front().logged_at <= window : fate.exact(window);
      if (id == fate.assessment_id && remembered && fate.forwarded > 0 && other.forwarded > 0 &&
          other.target.id == fate.target.id && topic_of[fate.assessment_id]->other_trace_id.empty() &&
          fate.forwarded_at > other.forwarded_at)
        violated("said again, and forwarded beside its replay: " + id + " and " + other_id);
      const auto letter = letters.find(other_id);
      if (letter != letters.end() && letter->second && fate.forwarded > 0 &&
          fate.last_landed > letter_landed[other_id] && fate.forwarded_landed > letter_landed[other_id])
        violated("a letter of what lives: " + other_id + " beside " + id);
    }
  }

  // A change never overtakes a create that stood before it in its partition, parked or not; but for one that had died,
  // and was said anew.
  for (const auto& [id, fate] : fates) {
    if (fate.op == Op::create || fate.forwarded != 1 || !topic_of[fate.assessment_id]->other_trace_id.empty()) continue;
    const auto create = fates.find(fate.assessment_id);
    if (create == fates.end() || create->second.forwarded != 1 || create->second.partition != fate.partition) continue;
    if (create->second.ended) continue;
    if (create->second.exact(config_.policy.dedupe_window) && create->second.first < fate.first &&
        fate.forwarded_at < create->second.forwarded_at)
      violated("the change " + id + " overtook its create");
  }

  // Promises 2 and 7: the sink holds what a model makes of what was said, in an order of its own.
  struct Expected {
    bool deleted = false, vague = false;
    std::optional<std::pair<Stamp, std::string>> base, change;
  };
  std::map<std::string, Expected> model;
  for (const auto& [id, fate] : fates) {
    if (fate.forwarded == 0) continue;
    auto& expected = model[fate.assessment_id];
    // What died and was said again counts as of then.
    expected.vague |= !fate.exact(config_.policy.dedupe_window) || (fate.ended && fate.copies.size() > 1);
    const Stamp stamp{fate.copies.front().accepted_at.time_since_epoch().count(), id};
    const auto entry = std::pair(stamp, value_of(fate.copies.front().json));
    if (fate.op == Op::erase) expected.deleted = true;
    if (fate.op == Op::create && (!expected.base || stamp < expected.base->first)) expected.base = entry;
    if (fate.op == Op::update && (!expected.change || expected.change->first < stamp)) expected.change = entry;
  }
  if (model.size() != rows_.size()) violated("the sink has other assessments than were said");
  for (const auto& [id, expected] : model) {
    const auto at = rows_.find(id);
    if (at == rows_.end()) violated("the sink lacks " + id);
    if (at->second.deleted() != expected.deleted) violated("the sink errs in the deletion of " + id);
    // A deletion that waits, or has ended, has taken the words.
    if (expected.deleted || expected.vague || taken_back.contains(id)) continue;
    if (at->second.base().has_value() != expected.base.has_value()) violated("the sink errs in the create of " + id);
    if (!expected.base) continue;
    const auto& value = expected.change ? expected.change->second : expected.base->second;
    if (at->second.json(true).find(value) == std::string::npos) violated("the sink has another value of " + id);
  }
}

}  // namespace assay::simulation
