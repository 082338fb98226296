#include "workers/resolver.hpp"

#include "storage/records/assessment_record.hpp"
#include "storage/records/fields.hpp"
#include "storage/records/logged_feedback.hpp"
#include "storage/state/parked_state.hpp"
#include "workers/dead_letters.hpp"

namespace assay {
namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

// A replay may be asked for twice, and has the same ids then.
bool may_repeat(const FeedbackRecord& record, const ResolvePolicy& policy) {
  return policy.log_repeats || record.idempotent || record.attempt > 0;
}

}  // namespace

Result<FeedbackRecord, Malformed> read_feedback(const LogRecord& record, const ResolvePolicy& policy) {
  const auto bytes_max = feedback_bytes_max(policy.record_bytes_max);
  if (record.value.size() > bytes_max) return Malformed{"it is longer than " + std::to_string(bytes_max) + " bytes"};
  auto parsed = parse_logged_feedback(record);
  if (!parsed) return parsed;
  const auto problem_with = [](const char* what, const std::string& id) -> std::optional<Malformed> {
    if (id.size() > record_id_bytes_max)
      return Malformed{std::string(what) + " is longer than " + std::to_string(record_id_bytes_max) + " bytes"};
    if (id.find('\0') != id.npos) return Malformed{std::string(what) + " holds a NUL"};  // no key of a store may
    return std::nullopt;
  };
  if (auto problem = problem_with("the id that it is for", parsed->target.id)) return *problem;
  for (const auto& item : parsed->items) {
    if (auto problem = problem_with("a record_id", item.record_id)) return *problem;
    if (auto problem = problem_with("an assessment_id", item.assessment_id)) return *problem;
  }
  return parsed;
}

void add_needs(const FeedbackRecord& record, const ResolvePolicy& policy, Needs& needs) {
  needs.traces.push_back(record.target.id);
  if (record.op == Op::erase) needs.waiting.insert(record.target.id);
  for (const auto& item : record.items) {
    needs.assessments.push_back(item.assessment_id);
    if (may_repeat(record, policy)) needs.seen.push_back(item.record_id);
    needs.parked.push_back(item.record_id);
    if (record.op != Op::create) needs.parked.push_back(item.assessment_id);  // its create may be parked
    if (record.op == Op::erase) needs.erased.insert(item.assessment_id);
  }
}

Resolution::Resolution(Partition partition, const Meta& before, const ResolvePolicy& policy, Instant now)
    : partition_(partition), before_(before), policy_(policy), now_(now), meta_(before) {
  step_.partition = partition;
}

void Resolution::tell(const IncomingRequest& request) {
  // A log that keeps no times: it is read at once, so what is told was told now.
  const bool ages = policy_.request_retention.count() > 0;
  const auto told_at = request.told_at == Instant{} && ages ? now_ : request.told_at;
  auto& known = facts_.traces_[request.id];
  if (request.trace_id) {
    if (known && *known != *request.trace_id) ++counts_.retold;
    // Also where it is the same trace: the time is another one.
    put_trace(step_.state, partition_, request.id, *request.trace_id, told_at);
    if (told_at != Instant{} && told_at < told_since(policy_, now_)) {
      known.reset();
      return;
    }
  } else {
    erase_trace(step_.state, partition_, request.id);
  }
  known = request.trace_id;
}

std::optional<std::string> Resolution::trace_of(const std::string& id) const {
  const auto at = facts_.traces_.find(id);
  return at == facts_.traces_.end() ? std::nullopt : at->second;
}

const ParkedRecord* Resolution::parked(const std::string& record_id) const {
  const auto at = facts_.parked_.find(record_id);
  return at == facts_.parked_.end() || !at->second ? nullptr : &*at->second;
}

const Seen* Resolution::seen(const std::string& record_id) const {
  const auto at = facts_.seen_.find(record_id);
  return at == facts_.seen_.end() || !at->second ? nullptr : &*at->second;
}

void Resolution::emit(Record record) {
  bytes_ += record.key.size() + (record.value ? record.value->size() : 0) + 64;
  step_.outputs.push_back(std::move(record));
}

// Ends the waiting: state, changelog, ledger.
void Resolution::end_parked(const ParkedRecord& parked) {
  unpark(step_.state, partition_, parked);
  emit(parked_tombstone(parked.item.record_id, partition_));
  --meta_.ledger.parked;
  facts_.parked_.insert_or_assign(parked.item.record_id, std::nullopt);
}

void Resolution::release(const ParkedRecord& waiting, std::string_view trace_id) {
  facts_.learn_parked(waiting.item.record_id, waiting);
  if (!parked(waiting.item.record_id)) return;
  emit(forward(waiting.item, waiting.op, waiting.target, waiting.accepted_at, trace_id, waiting.withdrawn));
  end_parked(waiting);
  ++meta_.ledger.forwarded;
  ++counts_.forwarded;
  ++counts_.released;
}

