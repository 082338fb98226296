#pragma once
// One chat from its question to its recorded end, whatever protocol it is told in. What it promises:
//  * start() returns once the journal entry and the trace (state IN_PROGRESS) with its ids are durable: only then may
//    an id leave the door;
//  * the model is asked for the next piece only when next() is called;
//  * Answered, Stopped and Failed come once the final record is durable or, where the log does not take it, in the
//    journal; ended in any other way the trace is ERROR.
// A turn belongs to one task and its thread. Its task must have throw_if_cancelled(false), so that a cancelled turn can
// still be recorded.
#include <functional>
#include <memory>
#include <string>
#include <variant>

#include "ingest/chat/answer_share.hpp"
#include "ingest/chat/chat_backend.hpp"
#include "ingest/chat/chat_config.hpp"
#include "ingest/chat/chat_journal.hpp"
#include "ingest/chat/chat_metrics.hpp"
#include "ingest/chat/chat_request.hpp"

namespace assay {

// The reason of a chat whose reader has left.
inline constexpr std::string_view client_left = "client went away";

// What chats share; all of it outlives them and is thread-safe.
struct ChatServices {
  ChatConfig config;
  EventLog& log;
  ChatBackend& backend;
  ChatJournal& journal;
  ChatMetrics& metrics;
  const Clock& clock;
  LiveChats& live;
  // Told of each trace once its ids are durable, before they leave the door; may be empty.
  std::function<void(std::string_view trace_id, std::string_view client_request_id)> on_started = {};
  // The token that the answer's reader may rate it with; empty, or returning nothing: none.
  std::function<std::string(std::string_view trace_id, std::string_view client_request_id, std::string_view user)>
      feedback_token = {};
};

class ChatTurn {
 public:
  struct Answered {
    bool cut = false;  // by the model, at its limit of length
  };
  struct Stopped {};  // whoever asked wanted no more of it
  using Failed = ChatFailure;
  using Event = std::variant<ChatPiece, Answered, Stopped, Failed>;

  // `name`: of the trace and its root span. Errors: over_capacity, and those of EventLog::append.
  static Task<Result<ChatTurn>> start(ChatServices& services, ChatRequest request, std::string name);

  ChatTurn(ChatTurn&&) noexcept;
  ChatTurn& operator=(ChatTurn&&) = delete;
  // One that hasn't ended (an exception) is left over in the journal and closed at the next start.
  ~ChatTurn();

  const std::string& trace_id() const { return chat_.trace_id; }
  const std::string& client_request_id() const { return chat_.client_request_id; }
  std::string feedback_token() const;
  // Where the records stand that were written so far: the value of Assay-Durability.
  std::string_view durability() const { return durability_; }

  // Call no more after Answered, Stopped or Failed.
  Task<Event> next();
  // From now on next() ends the trace: in ERROR for a reason, or as what was stopped on purpose. The first call counts.
  // Whoever calls it while pulling() also cancels (terminal) the task that pulls.
  void abort(ChatFailure reason);
  void stop();
  bool pulling() const { return pulling_; }

 private:
  ChatTurn(ChatServices& services, AnswerShare share, ChatTrace chat, ChatQuestion question);
  Task<ChatAnswer::Next> pull();
  void record(std::string_view text, std::string& to);
  void record(const ToolCall& part);
  Task<Event> fail(ChatFailure failure);
  Task<Result<Appended>> append_end(const TraceRecord& record);
  Task<bool> record_end(std::string error);

  ChatServices* services_;
  AnswerShare share_;  // for what is recorded
  ChatTrace chat_;
  std::string_view durability_;
  ChatOutcome outcome_;
  ChatQuestion question_;
  std::unique_ptr<ChatAnswer> answer_;
  std::optional<std::variant<Stopped, Failed>> ending_;
  std::size_t answered_bytes_ = 0, recorded_bytes_ = 0;
  bool pulling_ = false, begun_ = false, ended_ = false;
};

}  // namespace assay
