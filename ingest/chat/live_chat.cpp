#include "ingest/chat/live_chat.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>

#include "ingest/chat/live_chats.hpp"
#include "ops/runtime/log.hpp"
#include "storage/records/utf8.hpp"

namespace assay {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds cancel_again{100};
constexpr std::size_t part_bytes_max = 64u << 10;  // of a resumable chat: its reader may come back for all of it

}  // namespace

LiveChat::Running::Running(ChatTurn t, Executor home)
    : turn(std::move(t)), room(std::make_shared<Waiter>(home)), limit(home), again(home) {}

LiveChat::LiveChat(ChatServices& services, ChatTurn turn, std::optional<ChatIdentity> starter, Kind kind, Executor home)
    : services_(services),
      trace_id_(turn.trace_id()),
      client_request_id_(turn.client_request_id()),
      feedback_token_(turn.feedback_token()),
      resume_token_(kind == Kind::resumable ? services.live.new_token() : std::string()),
      starter_(std::move(starter)),
      kind_(kind),
      home_(home),
      deadline_(steady_clock::now() + services.config.chat_max),
      running_(std::make_unique<Running>(std::move(turn), home)),
      share_(services.live),
      durability_(running_->turn.durability()),
      left_at_(steady_clock::now()) {}

void LiveChat::launch() {
  set_limit();
  auto self = shared_from_this();
  auto done = [self](std::exception_ptr thrown) {
    if (!thrown) return;
    spdlog::error("event=chat_failed trace_id={}", self->trace_id_);
    self->finish(End::failed, ChatFailure{"an error of our own", 500});
  };
  services_.live.runs(self);
  asio::co_spawn(home_, drive(self), asio::bind_cancellation_slot(cancel_.slot(), std::move(done)));
}

Task<void> LiveChat::drive(std::shared_ptr<LiveChat> self) {
  co_await asio::this_coro::throw_if_cancelled(false);
  auto& running = *self->running_;
  for (bool ended = false; !ended;) {
    for (;;) {
      {
        const std::lock_guard lock(self->mutex_);
        const bool full =
            self->kind_ != Kind::whole && self->size_locked() >= self->taken_ + self->services_.config.unread_bytes_max;
        self->waits_for_room_ = full && !self->why_ && !self->stopping_;
        if (!self->waits_for_room_) break;
      }
      co_await running.room->wait(Waiter::Time::max());
    }
    auto event = co_await running.turn.next();
    if (auto* piece = std::get_if<ChatPiece>(&event)) {
      if (!self->take(std::move(*piece))) self->abort({"the front door has no room for more of its answers", 503});
      continue;
    }
    ended = true;
    if (auto* failed = std::get_if<ChatTurn::Failed>(&event))
      self->finish(End::failed, std::move(*failed));
    else if (auto* answered = std::get_if<ChatTurn::Answered>(&event))
      self->finish(answered->cut ? End::cut : End::answered, {});
    else
      self->finish(End::stopped, {});
  }
  auto& services = self->services_;
  if (services.journal.left_over() > 0) {
    constexpr std::size_t closed_along = 2;
    co_await services.journal.close_left_over(services.log, services.clock.now(), closed_along);
  }
}

bool LiveChat::take(ChatPiece piece) {
  const std::lock_guard lock(mutex_);
  const auto& said = piece.raw.empty() ? piece.content : piece.raw;
  if (!share_.cover(text_.size() + said.size())) return false;
  if (kind_ == Kind::frames)
    text_.append("data: ").append(said).append("\n\n");
  else
    text_ += said;
  wake_reader_locked(false);
  return true;
}

void LiveChat::wake_reader_locked(bool ended) {
  if (wish_ == Wish::nothing || (wish_ == Wish::end && !ended)) return;
  wish_ = Wish::nothing;
  reader_->wake();
}

void LiveChat::finish(End end, ChatFailure failure) {
  std::size_t bytes;
  {
    const std::lock_guard lock(mutex_);
    if (end_ != End::none) return;
    end_ = end;
    if (running_) durability_ = running_->turn.durability();
    failure_ = std::move(failure);
    bytes = text_.size();
    wake_reader_locked(true);
    for (auto& waiter : end_waiters_) waiter->wake();
    end_waiters_.clear();
    permit_ = {};
  }
  running_.reset();
  services_.live.runs_no_more(*this);
  if (kind_ == Kind::resumable) services_.live.ended(*this, bytes);
}

void LiveChat::on_home(void (LiveChat::*act)()) {
  if (home_.running_in_this_thread()) return (this->*act)();
  // Not kept alive by it: what is posted to a thread that has ended stays until the door is taken apart.
  asio::post(home_, [weak = weak_from_this(), act] {
    if (const auto self = weak.lock()) ((*self).*act)();
  });
}

// How long the chat may go on: to its own end, or until its reader has been away for too long.
void LiveChat::set_limit() {
  if (!running_) return;
  auto when = deadline_;
  {
    const std::lock_guard lock(mutex_);
    if (!has_reader_) {
      const bool held = held_ && kind_ == Kind::resumable;
      when = std::min(when, left_at_ + (held ? services_.config.resume_max : std::chrono::milliseconds(0)));
    }
  }
  running_->limit.expires_at(when);
  running_->limit.async_wait([weak = weak_from_this()](error_code ec) {
    if (ec) return;
    if (const auto self = weak.lock()) self->on_limit();
  });
}

void LiveChat::on_limit() {
  if (steady_clock::now() >= deadline_) return abort({"the answer took longer than this server allows", 504});
  abort_if_unread({std::string(client_left)});
}

