// How a session reads: heads and bodies.
#include <cstring>
#include <utility>

#include "ingest/server/session.hpp"
#include "ops/runtime/error.hpp"

namespace assay {
namespace {

namespace errc = boost::system::errc;

Rejection too_slow() { return {408, "", "the body did not come in time"}; }

}  // namespace

Task<bool> Session::receive_more() {
  if (end_ == capacity_) co_return false;  // never: whoever reads makes room before, and a read of nothing is no read
  const auto into = asio::buffer(buffer_.get() + end_, capacity_ - end_);
  const auto [ec, n] = co_await socket_.async_read_some(into, as_result);
  if (ec) co_return false;
  end_ += n;
  co_return true;
}

// Only while nothing points into the buffer.
void Session::to_the_front() {
  if (start_ == 0) return;
  std::memmove(buffer_.get(), buffer_.get() + start_, end_ - start_);
  end_ -= start_;
  start_ = 0;
}

// False: the connection is to be closed, and whatever there was to say has been said.
Task<bool> Session::read_head() {
  const auto& config = shared_.config;
  head_size_ = body_used_ = 0;
  verdict_.headers.clear();
  scanner_.reset();
  to_the_front();
  std::size_t empty_lines = 0;
  const bool waiting = start_ == end_;
  enter(waiting ? Phase::idle : Phase::head, waiting ? config.idle_timeout : config.header_timeout);
  for (;;) {
    for (; phase_ == Phase::head && scanner_.at_start() && buffered().starts_with("\r\n"); empty_lines += 2)
      start_ += 2;  // RFC 9112, 2.2
    if (start_ == end_) start_ = end_ = 0;
    if (empty_lines > config.target_bytes_max) {
      Rejection nothing{400, "", "there is no request, only empty lines"};
      co_await say_no_and_close(std::move(nothing));
      co_return false;
    }
    if (start_ < end_ && buffered() != "\r") {
      const auto scan = scanner_.scan(buffered());
      if (!scan) {
        co_await say_no_and_close(scan.error());
        co_return false;
      }
      if (*scan > 0) {
        parser_.emplace(head_);
        auto parsed = parser_->parse_head(buffered().substr(0, *scan));
        if (!parsed) {
          co_await say_no_and_close(parsed.error());
          co_return false;
        }
        if (head_.chunked && make_all_room()) {  // its framing is read behind it; the views are made anew
          parser_.emplace(head_);
          parsed = parser_->parse_head(buffered().substr(0, *scan));
        }
        head_size_ = *scan;
        co_return true;
      }
    }
    if (shared_.draining && phase_ == Phase::idle) co_return false;
    if (end_ == capacity_ && !make_all_room())
      to_the_front();  // there were empty lines: the scanner refuses longer heads
    const bool more = co_await receive_more();
    if (expired_ && phase_ == Phase::head) {
      Rejection slow{408, "", "the header did not come in time"};
      co_await say_no_and_close(std::move(slow));
      co_return false;
    }
    if (!more) co_return false;
    if (phase_ == Phase::idle) enter(Phase::head, config.header_timeout);
  }
}

// A rejection without a reason: the client is gone. One of 503: the budget has no room for what comes.
Task<Result<void, Rejection>> Session::read_body(std::size_t body_bytes_max, Admission::Permit& permit) {
  body_view_ = {};
  auto read = Result<void, Rejection>();
  if (!head_.chunked && head_.content_length == 0) co_return read;
  if (head_.expects_continue && behind_head().empty()) {
    constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    const auto sent = co_await write_all(go_on);
    if (!sent) read = Rejection();
  }
  enter(Phase::body, shared_.config.body_timeout);
  if (read && head_.chunked)
    read = co_await read_chunked_body(body_bytes_max, permit);
  else if (read)
    read = co_await read_sized_body(static_cast<std::size_t>(head_.content_length));
  co_return read;
}

Task<Result<void, Rejection>> Session::read_sized_body(std::size_t size) {
  const auto here = behind_head();
  if (here.size() >= size) {  // the common case: it came with its head, and is used where it is
    body_view_ = here.substr(0, size);
    body_used_ = size;
    co_return Result<void, Rejection>();
  }
  body_.reserve(size);
  body_.append(here);
  body_used_ = here.size();
  while (body_.size() < size) {
    const auto into = asio::buffer(body_.tail(), size - body_.size());
    const auto [ec, n] = co_await socket_.async_read_some(into, as_result);
    if (expired_) co_return too_slow();
    if (ec) co_return Rejection{};
    body_.added(n);
  }
  body_view_ = body_.view();
  co_return Result<void, Rejection>();
}

// The framing is read in the room behind the head, which stays where it is.
Task<Result<void, Rejection>> Session::read_chunked_body(std::size_t body_bytes_max, Admission::Permit& permit) {
  const auto base = start_ + head_size_;
  auto at = base;
  for (;;) {
    if (at < end_) {
      const std::string_view bytes(buffer_.get() + at, end_ - at);
      const auto before = body_.size();
      const auto used = parser_->parse_chunks(bytes, body_, body_bytes_max);
      if (!used) co_return used.error();
      const auto room = permit.grow(body_.size() - before);
      if (!room) co_return Rejection{503, "", room.error().message()};
      at += *used;
      if (parser_->body_complete()) break;
    }
    if (at > base) {
      std::memmove(buffer_.get() + base, buffer_.get() + at, end_ - at);
      end_ -= at - base;
      at = base;
    }
    if (end_ == capacity_) co_return Rejection{400, "", "a chunk's extensions or the trailers are too large"};
    const bool more = co_await receive_more();
    if (expired_) co_return too_slow();
    if (!more) co_return Rejection{};
  }
  body_used_ = at - base;
  body_view_ = body_.view();
  co_return Result<void, Rejection>();
}

std::optional<std::uint64_t> Session::length() const {
  if (!body_passed_on_) return body_view_.size();
  if (head_.chunked) return {};
  return head_.content_length;
}

Task<Result<std::string_view>> Session::read_some() {
  constexpr std::size_t piece_bytes = 64u << 10;
  if (body_ended_) co_return std::string_view();
  if (!body_passed_on_) {  // it was read as a whole
    body_ended_ = true;
    co_return body_view_;
  }
  if (std::exchange(head_.expects_continue, false) && behind_head().empty()) {
    constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    const auto sent = co_await write_all(go_on);
    if (!sent) co_return sent.error();
  }
  if (head_.chunked) co_return co_await read_some_chunked();
  if (const auto here = behind_head(); body_used_ == 0 && !here.empty()) {
    body_used_ = static_cast<std::size_t>(std::min<std::uint64_t>(here.size(), body_left_));
    body_left_ -= body_used_;
    body_ended_ = body_left_ == 0;
    co_return here.substr(0, body_used_);
  }
  body_.clear();
  body_.reserve(piece_bytes);
  const auto into =
      asio::buffer(body_.tail(), static_cast<std::size_t>(std::min<std::uint64_t>(piece_bytes, body_left_)));
  enter(Phase::body, shared_.config.body_timeout);
  const auto [ec, n] = co_await socket_.async_read_some(into, as_result);
  const bool late = ec && expired_;
  enter(Phase::streaming, std::chrono::milliseconds::max());
  if (late) co_return too_late();
  if (ec) co_return ec;
  body_.added(n);
  body_left_ -= n;
  body_ended_ = body_left_ == 0;
  co_return body_.view();
}

// For the handler that asked for more of a body.
error_code Session::too_late() {
  count_refusal(408);
  return Error::timed_out;
}

// The framing is read in the room behind the head.
Task<Result<std::string_view>> Session::read_some_chunked() {
  const auto base = start_ + head_size_;
  body_.clear();
  for (;;) {
    if (base < end_) {
      const std::string_view bytes(buffer_.get() + base, end_ - base);
      const auto used = parser_->parse_chunks(bytes, body_, body_left_);
      if (!used) {
        count_refusal(used.error().status);
        co_return errc::make_error_code(used.error().status == 413 ? errc::message_size : errc::protocol_error);
      }
      std::memmove(buffer_.get() + base, buffer_.get() + base + *used, end_ - base - *used);
      end_ -= *used;
      body_left_ -= body_.size();
      body_ended_ = parser_->body_complete();
      if (body_.size() > 0 || body_ended_) co_return body_.view();
    }
    if (end_ == capacity_) co_return boost::system::errc::make_error_code(boost::system::errc::protocol_error);
    enter(Phase::body, shared_.config.body_timeout);
    const bool more = co_await receive_more();
    const bool late = !more && expired_;
    enter(Phase::streaming, std::chrono::milliseconds::max());
    if (late) co_return too_late();
    if (!more) co_return asio::error::make_error_code(asio::error::eof);
  }
}

Task<bool> Session::discard_body() {
  auto left = static_cast<std::size_t>(head_.content_length);
  const auto here = std::min(left, behind_head().size());
  start_ += head_size_ + here;
  left -= here;
  if (left == 0) co_return true;
  start_ = end_ = 0;  // all that had come was the body's
  make_all_room();
  enter(Phase::body, shared_.config.body_timeout);
  while (left > 0) {
    const auto into = asio::buffer(buffer_.get(), std::min(left, capacity_));
    const auto [ec, n] = co_await socket_.async_read_some(into, as_result);
    if (ec || expired_) co_return false;
    left -= n;
  }
  co_return true;
}

}  // namespace assay
