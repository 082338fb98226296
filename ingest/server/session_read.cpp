// How a session reads: heads and bodies.
#include <utility>

#include "ingest/server/session.hpp"
#include "ops/runtime/error.hpp"

namespace assay {
namespace {

namespace errc = boost::system::errc;

constexpr std::size_t read_bytes = 8u << 10;  // room for so much behind the longest head

Rejection too_slow() { return {408, "", "the body did not come in time"}; }

}  // namespace

Task<bool> Session::receive_more() {
  if (buffer_.full()) co_return false;  // never: whoever reads makes room before, and a read of nothing is no read
  const auto into = buffer_.room();
  const auto [ec, n] = co_await socket_.async_read_some(into, as_result);
  if (ec) co_return false;
  buffer_.received(n);
  co_return true;
}

// For the longest head there may be, and a piece of body.
bool Session::make_all_room() {
  const auto& config = shared_.config;
  const auto all = config.target_bytes_max + config.header_bytes_max + read_bytes;
  if (buffer_.capacity() >= all) return false;
  buffer_.grow_to(all);
  return true;
}

// False: the connection is to be closed, and whatever there was to say has been said.
Task<bool> Session::read_head() {
  const auto& config = shared_.config;
  forget_request();
  buffer_.to_the_front();
  std::size_t empty_lines = 0;
  const bool waiting = buffer_.bytes().empty();
  enter(waiting ? Phase::idle : Phase::head, waiting ? config.idle_timeout : config.header_timeout);
  for (;;) {
    for (; phase_ == Phase::head && scanner_.at_start() && buffer_.bytes().starts_with("\r\n"); empty_lines += 2)
      buffer_.consume(2);  // RFC 9112, 2.2
    const auto bytes = buffer_.bytes();
    if (bytes.empty()) buffer_.clear();
    if (empty_lines > config.target_bytes_max) {
      Rejection nothing{400, "", "there is no request, only empty lines"};
      co_return co_await say_no_and_close(std::move(nothing));
    }
    if (!bytes.empty() && bytes != "\r") {
      const auto size = scanner_.scan(bytes);
      if (!size) co_return co_await say_no_and_close(size.error());
      if (*size > 0) {
        const auto taken = take_head(*size);
        if (!taken) co_return co_await say_no_and_close(taken.error());
        co_return true;
      }
    }
    if (shared_.draining && phase_ == Phase::idle) co_return false;
    if (buffer_.full() && !make_all_room())
      buffer_.to_the_front();  // there were empty lines: the scanner refuses longer heads
    const bool more = co_await receive_more();
    if (expired_ && phase_ == Phase::head) {
      Rejection slow{408, "", "the header did not come in time"};
      co_return co_await say_no_and_close(std::move(slow));
    }
    if (!more) co_return false;
    if (phase_ == Phase::idle) enter(Phase::head, config.header_timeout);
  }
}

// All that is of one request alone.
void Session::forget_request() {
  scanner_.reset();
  head_size_ = body_used_ = 0;
  route_ = nullptr;
  access_.headers.clear();
  body_view_ = {};
  body_passed_on_ = false;
  body_ended_ = true;
  body_left_ = 0;
  answer_ = Answer::none;
  status_ = 0;
  write_limit_ = {};
  cut_body_ = false;
}

// It is complete.
Result<void, Rejection> Session::take_head(std::size_t size) {
  parser_.emplace(head_);
  auto parsed = parser_->parse_head(buffer_.bytes().substr(0, size));
  if (parsed && head_.chunked && make_all_room()) {  // its framing is read behind it; the views are made anew
    parser_.emplace(head_);
    parsed = parser_->parse_head(buffer_.bytes().substr(0, size));
  }
  if (!parsed) return parsed;
  head_size_ = size;
  cut_body_ = head_.method == http::verb::head;
  began_ = std::chrono::steady_clock::now();
  return parsed;
}

// As a whole. A rejection without a reason: the client is gone. One of 503: the budget has no room for what comes.
Task<Result<void, Rejection>> Session::read_body(Admission::Permit& permit) {
  if (head_.expects_continue) {
    const auto invited = co_await invite_body();
    if (!invited) co_return Rejection();
  }
  enter(Phase::body, shared_.config.body_timeout);
  if (head_.chunked) co_return co_await read_chunked_body(permit);
  co_return co_await read_sized_body(static_cast<std::size_t>(head_.content_length));
}

// A client that waits for the word sends it now.
Task<Result<void>> Session::invite_body() {
  constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
  head_.expects_continue = false;
  if (!behind_head().empty()) co_return Result<void>();  // it did not wait
  co_return co_await write_all(go_on);
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

Task<Result<void, Rejection>> Session::read_chunked_body(Admission::Permit& permit) {
  for (;;) {
    const auto came = take_chunks();
    if (!came) co_return came.error();
    if (*came > 0)
      if (const auto room = permit.grow(*came); !room) co_return Rejection{503, "", room.error().message()};
    if (body_ended_) break;
    const bool more = co_await receive_more();
    if (expired_) co_return too_slow();
    if (!more) co_return Rejection{};
  }
  body_view_ = body_.view();
  co_return Result<void, Rejection>();
}

std::optional<std::uint64_t> Session::length() const {
  if (!body_passed_on_) return body_view_.size();
  if (head_.chunked) return {};
  return head_.content_length;
}

Task<Result<std::string_view>> Session::read_some() {
  if (body_ended_) co_return std::string_view();
  if (!body_passed_on_) {  // it was read as a whole
    body_ended_ = true;
    co_return body_view_;
  }
  if (head_.expects_continue) {
    const auto invited = co_await invite_body();
    if (!invited) co_return invited.error();
  }
  if (head_.chunked) co_return co_await read_some_chunked();
  if (const auto here = behind_head(); body_used_ == 0 && !here.empty()) {
    body_used_ = static_cast<std::size_t>(std::min<std::uint64_t>(here.size(), body_left_));
    body_left_ -= body_used_;
    body_ended_ = body_left_ == 0;
    co_return here.substr(0, body_used_);
  }
  body_.clear();
  body_.reserve(passed_piece_bytes);
  const auto into =
      asio::buffer(body_.tail(), static_cast<std::size_t>(std::min<std::uint64_t>(passed_piece_bytes, body_left_)));
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

Task<Result<std::string_view>> Session::read_some_chunked() {
  body_.clear();
  for (;;) {
    const auto came = take_chunks();
    if (!came) {
      count_refusal(came.error().status);
      co_return errc::make_error_code(came.error().status == 413 ? errc::message_size : errc::protocol_error);
    }
    if (*came > 0 || body_ended_) co_return body_.view();
    enter(Phase::body, shared_.config.body_timeout);
    const bool more = co_await receive_more();
    const bool late = !more && expired_;
    enter(Phase::streaming, std::chrono::milliseconds::max());
    if (late) co_return too_late();
    if (!more) co_return asio::error::make_error_code(asio::error::eof);
  }
}

// Adds to body_ what has come of it, and says how much that was. The framing is read in the room behind the head, which
// stays where it is; afterwards there is room for more.
Result<std::size_t, Rejection> Session::take_chunks() {
  const auto before = body_.size();
  if (const auto framed = behind_head(); !framed.empty()) {
    const auto used = parser_->parse_chunks(framed, body_, before + static_cast<std::size_t>(body_left_));
    if (!used) return used.error();
    buffer_.cut(head_size_, *used);
  }
  const auto came = body_.size() - before;
  body_left_ -= came;
  body_ended_ = parser_->body_complete();
  if (!body_ended_ && buffer_.full()) return Rejection{400, "", "a chunk's extensions or the trailers are too large"};
  return came;
}

}  // namespace assay
