// How a session reads: heads and bodies.
#include <cstring>

#include "ingest/http/session.hpp"

namespace assay {

Task<bool> Session::receive_more() {
  const auto into = asio::buffer(buffer_.get() + end_, capacity_ - end_);
  const auto [ec, n] = co_await socket_.async_read_some(into, as_result);
  if (ec) co_return false;
  end_ += n;
  co_return true;
}

// False: the connection is to be closed, and whatever there was to say has been said.
Task<bool> Session::read_head() {
  const auto& config = shared_.config;
  head_size_ = body_used_ = 0;
  verdict_.headers.clear();
  expired_ = false;
  scanner_.reset();
  if (start_ == end_) {
    start_ = end_ = 0;
  } else if (start_ > 0) {
    std::memmove(buffer_.get(), buffer_.get() + start_, end_ - start_);
    end_ -= start_;
    start_ = 0;
  }
  const bool waiting = start_ == end_;
  enter(waiting ? Phase::idle : Phase::head, waiting ? config.idle_timeout : config.header_timeout);
  for (;;) {
    while (phase_ == Phase::head && scanner_.at_start() && buffered().starts_with("\r\n"))
      start_ += 2;  // RFC 9112, 2.2
    if (start_ < end_ && buffered() != "\r") {
      const auto scan = scanner_.scan(buffered());
      if (!scan) {
        co_await say_no_and_close(scan.error());
        co_return false;
      }
      if (*scan > 0) {
        parser_.emplace(head_);
        const auto parsed = parser_->parse_head(buffered().substr(0, *scan));
        if (!parsed) {
          co_await say_no_and_close(parsed.error());
          co_return false;
        }
        head_size_ = *scan;
        co_return true;
      }
    }
    if (shared_.draining && phase_ == Phase::idle) co_return false;
    if (!co_await receive_more()) {
      if (expired_ && phase_ == Phase::head) {
        expired_ = false;
        Rejection slow{408, "", "the header did not come in time"};
        co_await say_no_and_close(std::move(slow));
      }
      co_return false;
    }
    if (phase_ == Phase::idle) enter(Phase::head, config.header_timeout);
  }
}

// A rejection without a reason: the client is gone.
Task<Result<void, Rejection>> Session::read_body(std::size_t body_bytes_max) {
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
    read = co_await read_chunked_body(body_bytes_max);
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
    if (ec && !expired_) co_return Rejection{};
    if (ec) co_return Rejection{408, "", "the body did not come in time"};
    body_.added(n);
  }
  body_view_ = body_.view();
  co_return Result<void, Rejection>();
}

// The framing is read in the room behind the head, which stays where it is.
Task<Result<void, Rejection>> Session::read_chunked_body(std::size_t body_bytes_max) {
  const auto base = start_ + head_size_;
  auto at = base;
  for (;;) {
    if (at < end_) {
      const std::string_view bytes(buffer_.get() + at, end_ - at);
      const auto used = parser_->parse_chunks(bytes, body_, body_bytes_max);
      if (!used) co_return used.error();
      at += *used;
      if (parser_->body_complete()) break;
    }
    if (at > base) {
      std::memmove(buffer_.get() + base, buffer_.get() + at, end_ - at);
      end_ -= at - base;
      at = base;
    }
    if (end_ == capacity_) co_return Rejection{400, "", "a chunk's extensions or the trailers are too large"};
    if (!co_await receive_more()) {
      if (!expired_) co_return Rejection{};
      co_return Rejection{408, "", "the body did not come in time"};
    }
  }
  body_used_ = at - base;
  body_view_ = body_.view();
  co_return Result<void, Rejection>();
}

Task<bool> Session::discard_body() {
  auto left = static_cast<std::size_t>(head_.content_length);
  const auto here = std::min(left, behind_head().size());
  start_ += head_size_ + here;
  left -= here;
  if (left == 0) co_return true;
  start_ = end_ = 0;  // all that had come was the body's
  enter(Phase::body, shared_.config.body_timeout);
  while (left > 0) {
    const auto into = asio::buffer(buffer_.get(), std::min(left, capacity_));
    const auto [ec, n] = co_await socket_.async_read_some(into, as_result);
    if (ec) co_return false;
    left -= n;
  }
  co_return true;
}

}  // namespace assay
