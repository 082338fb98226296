#include "ops/cli/dead_letter_acts.hpp"

#include <algorithm>
#include <charconv>

#include "ops/runtime/run_task.hpp"

namespace assay::cli {

Result<std::string> letter_meant_by(const KeyValue& store, const std::string& id) {
  const auto own = store.get(Family::dead, id);
  if (!own) return own.error();
  if (*own) return Result<std::string>(id);
  int newest = 0;
  const auto attempts = id + "#";
  const auto scanned = store.scan(Family::dead, attempts, id + "$", [&](std::string_view key, std::string_view) {
    const auto number = key.substr(attempts.size());
    int attempt = 0;
    const auto [end, failed] = std::from_chars(number.data(), number.data() + number.size(), attempt);
    if (failed == std::errc() && end == number.data() + number.size()) newest = std::max(newest, attempt);
    return true;
  });
  if (!scanned) return scanned.error();
  return newest > 0 ? attempts + std::to_string(newest) : id;
}

std::vector<Result<Appended>> DeadLetterActs::append_all(std::vector<Record> records) const {
  std::scoped_lock lock(mutex_);
  return run_task(io_, log_.append_all(std::move(records)));
}

Result<void> DeadLetterActs::append(std::vector<Record> records) const {
  for (const auto& appended : append_all(std::move(records)))
    if (!appended) return appended.error();
  return {};
}

Result<void> DeadLetterActs::write_dead_letter(DeadLetter dead) const {
  return append({to_record(dead, record_bytes_max_)});
}

Result<std::unique_ptr<DeadLetter>, std::string> DeadLetterActs::find(std::string_view record_id) const {
  const auto value = store_.get(Family::dead, record_id);
  if (!value) return "the store can't be read: " + value.error().message();
  if (!*value) return "there is no dead letter " + std::string(record_id);
  auto dead = parse_dead_letter(**value);
  if (!dead) return "the dead letter can't be read: " + dead.error().reason;
  return std::make_unique<DeadLetter>(std::move(*dead));
}

Result<DeadLetterActs::Replay, std::string> DeadLetterActs::replay_meant_by(std::string_view id) const {
  const auto meant = letter_meant_by(store_, std::string(id));
  if (!meant) return "the store can't be read: " + meant.error().message();
  const auto& record_id = *meant;
  const auto found = find(record_id);
  if (!found) return found.error();
  auto* const dead = found->get();
  if (dead->taken_back()) return "it was taken back: nothing is left of it that could be replayed";
  if (!dead->record) return "it holds no feedback that could be replayed: " + dead->detail;
  // Its id is that of what was said first: every sink would take it for that, and drop it.
  if (dead->reason == dead_reason::idempotency_conflict && dead->record->op == Op::create)
    return "its idempotency key is another request's: it can only be said again, with a key of its own";
  return Replay{record_id, to_record(replay_of(std::move(*dead->record), SystemClock().now()))};
}

Result<void, std::string> DeadLetterActs::replay(std::string_view id) const {
  const std::string one(id);
  return replay({&one, 1});
}

Result<void, std::string> DeadLetterActs::replay(std::span<const std::string> ids) const {
  std::vector<std::string> letters;
  std::vector<Record> records;
  for (const auto& id : ids) {
    auto replay = replay_meant_by(id);
    if (!replay) return replay.error();
    letters.push_back(std::move(replay->first));
    records.push_back(std::move(replay->second));
  }
  for (const auto& replayed : append_all(std::move(records))) {
    if (!replayed) return "the log did not take it: " + replayed.error().message();
    if (replayed->outcome == Appended::Outcome::conflict) return "another one of the same key was replayed before it";
  }
  // The tombstones only when the feedback is durable.
  return end(letters);
}

Result<void, std::string> DeadLetterActs::purge(std::string_view record_id) const {
  const std::string one(record_id);
  return purge({&one, 1});
}

Result<void, std::string> DeadLetterActs::purge(std::span<const std::string> record_ids) const {
  for (const auto& record_id : record_ids)
    if (const auto dead = store_.get(Family::dead, record_id); !dead || !*dead)
      return "there is no dead letter " + record_id;
  return end(record_ids);
}

Result<void, std::string> DeadLetterActs::end(std::span<const std::string> record_ids) const {
  std::vector<Record> tombstones;
  for (const auto& record_id : record_ids) tombstones.push_back(dead_letter_tombstone(record_id));
  if (const auto appended = append(std::move(tombstones)); !appended)
    return "the log did not take it: " + appended.error().message();
  return {};
}

std::string DeadLetterActs::answer(const std::string& line) const {
  const auto blank = line.find(' ');
  const auto act = line.substr(0, blank), id = blank == line.npos ? std::string() : line.substr(blank + 1);
  const auto ids = [&] {
    std::vector<std::string> out;
    for (std::size_t from = 0; from <= id.size(); from = std::min(id.find(between_ids, from), id.size()) + 1)
      out.push_back(id.substr(from, id.find(between_ids, from) - from));
    return out;
  };
  Result<void, std::string> done = std::string("there is no command \"" + act + "\"");
  if (act == "replay")
    done = replay(id);
  else if (act == "purge")
    done = purge(id);
  else if (act == "replay-these")
    done = replay(ids());
  else if (act == "purge-these")
    done = purge(ids());
  return done ? "ok" : "error " + done.error();
}

}  // namespace assay::cli
