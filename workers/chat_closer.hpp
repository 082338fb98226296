#pragma once
// Ends the chats of front doors that never came back. A door says in a chat's first record by when it will have ended
// (TraceRecord::ends_by) and, when it is killed, ends what was open itself once it runs again. Where neither happens
// the trace would be IN_PROGRESS for ever: whoever follows assay.traces then writes its end, in state ERROR.
//
// The end written here never displaces one of the door's own that comes even later: it is stamped as of the chat's
// beginning, and the store lets the later stamp win. It is a function of the chat's first record, so that two closers
// of one partition (a member of the group that does not know yet that it is out) write the same one twice.
#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "ops/runtime/clock.hpp"
#include "ops/runtime/metrics.hpp"
#include "storage/log/event_source.hpp"
#include "storage/log/stall_watch.hpp"
#include "storage/records/trace_record.hpp"

namespace assay {

struct ChatCloserConfig {
  std::vector<Partition> partitions;  // of assay.traces
  std::size_t records_max = 1024;     // of one read
  std::size_t closes_max = 64;        // in one step, a re-read and an append each
  std::size_t chats_max = 1'000'000;  // followed at once, some 200 bytes each; over it the oldest is forgotten
  // For /livez: one read, one position or one end, each of which Kafka has some seconds for; and the commit of a
  // position, which librdkafka puts off for up to a session, an hour at most (kafka_group.hpp).
  std::chrono::milliseconds stuck_after = std::chrono::minutes(75);
};

// Where a partition is begun: one past the last record that needs not be read again, 0 where nothing was saved.
struct ChatPositions {
  std::function<Result<Offset>(StreamPartition)> load;
  std::function<Result<void>(std::span<const std::pair<StreamPartition, Offset>>)> save;
};

// Appends one record and waits for it to be durable.
using AppendRecord = std::function<Result<void>(Record)>;

class ChatCloser {
 public:
  // All that is referred to outlives it. Metrics: assay_worker_chats_open, assay_worker_chats_closed_total.
  ChatCloser(ChatCloserConfig config, EventSources& sources, ChatPositions positions, AppendRecord append,
             const Clock& clock, Metrics& metrics);
  ~ChatCloser();  // stops

  // Starts the thread. The log may be away: it is opened when it comes.
  void start();
  // Thread-safe, may be called twice.
  void stop();

  // One turn of the loop, for tests (without start()): reads at most one batch without waiting longer than `wait`, and
  // closes what was due once all that was there then has been read. How many it has closed.
  Result<std::size_t> step(std::chrono::milliseconds wait, std::stop_token stop = {});
  std::size_t open() const { return open_; }
  // For /livez: its thread hangs. Thread-safe.
  bool stuck() const { return step_.stalled(); }

 private:
  struct Chat {
    std::string trace_id;
    Instant due;  // not before
  };
  // A chat was seen to be due when the partition ended there; not "is at its end": under load a reader never is.
  struct Due {
    Instant at;
    Offset end;
  };
  struct FollowedPartition {
    std::map<Offset, Chat> chats;  // by where they began
    std::optional<Due> due;
    Offset saved = -1;
  };

  void run(std::stop_token stop);
  Result<std::size_t> step_or_fail(std::stop_token stop);
  Result<void> open_source();
  void note(const LogRecord& record);
  void ended(const std::string& trace_id);
  Result<std::size_t> close_due(std::stop_token stop);
  Result<void> close(Partition partition, EventSource& source, Offset offset, const std::string& trace_id);
  Result<void> save();

  const ChatCloserConfig config_;
  EventSources& sources_;
  const ChatPositions positions_;
  const AppendRecord append_;
  const Clock& clock_;
  Gauge& open_gauge_;
  Counter& closed_;

  std::map<Partition, FollowedPartition> followed_;
  std::size_t unsaved_turns_ = 0;
  bool more_due_ = false;
  // Of each chat, by trace_id, where it stands in followed_: one of a trace, whatever key its records have.
  std::unordered_map<std::string, std::pair<Partition, Offset>> where_;
  std::atomic<std::size_t> open_{0};
  StallWatch step_;
  std::mutex mutex_;  // the source's life against wake()
  std::unique_ptr<EventSource> source_;
  std::jthread thread_;
};

// The end of a chat whose door did not come back, from the record that it began with. With a root span, without which
// the trace would not be whole for who asks for it; where the chat joined a caller's trace, that has its own. Pure.
Result<TraceRecord, Malformed> abandoned_chat(const TraceRecord& opened);

}  // namespace assay