void Resolution::expire(const ParkedRecord& waiting, Instant as_of) {
  facts_.learn_parked(waiting.item.record_id, waiting);
  const auto* const stands = parked(waiting.item.record_id);  // this step may have taken its words
  if (!stands) return;
  const auto& item = waiting.item;
  if (stands->withdrawn || stands->op == Op::erase)
    annul(item.record_id);
  else
    bury(item.assessment_id, letter_of_expired(*stands, partition_, as_of));
  if (stands->op == Op::create && stands->idempotent)
    note_key(item.assessment_id, {stands->order / items_per_record_max, stands->body_hash, seen_dead});
  end_parked(waiting);
  ++counts_.expired;
}

// A dead letter, which goes when its assessment is taken back.
void Resolution::bury(const std::string& assessment_id, const DeadLetter& letter) {
  if (facts_.remains_.taken_back(assessment_id)) return annul(letter.record_id);
  emit(to_record(letter));
  facts_.remains_.died(assessment_id, letter.record_id, now_ + policy_.letters_max);
  ++meta_.ledger.dead;
  ++counts_.dead;
}

// It ends, and leaves no letter. The tombstone is for who recounts: what is dead, or was.
void Resolution::annul(const std::string& record_id) {
  emit(dead_letter_tombstone(record_id));
  ++meta_.ledger.dead;
  ++counts_.annulled;
}

void Resolution::malformed(Offset offset, std::string_view raw, std::string reason) {
  const auto dead = letter_of_unreadable(raw, std::move(reason), {Stream::feedback, partition_}, offset, now_);
  emit(to_record(dead, policy_.record_bytes_max));
  ++meta_.ledger.logged;
  ++meta_.ledger.dead;
  ++counts_.dead;
}

void Resolution::malformed(const UnreadableRequest& request) {
  const auto dead =
      letter_of_unreadable(request.raw, request.reason, {Stream::requests, partition_}, request.offset, now_);
  emit(to_record(dead, policy_.record_bytes_max));
  ++counts_.dead;
}

// Whether one of the record's ids stands for another body already. What is still parked counts whatever its age: its
// record_id is its key.
bool Resolution::conflicts(const FeedbackRecord& record, Offset offset) const {
  for (const auto& item : record.items) {
    const auto* before = seen(item.record_id);
    if (before && before->body_hash != record.body_hash &&
        is_repeat(*before, offset, meta_.accepted_max, policy_.dedupe_window))
      return true;
    const auto* waiting = parked(item.record_id);
    if (waiting && waiting->body_hash != record.body_hash) return true;
  }
  return false;
}

Resolution::Verdict Resolution::verdict_on(const FeedbackRecord& record, const FeedbackItem& item,
                                           Offset offset) const {
  if (parked(item.record_id)) return Duplicate{};
  // What died is said anew.
  const bool died = record.op == Op::create && facts_.remains_.is_dead(item.assessment_id);
  if (const auto* before = seen(item.record_id);
      before && !died && is_repeat(*before, offset, meta_.accepted_max, policy_.dedupe_window))
    return Duplicate{};
  if (record.op != Op::erase && facts_.remains_.taken_back(item.assessment_id)) return Annul{};
  if (record.op != Op::create) {
    const auto* create = parked(item.assessment_id);
    if (create && create->op == Op::create)
      return Park{create->waits_for() == record.target.id ? std::string() : create->waits_for()};
  }
  // It names its trace itself. The sinks hold it where its create has not come.
  if (record.op != Op::create && record.target.kind == Target::Kind::trace_id) return Forward{record.target.id};
  if (auto trace = trace_of(record.target.id)) return Forward{std::move(*trace)};
  return Park{};
}

void Resolution::note_seen(const FeedbackRecord& record, const FeedbackItem& item, Offset offset) {
  if (!may_repeat(record, policy_)) return;
  auto& entry = facts_.seen_[item.record_id];
  if (!takes_entry(entry, offset, meta_.accepted_max, policy_.dedupe_window)) return;
  entry = Seen{offset, record.body_hash, record.logged_at()};
  step_.state.put(Family::seen, seen_key(partition_, item.record_id), encode_seen(*entry));
}

// Whoever says a create again with its key is heard if it is dead, and not if a replay of it lives: of the logs the
// embedded one looks for repeats itself, by the id that the key gave.
void Resolution::note_key(const std::string& assessment_id, const Seen& seen) {
  if (policy_.log_repeats) return;
  facts_.seen_.insert_or_assign(assessment_id, seen);
  step_.state.put(Family::seen, seen_key(partition_, assessment_id), encode_seen(seen));
}

// Its letters go, and what waits loses its words. A deletion that went to the sinks is remembered there, and here as
// long as something may wait that it could not see: by its trace it went past what waits by the other id. One that
// waits is remembered here: it may be the first to come, and the first whose time is up.
void Resolution::take_back(const std::string& assessment_id, bool forwarded) {
  withdraw(assessment_id);
  for (const auto& record_id : facts_.remains_.end_letters(assessment_id)) emit(dead_letter_tombstone(record_id));
  facts_.remains_.take_back(assessment_id,
                            now_ + (forwarded ? policy_.park_max + std::chrono::seconds(1) : policy_.letters_max));
}

