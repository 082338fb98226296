#include "ops/cli/dead_letter_acts.hpp"

#include "ops/runtime/run_task.hpp"

#include "storage/records/fields.hpp"

namespace assay::cli {

Result<void> DeadLetterActs::append(std::vector<Record> records) const {
  std::scoped_lock lock(mutex_);
  // One after the other: the tombstone only when the feedback is durable.
  auto all = [&]() -> Task<Result<void>> {
    for (auto& record : records)
      if (const auto appended = co_await log_.append(std::move(record)); !appended) co_return appended.error();
    co_return Result<void>();
  };
  return run_task(io_, all());
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

Result<void, std::string> DeadLetterActs::replay(std::string_view record_id) const {
  const auto found = find(record_id);
  if (!found) return found.error();
  auto* const dead = found->get();
  if (!dead->record)
    return "it holds no feedback that could be replayed: its bytes could not be read (" + dead->detail + ")";
  auto& feedback = *dead->record;
  ++feedback.attempt;
  if (auto& id = feedback.items.front().record_id; feedback.op != Op::create)
    id = record_id_of(id.substr(0, id.find('#')), feedback.attempt);
  feedback.accepted_at = SystemClock().now();
  if (const auto appended = append({to_record(feedback), dead_letter_tombstone(record_id)}); !appended)
    return "the log did not take it: " + appended.error().message();
  return {};
}

Result<void, std::string> DeadLetterActs::purge(std::string_view record_id) const {
  if (const auto dead = store_.get(Family::dead, record_id); !dead || !*dead)
    return "there is no dead letter " + std::string(record_id);
  if (const auto appended = append({dead_letter_tombstone(record_id)}); !appended)
    return "the log did not take it: " + appended.error().message();
  return {};
}

std::string DeadLetterActs::answer(const std::string& line) const {
  const auto blank = line.find(' ');
  const auto act = line.substr(0, blank), id = blank == line.npos ? std::string() : line.substr(blank + 1);
  Result<void, std::string> done = std::string("there is no command \"" + act + "\"");
  if (act == "replay")
    done = replay(id);
  else if (act == "purge")
    done = purge(id);
  return done ? "ok" : "error " + done.error();
}

}  // namespace assay::cli
