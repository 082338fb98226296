#pragma once
// The chats of this door that are read as streams, by trace_id: those under way, and for a while those that have ended,
// for readers whose connection was lost. What has ended is bounded in time (resume_max) and in bytes.
//
// And the memory of all answers, of whatever door, under way or held: what one needs it takes as it grows, through an
// AnswerShare. Where there is no room, the oldest of those that have ended make it; then there is none.
//
// And all that run, of whatever door, for who ends them.
//
// Thread-safe.
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "ingest/chat/live_chat.hpp"

namespace assay {

class LiveChats {
 public:
  LiveChats(const ChatConfig& config, ChatMetrics& metrics);

  // A secret, "rt-" + 16 hex digits that name this door's life + 32 that are random.
  std::string new_token() const;
  // Whether a token was made by this door since it started.
  bool ours(std::string_view token) const;

  void add(std::shared_ptr<LiveChat> chat);
  // Of several chats of one trace (a caller's traceparent joins them) the one that the token is of, or else any. Null:
  // not here, or no more.
  std::shared_ptr<LiveChat> find(std::string_view trace_id, std::string_view token);
  // The one that the caller has started, and comes back to without a token. Null: there is none.
  std::shared_ptr<LiveChat> find_started_by(const ChatIdentity& caller, std::string_view trace_id);
  // Of a chat that was added: it is held for resume_max from now.
  void ended(const LiveChat& chat, std::size_t bytes);
  // Lets go of what has ended and was held until `now`: to be called now and then, for on a quiet door nothing else
  // does.
  void drop_old(Waiter::Time now);

  // Of every chat, of whatever door: it runs from the one to the other, and end_all() reaches it.
  void runs(const std::shared_ptr<LiveChat>& chat);
  void runs_no_more(const LiveChat& chat);

  // For AnswerShare. Bytes of an answer that grows; false: there is no room.
  bool take(std::size_t bytes);
  void give_back(std::size_t bytes);

  // The door drains: what nobody reads ends now, what somebody leaves ends then.
  void begin_drain();
  // What still runs ends now, and its readers are told so.
  void end_all(const ChatFailure& why);

 private:
  struct Held {
    std::string trace_id;
    const LiveChat* chat;  // in chats_
    Waiter::Time until;
    std::size_t bytes;
  };
  std::vector<std::shared_ptr<LiveChat>> all_locked() const;
  bool take_if_room(std::size_t bytes);
  void drop_old_locked(Waiter::Time now = std::chrono::steady_clock::now());
  void drop_oldest_locked();

  const std::chrono::milliseconds resume_max_;
  const std::size_t answers_bytes_max_, held_bytes_max_;
  ChatMetrics& metrics_;
  const std::string life_;
  std::atomic<std::size_t> answers_bytes_{0};  // outlives the chats below, which give theirs back
  std::mutex mutex_;                           // may be taken under a chat's, never the other way round
  std::unordered_multimap<std::string, std::shared_ptr<LiveChat>> chats_;
  std::unordered_map<const LiveChat*, std::weak_ptr<LiveChat>> running_;
  std::deque<Held> held_;  // in the order of their end
  std::size_t held_bytes_ = 0;
  bool draining_ = false;
};

}  // namespace assay