// A create that is said again after it died, or is replayed: there is one of it. A change's letters stay until its
// assessment is taken back: one of a conflict is replayed under the id of another.
void Resolution::revive(const FeedbackRecord& record, const FeedbackItem& item, Offset offset) {
  for (const auto& record_id : facts_.remains_.end_letters_of_create(item.assessment_id))
    emit(dead_letter_tombstone(record_id));
  if (record.attempt > 0 && record.idempotent)
    note_key(item.assessment_id, {offset, record.body_hash, record.logged_at()});
}

// What is taken back while it waits leaves no words, in no dead letter either: neither its create nor its changes.
void Resolution::withdraw(const std::string& assessment_id) {
  std::vector<std::string> record_ids{assessment_id};
  if (const auto at = facts_.parked_of_.find(assessment_id); at != facts_.parked_of_.end())
    record_ids.insert(record_ids.end(), at->second.begin(), at->second.end());
  for (const auto& record_id : record_ids) {
    const auto* const stands = parked(record_id);
    if (!stands || stands->withdrawn || stands->op == Op::erase || stands->item.assessment_id != assessment_id)
      continue;
    auto waiting = *stands;
    assay::withdraw(waiting);
    assay::park(step_.state, partition_, waiting);  // under the same keys
    emit(to_record(waiting, partition_));
    facts_.parked_.insert_or_assign(record_id, std::move(waiting));
  }
}

void Resolution::park(const FeedbackRecord& record, const FeedbackItem& item, std::int64_t order, std::string behind) {
  ParkedRecord waiting{.op = record.op,
                       .target = record.target,
                       .behind = std::move(behind),
                       .accepted_at = record.accepted_at,
                       .expires_at = now_ + policy_.park_max,
                       .order = order,
                       .body_hash = record.body_hash,
                       .idempotent = record.idempotent,
                       .attempt = record.attempt,
                       .item = item};
  const auto* const create = record.op == Op::erase ? parked(item.assessment_id) : nullptr;
  // What takes back outlives what it takes back, by whoever's clock that was parked.
  if (create) waiting.expires_at = std::max(waiting.expires_at, create->expires_at + std::chrono::milliseconds(1));
  assay::park(step_.state, partition_, waiting);
  emit(to_record(waiting, partition_));
  if (!first_expiry_ || waiting.expires_at < *first_expiry_) first_expiry_ = waiting.expires_at;
  facts_.parked_of_[item.assessment_id].push_back(item.record_id);
  facts_.parked_.insert_or_assign(item.record_id, std::move(waiting));
}

void Resolution::decide(const IncomingFeedback& incoming) {
  const auto offset = incoming.offset;
  meta_.feedback = offset + 1;
  ++counts_.feedback;
  if (!incoming.record) return malformed(offset, incoming.raw, incoming.record.error().reason);
  const auto& record = *incoming.record;
  if (record.op != Op::create && record.items.size() != 1)
    return malformed(offset, *to_record(record).value, "a change has more than one item");

  meta_.accepted_max = std::max(meta_.accepted_max, record.logged_at());
  // All or none: a record of which one item is in conflict was another request under a used key.
  const bool in_conflict = conflicts(record, offset);
  std::unordered_set<std::string_view> here;  // an id twice in one record is a repeat, too
  std::int64_t place = 0;
  for (const auto& item : record.items) {
    const auto order = offset * items_per_record_max + place++;
    const bool again = record.items.size() > 1 && !here.insert(item.record_id).second;
    const Verdict verdict = in_conflict ? Conflict{} : again ? Duplicate{} : verdict_on(record, item, offset);
    note_seen(record, item, offset);
    ++meta_.ledger.logged;
    const bool forwarded = std::holds_alternative<Forward>(verdict);
    if (forwarded || std::holds_alternative<Park>(verdict)) {
      if (record.op == Op::erase) take_back(item.assessment_id, forwarded);
      if (record.op == Op::create) revive(record, item, offset);
    }
    std::visit(Overloaded{[&](const Forward& to) {
                            emit(forward(item, record.op, record.target, record.accepted_at, to.trace_id));
                            ++meta_.ledger.forwarded;
                            ++counts_.forwarded;
                          },
                          [&](const Park& where) {
                            park(record, item, order, where.behind);
                            ++meta_.ledger.parked;
                            ++counts_.parked;
                          },
                          [&](const Duplicate&) {
                            ++meta_.ledger.duplicate;
                            ++counts_.duplicate;
                          },
                          [&](const Conflict&) {
                            const StreamPartition from{Stream::feedback, partition_};
                            bury(item.assessment_id, letter_of_conflict(record, item, from, order, now_));
                            ++counts_.conflicts;
                          },
                          [&](const Annul&) { annul(item.record_id); }},
               verdict);
  }
}

bool Resolution::empty() const { return step_.outputs.empty() && step_.state.empty() && meta_ == before_; }

Step Resolution::finish() {
  left_remains_ = facts_.remains_.write(step_);
  save_meta(step_.state, partition_, meta_, before_);
  step_.feedback_position = meta_.feedback;
  return std::move(step_);
}

}  // namespace assay
