#pragma once
// The chats of this door that are under way, on its own disk, so that no trace stays IN_PROGRESS for ever when the door
// is killed or the log is away at the wrong moment.
//
// An entry is there before the chat's first record is (`open`), is replaced by its final record before that is appended
// (`end`), and erased once it is durable. So an entry found later says exactly what is still to be done: an open one
// becomes state ERROR with a reason; an ended one is appended as it is, which is harmless if it was already.
//
// Where the log is kept in the same database the entry comes and goes in the very writes of the first and the final
// record, and is replaced only where the log did not take the latter: a write of its own costs more than all else of a
// short chat.
#include <deque>
#include <functional>
#include <mutex>
#include <string>

#include "ingest/chat/chat_trace.hpp"
#include "storage/log/event_log.hpp"
#include "storage/state/key_value.hpp"

namespace assay {

// Whether a record is longer than the log takes: it never will be taken.
inline bool is_too_long(const Result<Appended>& appended) {
  return !appended && appended.error() == boost::system::errc::message_size;
}

// Thread-safe. A key in Family::journal is "chat/", the trace_id, a slash and the root span's id: a caller's
// traceparent may join several chats to one trace.
class ChatJournal {
 public:
  static constexpr std::size_t entries_max_default = 50'000;
  // Takes out of an entry's JSON what must not be kept; any thread. None: all of it is kept.
  using Clear = std::function<void(std::string& json)>;
  explicit ChatJournal(KeyValue& disk, std::size_t entries_max = entries_max_default, Clear clear = nullptr,
                       bool in_log = false)
      : disk_(disk), entries_max_(entries_max), clear_(std::move(clear)), in_log_(in_log) {}

  // Whether the log's disk is its own: where that one hangs, so would who writes here.
  bool in_log() const { return in_log_; }
  // What belongs into the write of the chat's first record: EventLog::append_with. Error::over_capacity when
  // entries_max are there: too many chats at once, or a log that has been away for long.
  Result<Changes> open(const ChatTrace& chat);
  // What belongs into the write of its final record.
  Changes end(const ChatTrace& chat, const TraceRecord& final_record);
  // Its final record is durable, or its first was not written.
  void close(const ChatTrace& chat);
  // Its final record could not be appended to `log` now: close_left_over will.
  void leave_over(const ChatTrace& chat, const TraceRecord& final_record, const EventLog& log);

  // At start-up, before the door opens: everything found is left over.
  Result<std::size_t> load();
  // Appends the final records of at most `count` that are left over, oldest first; how many are left. Stops at the
  // first append that fails. One that is too long for the log goes without its spans.
  Task<Result<std::size_t>> close_left_over(EventLog& log, Instant now, std::size_t count);

  std::size_t entries() const;
  std::size_t left_over() const;

 private:
  static std::string name_of(const ChatTrace& chat) { return chat.trace_id + "/" + chat.span_id; }
  Changes entry(std::string_view name, char kind, std::string json) const;
  void put_final(const ChatTrace& chat, const TraceRecord& record);
  void close_entry(std::string_view name);
  void give_back_place();
  void leave_entry_over(std::string name);
  std::optional<std::string> take_left_over();

  KeyValue& disk_;
  const std::size_t entries_max_;
  const Clear clear_;
  const bool in_log_;  // the log's database is `disk_`
  mutable std::mutex mutex_;
  std::size_t entries_ = 0;
  std::deque<std::string> left_over_;
};

}  // namespace assay
