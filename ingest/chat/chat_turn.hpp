#pragma once
// One chat from its question to its recorded end, whatever protocol it is told in. What it promises:
//  * start() returns once the journal entry and the trace (state IN_PROGRESS) with its ids are durable: only then may
//    an id leave the door;
//  * the model is asked for the next token only when next() is called;
//  * Answered and Failed come once the final record is durable; ended in any other way the trace is ERROR.
// A turn belongs to one task. Its task must have throw_if_cancelled(false), so that a cancelled turn can still be
// recorded.
#include <functional>
#include <memory>
#include <string>
#include <variant>

#include "ingest/chat/chat_backend.hpp"
#include "ingest/chat/chat_journal.hpp"
#include "ingest/chat/chat_metrics.hpp"
#include "ingest/chat/chat_request.hpp"

namespace assay {

struct ChatConfig {
  std::string experiment_id = "0";
  std::chrono::milliseconds chat_max = std::chrono::minutes{10};  // from question to last token (--chat-max)
  std::chrono::milliseconds heartbeat_every = std::chrono::seconds{15};
  std::chrono::milliseconds gone_poll = std::chrono::seconds{1};  // how often to look whether the client is there
  std::size_t message_bytes_max = 128u << 10;                     // of the request's body
  std::size_t response_bytes_max = 128u << 10;
};

// What chats share; all of it outlives them and is thread-safe.
struct ChatServices {
  ChatConfig config;
  EventLog& log;
  ChatBackend& backend;
  ChatJournal& journal;
  ChatMetrics& metrics;
  const Clock& clock;
  // Told of each trace once its ids are durable, before they leave the door; may be empty.
  std::function<void(std::string_view trace_id, std::string_view client_request_id)> on_started = {};
};

class ChatTurn {
 public:
  struct Token {
    std::string content;
  };
  struct Waiting {};  // the model has said nothing for as long as next() was to wait
  struct Answered {};
  struct Failed {
    std::string reason;
    unsigned status;
  };
  using Event = std::variant<Token, Waiting, Answered, Failed>;

  // Errors: over_capacity, and those of EventLog::append.
  static Task<Result<ChatTurn>> start(ChatServices& services, ChatRequest request, std::string name);

  ChatTurn(ChatTurn&&) noexcept;
  ChatTurn& operator=(ChatTurn&&) = delete;
  // One that hasn't ended (an exception) is left over in the journal and closed at the next start.
  ~ChatTurn();

  const std::string& trace_id() const { return chat_.trace_id; }
  const std::string& client_request_id() const { return chat_.client_request_id; }
  // What has been answered so far.
  const std::string& response() const { return outcome_.response; }

  // Call no more after Answered or Failed.
  Task<Event> next(std::chrono::milliseconds patience);
  // Aborts the model and ends the trace in ERROR, for a reason of the caller's.
  Task<void> abandon(std::string reason);

 private:
  struct Pull;
  ChatTurn(ChatServices& services, ChatTrace chat);
  Task<void> stop_pulling();
  Task<Event> fail(ChatFailure failure);
  Task<bool> record_end(std::string error);

  ChatServices* services_;
  ChatTrace chat_;
  ChatOutcome outcome_;
  std::chrono::steady_clock::time_point deadline_;
  std::shared_ptr<Pull> pull_;
  bool ended_ = false;
};

}  // namespace assay