void LiveChat::abort(ChatFailure reason) {
  {
    const std::lock_guard lock(mutex_);
    if (end_ != End::none || why_ || stopping_) return;
    why_ = std::move(reason);
  }
  on_home(&LiveChat::act_on_end);
}

void LiveChat::abort_if_unread(ChatFailure reason) {
  {
    const std::lock_guard lock(mutex_);
    if (has_reader_) return;
  }
  abort(std::move(reason));
}

void LiveChat::keep(Admission::Permit&& permit) {
  const std::lock_guard lock(mutex_);
  if (end_ == End::none) permit_ = std::move(permit);
}

void LiveChat::hold_no_longer() {
  {
    const std::lock_guard lock(mutex_);
    held_ = false;
  }
  on_home(&LiveChat::set_limit);
}

void LiveChat::stop() {
  {
    const std::lock_guard lock(mutex_);
    if (end_ != End::none || why_ || stopping_) return;
    stopping_ = true;
  }
  on_home(&LiveChat::act_on_end);
}

// Home thread: tells the turn, and wakes its task wherever it waits. What it does after the model (recording the end)
// is never cancelled.
void LiveChat::act_on_end() {
  if (!running_) return;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_)
      running_->turn.stop();
    else
      running_->turn.abort(*why_);
  }
  end_wait();
}

// A cancellation ends only what is waited for at that moment. Where that had just come, what is waited for next, such
// as the rest of a header, has not heard of it: so it is said again until the model is left.
void LiveChat::end_wait() {
  if (!running_->turn.pulling()) return running_->room->wake();
  cancel_.emit(asio::cancellation_type::terminal);
  running_->again.expires_after(cancel_again);
  running_->again.async_wait([weak = weak_from_this()](error_code ec) {
    if (ec) return;
    if (const auto self = weak.lock(); self && self->running_) self->end_wait();
  });
}

Task<LiveChat::End> LiveChat::ended(Waiter::Time until) {
  auto waiter = std::make_shared<Waiter>(co_await asio::this_coro::executor);
  {
    const std::lock_guard lock(mutex_);
    if (end_ != End::none) co_return end_;
    end_waiters_.push_back(waiter);
  }
  co_await waiter->wait(until);
  const std::lock_guard lock(mutex_);
  std::erase(end_waiters_, waiter);
  co_return end_;
}

LiveChat::End LiveChat::end() const {
  const std::lock_guard lock(mutex_);
  return end_;
}

std::string_view LiveChat::durability() const {
  const std::lock_guard lock(mutex_);
  return durability_;
}

ChatFailure LiveChat::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

std::size_t LiveChat::size() const {
  const std::lock_guard lock(mutex_);
  return size_locked();
}

bool LiveChat::is_position(std::size_t position) const {
  const std::lock_guard lock(mutex_);
  if (position < base_ || position > size_locked()) return false;
  return position == size_locked() || (static_cast<unsigned char>(text_[position - base_]) & 0xC0) != 0x80;
}

ChatReader::ChatReader(std::shared_ptr<LiveChat> chat, std::size_t from, Executor executor)
    : chat_(std::move(chat)), waiter_(std::make_shared<Waiter>(executor)), position_(from) {
  auto& c = *chat_;
  {
    const std::lock_guard lock(c.mutex_);
    c.wake_reader_locked(true);  // an earlier one
    c.reader_ = waiter_;
    number_ = ++c.readers_;
    c.has_reader_ = true;
    c.taken_ = from;
  }
  c.on_home(&LiveChat::set_limit);
}

ChatReader::~ChatReader() {
  auto& c = *chat_;
  {
    const std::lock_guard lock(c.mutex_);
    if (c.readers_ != number_) return;
    c.has_reader_ = false;
    c.reader_.reset();
    c.wish_ = LiveChat::Wish::nothing;
    c.left_at_ = steady_clock::now();
  }
  c.on_home(&LiveChat::set_limit);
}

Task<ChatReader::Part> ChatReader::next(Waiter::Time not_before, Waiter::Time until) {
  auto& c = *chat_;
  for (;;) {
    auto wake_at = until;
    {
      const std::lock_guard lock(c.mutex_);
      Part part{.position = position_, .displaced = c.readers_ != number_};
      if (part.displaced) co_return part;
      const auto now = steady_clock::now();
      const bool more = c.size_locked() > position_;
      const bool ended = c.end_ != LiveChat::End::none;
      if (ended || (more && now >= not_before)) {
        const auto size = c.size_locked();
        const auto rest = std::string_view(c.text_).substr(position_ - c.base_);
        if (c.kind_ == LiveChat::Kind::whole)
          part.text = std::move(c.text_);  // nobody reads it again
        else
          part.text = c.kind_ == LiveChat::Kind::resumable ? utf8_prefix(rest, part_bytes_max) : rest;
        part.position = position_ += part.text.size();
        if (position_ == size) part.end = c.end_;
        co_return part;
      }
      if (now >= until) co_return part;
      c.wish_ = more ? LiveChat::Wish::end : LiveChat::Wish::text;
      if (more) wake_at = std::min(until, not_before);
    }
    co_await waiter_->wait(wake_at);
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
      Part cancelled{.position = position_};
      co_return cancelled;
    }
  }
}

void ChatReader::taken() {
  auto& c = *chat_;
  const std::lock_guard lock(c.mutex_);
  if (c.readers_ != number_) return;
  c.taken_ = position_;
  if (c.kind_ == LiveChat::Kind::frames) {
    c.text_.erase(0, position_ - c.base_);
    c.base_ = position_;
  }
  if (std::exchange(c.waits_for_room_, false)) c.running_->room->wake();
}

}  // namespace assay
