#include "ingest/chat/chat_journal.hpp"

#include "ops/runtime/log.hpp"

namespace assay {
namespace {

constexpr std::string_view prefix = "chat/";
// The first byte of a value. On disk: DO NOT CHANGE.
constexpr char open_entry = 'o', ended_entry = 'e';

std::string key_of(std::string_view name) { return std::string(prefix).append(name); }

// `in_log`: an open entry was written with the chat's first record.
Result<TraceRecord, Malformed> final_record(std::string_view value, Instant now, bool in_log) {
  if (value.starts_with(ended_entry)) return parse_trace_record(value.substr(1));
  if (!value.starts_with(open_entry)) return Malformed{"not a journal entry"};
  const auto chat = parse_chat_trace(value.substr(1));
  if (!chat) return chat.error();
  const ChatOutcome outcome{.ended_at = std::max(now, chat->started_at),
                            .error = "the front door was restarted while it answered",
                            .begun = in_log};
  return ended_trace(*chat, outcome);
}

}  // namespace

Changes ChatJournal::entry(std::string_view name, char kind, std::string json) const {
  if (clear_) clear_(json);
  Changes changes;
  changes.put(Family::journal, key_of(name), kind + std::move(json));
  return changes;
}

Result<Changes> ChatJournal::open(const ChatTrace& chat) {
  {
    const std::lock_guard lock(mutex_);
    if (entries_ >= entries_max_) return Error::over_capacity;
    ++entries_;
  }
  auto changes = entry(name_of(chat), open_entry, to_json(chat));
  if (in_log_) return changes;
  if (const auto written = disk_.write(changes); !written) {
    give_back_place();
    return written.error();
  }
  return Changes();
}

Changes ChatJournal::end(const ChatTrace& chat, const TraceRecord& record) {
  Changes changes;
  if (in_log_)
    changes.erase(Family::journal, key_of(name_of(chat)));
  else
    put_final(chat, record);
  return changes;
}

void ChatJournal::put_final(const ChatTrace& chat, const TraceRecord& record) {
  // Where the disk does not take it the open entry stays, and the chat is closed as an ERROR.
  if (const auto noted = disk_.write(entry(name_of(chat), ended_entry, *to_record(record).value)); !noted)
    spdlog::warn("event=chat_journal_failed trace_id={} error=\"{}\"", chat.trace_id, noted.error().message());
}

void ChatJournal::close(const ChatTrace& chat) {
  if (!in_log_) return close_entry(name_of(chat));
  give_back_place();
}

// Where the log hangs at the disk that is both of theirs, this thread would hang there, too: the open entry stays, and
// the chat is closed as an ERROR.
void ChatJournal::leave_over(const ChatTrace& chat, const TraceRecord& record, const EventLog& log) {
  const auto writable = log.writable();
  const bool hangs = in_log_ && !writable && writable.error() == Error::log_unavailable;
  if (!hangs) put_final(chat, record);
  leave_entry_over(name_of(chat));
}

void ChatJournal::close_entry(std::string_view name) {
  Changes changes;
  changes.erase(Family::journal, key_of(name));
  // One that stays is appended again after a restart, which changes nothing.
  if (const auto erased = disk_.write(changes); !erased)
    spdlog::warn("event=chat_journal_erase_failed error=\"{}\"", erased.error().message());
  give_back_place();
}

void ChatJournal::give_back_place() {
  const std::lock_guard lock(mutex_);
  --entries_;
}

void ChatJournal::leave_entry_over(std::string name) {
  const std::lock_guard lock(mutex_);
  left_over_.push_back(std::move(name));
}

Result<std::size_t> ChatJournal::load() {
  const std::lock_guard lock(mutex_);
  left_over_.clear();
  const auto scanned = disk_.scan(Family::journal, prefix, after_prefix(prefix), [&](std::string_view key, auto) {
    left_over_.emplace_back(key.substr(prefix.size()));
    return true;
  });
  if (!scanned) return scanned.error();
  entries_ = left_over_.size();
  return entries_;
}

std::optional<std::string> ChatJournal::take_left_over() {
  const std::lock_guard lock(mutex_);
  if (left_over_.empty()) return {};
  auto name = std::move(left_over_.front());
  left_over_.pop_front();
  return name;
}

// Only the trace record is appended again, not those of assay.requests: the client may have asked anew under the same
// client_request_id at another door meanwhile, and that answer's trace must keep it. Where the door died before its
// first append, nobody has learnt the trace_id that is then missing there.
Task<Result<std::size_t>> ChatJournal::close_left_over(EventLog& log, Instant now, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    auto name = take_left_over();
    if (!name) break;
    const auto value = disk_.get(Family::journal, key_of(*name));
    if (!value) {
      leave_entry_over(std::move(*name));
      co_return value.error();
    }
    if (!*value) {  // the disk took neither its first entry nor its last
      give_back_place();
      continue;
    }
    auto record = final_record(**value, now, in_log_);
    if (!record) {
      spdlog::error("event=chat_journal_corrupt entry={} reason=\"{}\"", *name, record.error().reason);
      close_entry(*name);
      continue;
    }
    auto appended = co_await log.append(to_record(*record));
    if (is_too_long(appended)) {
      spdlog::warn("event=chat_closed_without_spans trace_id={} reason=\"too long for the log\"", record->trace_id);
      record->spans.clear();
      appended = co_await log.append(to_record(*record));
    }
    if (!appended) {
      leave_entry_over(std::move(*name));
      co_return appended.error();
    }
    close_entry(*name);
  }
  co_return left_over();
}

std::size_t ChatJournal::entries() const {
  const std::lock_guard lock(mutex_);
  return entries_;
}

std::size_t ChatJournal::left_over() const {
  const std::lock_guard lock(mutex_);
  return left_over_.size();
}

}  // namespace assay
