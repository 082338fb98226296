#pragma once
// What is done with dead letters beside showing them: write_dead_letter (a sink gives a record up), replay, purge. Each
// is an append to the log, which the store follows.
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "storage/log/event_log.hpp"
#include "storage/records/dead_letter_record.hpp"
#include "storage/state/key_value.hpp"

namespace assay::cli {

// The letter that is meant by an id: its own, or where that has been replayed, that of its newest attempt (ID#N).
Result<std::string> letter_meant_by(const KeyValue& store, const std::string& id);

// Between the ids of a line that names many.
inline constexpr char between_ids = '\t';

// Thread-safe; one act at a time.
class DeadLetterActs {
 public:
  // `io` runs only inside the acts; `record_bytes_max` is what the log takes.
  DeadLetterActs(const KeyValue& store, EventLog& log, IoContext& io, std::size_t record_bytes_max = 1'000'000)
      : store_(store), log_(log), io_(io), record_bytes_max_(record_bytes_max) {}

  // Durable when it returns.
  Result<void> append(std::vector<Record> records) const;
  Result<void> write_dead_letter(DeadLetter dead) const;
  // The feedback goes through the log once more, as the next attempt; then the dead letter is taken away. In a sentence
  // what stands against it, and the letter stays. Of an id whose letter was replayed before it takes the newest
  // attempt's. Twice is harmless: the attempt's record_id is the same.
  Result<void, std::string> replay(std::string_view id) const;
  Result<void, std::string> purge(std::string_view record_id) const;
  // The same of many, in two appends. Where one of them can't be, none is ended: then each is to be tried by itself.
  Result<void, std::string> replay(std::span<const std::string> ids) const;
  Result<void, std::string> purge(std::span<const std::string> record_ids) const;
  // A line of the control socket.
  std::string answer(const std::string& line) const;

 private:
  using Replay = std::pair<std::string, Record>;  // the record_id of the letter, and the feedback once more
  Result<std::unique_ptr<DeadLetter>, std::string> find(std::string_view record_id) const;
  Result<Replay, std::string> replay_meant_by(std::string_view id) const;
  std::vector<Result<Appended>> append_all(std::vector<Record> records) const;
  Result<void, std::string> end(std::span<const std::string> record_ids) const;  // their tombstones

  const KeyValue& store_;
  EventLog& log_;
  IoContext& io_;
  const std::size_t record_bytes_max_;
  mutable std::mutex mutex_;
};

}  // namespace assay::cli
