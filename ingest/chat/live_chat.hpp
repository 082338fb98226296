#pragma once
// A chat while it is answered, apart from whoever reads it. A task of its own, on the thread that the chat came in on,
// asks the model and appends to a bounded text; readers, on any thread, take from it. So a reader may leave and come
// back, may be slow (the model is not asked while too much is unread), or may be another one.
//
//   session ── ChatReader ──▶ LiveChat ◀── drive() ── ChatTurn ── model
//
// The task ends with the chat: at its end, when it is stopped, at chat_max, or resume_max after its reader has left.
#include <boost/asio/cancellation_signal.hpp>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "ingest/chat/chat_turn.hpp"
#include "ingest/chat/waiter.hpp"
#include "ingest/http/admission.hpp"

namespace assay {

class ChatReader;

class LiveChat : public std::enable_shared_from_this<LiveChat> {
 public:
  enum class Kind {
    resumable,  // the text is the answer so far, all of it
    frames,     // the text is OpenAI's events as they are sent on; what was taken is dropped
    whole,      // read when it has ended: the text is the answer, or OpenAI's JSON of it
  };
  enum class End { none, answered, cut, stopped, failed };  // cut: answered, up to the model's limit

  // `starter`: see starter_of(). `home`: the executor of the calling thread. Nothing is asked until launch().
  LiveChat(ChatServices& services, ChatTurn turn, std::optional<ChatIdentity> starter, Kind kind, Executor home);

  const std::string& trace_id() const { return trace_id_; }
  const std::string& client_request_id() const { return client_request_id_; }
  // What the answer can be rated with; empty where there is nothing to sign it with.
  const std::string& feedback_token() const { return feedback_token_; }
  // Whoever shows it started this chat.
  const std::string& resume_token() const { return resume_token_; }
  // So did who is known by the same.
  bool started_by(const ChatIdentity& caller) const { return starter_ == caller; }
  Kind kind() const { return kind_; }

  // Starts the task; on the home thread, once.
  void launch();

  // All below: any thread.
  // Ends it, for a reason; the first call counts.
  void abort(ChatFailure reason);
  void stop();
  // Ends it unless somebody reads: the door drains.
  void abort_if_unread(ChatFailure reason);
  // For who began it and leaves: his part of the door's budget is the chat's until it ends. Not taken where it has.
  void keep(Admission::Permit&& permit);
  // From now on nobody is waited for who has left.
  void hold_no_longer();
  // Returns once it has ended, or at `until`.
  Task<End> ended(Waiter::Time until);
  End end() const;
  // Why it failed. After it has.
  ChatFailure failure() const;
  // Where its records stand: until it has ended those that began it, then its result.
  std::string_view durability() const;
  // Whether a reader can go on behind `position`.
  bool is_position(std::size_t position) const;
  std::size_t size() const;

 private:
  friend class ChatReader;
  enum class Wish { nothing, text, end };
  // The running half, on the home thread; gone when the chat has ended.
  struct Running {
    Running(ChatTurn t, Executor home);
    ChatTurn turn;
    std::shared_ptr<Waiter> room;
    Timer limit, again;
  };

  static Task<void> drive(std::shared_ptr<LiveChat> self);
  bool take(ChatPiece piece);  // false: there is no room for it
  void finish(End end, ChatFailure failure);
  void on_home(void (LiveChat::*act)());
  void set_limit();
  void on_limit();
  void act_on_end();
  void end_wait();
  std::size_t size_locked() const { return base_ + text_.size(); }
  void wake_reader_locked(bool ended);

  ChatServices& services_;
  const std::string trace_id_, client_request_id_, feedback_token_, resume_token_;
  const std::optional<ChatIdentity> starter_;
  const Kind kind_;
  const Executor home_;
  const Waiter::Time deadline_;
  asio::cancellation_signal cancel_;  // outlives the task that is bound to it
  std::unique_ptr<Running> running_;

  mutable std::mutex mutex_;
  AnswerShare share_;  // for text_
  std::string text_;
  std::size_t base_ = 0;   // bytes dropped before text_
  std::size_t taken_ = 0;  // how far the reader has written
  End end_ = End::none;
  std::string_view durability_;
  ChatFailure failure_;
  std::optional<ChatFailure> why_;  // it is to end
  bool stopping_ = false;
  bool waits_for_room_ = false, held_ = true;
  std::uint64_t readers_ = 0;  // the number of the latest
  bool has_reader_ = false;
  std::shared_ptr<Waiter> reader_;
  Wish wish_ = Wish::nothing;
  Waiter::Time left_at_;
  Admission::Permit permit_;  // since its session has left
  std::vector<std::shared_ptr<Waiter>> end_waiters_;
};

// Who reads a chat. The latest wins: an earlier one is told. Leaves when it dies. One task at a time.
class ChatReader {
 public:
  // `executor`: of the reading thread. `from`: a position of the chat.
  ChatReader(std::shared_ptr<LiveChat> chat, std::size_t from, Executor executor);
  ChatReader(const ChatReader&) = delete;
  ~ChatReader();

  struct Part {
    std::string text = {};                    // behind the position, so much as may wait for its reader; may be empty
    std::size_t position = 0;                 // behind `text`
    LiveChat::End end = LiveChat::End::none;  // the chat has ended, and `text` is the rest of it
    bool displaced = false;                   // somebody else reads it now
  };
  // As soon as there is text and it is `not_before`; at the end at once; empty at `until`.
  Task<Part> next(Waiter::Time not_before, Waiter::Time until);
  // What the last part said has been written: the model may be asked for more.
  void taken();

 private:
  std::shared_ptr<LiveChat> chat_;
  std::shared_ptr<Waiter> waiter_;
  std::uint64_t number_;
  std::size_t position_;
};

}  // namespace assay
