#include "ingest/chat/live_chats.hpp"

#include "ingest/access/secret.hpp"
#include "ops/runtime/ids.hpp"

namespace assay {
namespace {

constexpr std::string_view token_prefix = "rt-";
constexpr std::size_t chat_overhead_bytes = 1024;  // of an empty one that is held

}  // namespace

LiveChats::LiveChats(const ChatConfig& config, ChatMetrics& metrics)
    : resume_max_(config.resume_max),
      answers_bytes_max_(config.answers_bytes_max),
      held_bytes_max_(config.held_bytes_max),
      metrics_(metrics),
      life_(random_span_id()) {}

std::string LiveChats::new_token() const { return random_id(std::string(token_prefix).append(life_)); }

bool LiveChats::ours(std::string_view token) const {
  return token.starts_with(token_prefix) && token.substr(token_prefix.size()).starts_with(life_);
}

void LiveChats::add(std::shared_ptr<LiveChat> chat) {
  bool draining;
  {
    const std::lock_guard lock(mutex_);
    drop_old_locked();
    draining = draining_;
    chats_.emplace(chat->trace_id(), chat);
  }
  if (draining) chat->hold_no_longer();
}

std::shared_ptr<LiveChat> LiveChats::find(std::string_view trace_id, std::string_view token) {
  const std::lock_guard lock(mutex_);
  drop_old_locked();
  std::shared_ptr<LiveChat> found;
  for (auto [at, end] = chats_.equal_range(std::string(trace_id)); at != end; ++at)
    if (!found || equal_secrets(token, at->second->resume_token())) found = at->second;
  return found;
}

std::shared_ptr<LiveChat> LiveChats::find_started_by(const ChatIdentity& caller, std::string_view trace_id) {
  const std::lock_guard lock(mutex_);
  drop_old_locked();
  for (auto [at, end] = chats_.equal_range(std::string(trace_id)); at != end; ++at)
    if (at->second->started_by(caller)) return at->second;
  return nullptr;
}

void LiveChats::ended(const LiveChat& chat, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  bytes += chat_overhead_bytes;
  held_.push_back({chat.trace_id(), &chat, std::chrono::steady_clock::now() + resume_max_, bytes});
  held_bytes_ += bytes;
  drop_old_locked();
}

void LiveChats::runs(const std::shared_ptr<LiveChat>& chat) {
  const std::lock_guard lock(mutex_);
  running_.insert_or_assign(chat.get(), chat);
}

void LiveChats::runs_no_more(const LiveChat& chat) {
  const std::lock_guard lock(mutex_);
  running_.erase(&chat);
}

bool LiveChats::take_if_room(std::size_t bytes) {
  // Take first, look afterwards: see Admission.
  if ((answers_bytes_ += bytes) > answers_bytes_max_) {
    answers_bytes_ -= bytes;
    return false;
  }
  metrics_.held_bytes.Increment(static_cast<double>(bytes));
  return true;
}

bool LiveChats::take(std::size_t bytes) {
  if (take_if_room(bytes)) return true;
  const std::lock_guard lock(mutex_);
  while (!held_.empty()) {
    drop_oldest_locked();
    if (take_if_room(bytes)) return true;
  }
  return false;
}

void LiveChats::give_back(std::size_t bytes) {
  answers_bytes_ -= bytes;
  metrics_.held_bytes.Decrement(static_cast<double>(bytes));
}

void LiveChats::drop_old(Waiter::Time now) {
  const std::lock_guard lock(mutex_);
  drop_old_locked(now);
}

void LiveChats::drop_old_locked(Waiter::Time now) {
  while (!held_.empty() && (held_.front().until <= now || held_bytes_ > held_bytes_max_)) drop_oldest_locked();
}

void LiveChats::drop_oldest_locked() {
  held_bytes_ -= held_.front().bytes;
  for (auto [at, end] = chats_.equal_range(held_.front().trace_id); at != end; ++at) {
    if (at->second.get() != held_.front().chat) continue;
    chats_.erase(at);
    break;
  }
  held_.pop_front();
}

std::vector<std::shared_ptr<LiveChat>> LiveChats::all_locked() const {
  std::vector<std::shared_ptr<LiveChat>> chats;
  for (const auto& [id, chat] : chats_) chats.push_back(chat);
  return chats;
}

void LiveChats::begin_drain() {
  std::unique_lock lock(mutex_);
  draining_ = true;
  const auto chats = all_locked();
  lock.unlock();
  for (const auto& chat : chats) chat->hold_no_longer();
}

void LiveChats::end_all(const ChatFailure& why) {
  std::unique_lock lock(mutex_);
  auto chats = all_locked();
  for (const auto& [at, running] : running_)
    if (auto chat = running.lock()) chats.push_back(std::move(chat));
  lock.unlock();
  for (const auto& chat : chats) chat->abort(why);
}

}  // namespace assay
