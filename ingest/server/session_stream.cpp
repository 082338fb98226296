// How a session writes: complete answers, and streams.
#include <netinet/tcp.h>

#include <array>
#include <boost/beast/http/status.hpp>
#include <charconv>

#include "ingest/http/error_response.hpp"
#include "ingest/http/http_date.hpp"
#include "ingest/server/session.hpp"
#include "ops/runtime/error.hpp"

namespace assay {
namespace {

constexpr std::size_t copied_bytes_max = 16u << 10;   // what is larger is not copied behind its head
constexpr std::size_t counted_bytes_min = 64u << 10;  // what is smaller, a socket's own buffer mostly takes

bool fit_for_a_header(std::string_view value) {
  for (const auto c : value)
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f) return false;
  return true;
}

}  // namespace

void Session::append_head(unsigned status, std::string_view content_type, Headers headers,
                          std::optional<std::size_t> length) {
  if (leaves_body()) close_after_ = true;
  char digits[24];
  const auto number = [&](std::size_t n) {
    const auto end = std::to_chars(digits, digits + sizeof digits, n).ptr;
    return std::string_view(digits, static_cast<std::size_t>(end - digits));
  };
  const auto reason = http::obsolete_reason(http::int_to_status(status));
  out_.append("HTTP/1.1 ").append(number(status)).append(" ").append(reason.data(), reason.size()).append("\r\n");
  out_.append("Server: assay\r\nDate: ").append(http_date(shared_.clock.now())).append("\r\n");
  if (!content_type.empty() && fit_for_a_header(content_type))
    out_.append("Content-Type: ").append(content_type).append("\r\n");
  for (const auto& [name, value] : headers)
    if (fit_for_a_header(value)) out_.append(name).append(": ").append(value).append("\r\n");
  out_ += access_.headers;
  access_.charge.append_header(out_);
  if (length && status != 204 && status != 304) out_.append("Content-Length: ").append(number(*length)).append("\r\n");
  if (chunked_) out_.append("Transfer-Encoding: chunked\r\n");
  out_.append(keeps_alive() ? (head_.http_1_0 || chunked_ ? "Connection: keep-alive\r\n\r\n" : "\r\n")
                            : "Connection: close\r\n\r\n");
}

Task<Result<void>> Session::send(const Response& response) {
  const auto room = room_for(response);
  if (!room) {
    const auto later = error_response(head_.path, room.error());
    co_return co_await send(later);
  }
  if (response.status == 503) shared_.metrics.refused_later(response.cause);
  status_ = response.status;
  answer_ = Answer::complete;
  const auto rest = compose(response);
  auto sent = co_await write_all(out_);
  if (sent && !rest.empty()) sent = co_await write_all(rest);
  if (!sent) {
    answer_ = Answer::streaming;  // incomplete
    status_ = client_closed;
  }
  co_return sent;
}

// What was read is in memory until its client has taken it: together no more than requests may be. The largest has room
// where it is alone.
Result<Admission::Permit> Session::room_for(const Response& response) {
  const auto size = response.body.size();
  if (size < counted_bytes_min || cut_body_ || !route_ || route_->options.scope != Scope::read)
    return Admission::Permit();
  constexpr auto kind = Admission::Kind::feedback;  // the whole of it
  return shared_.answers.try_admit(std::min(size, shared_.answers.bytes_max(kind)), kind);
}

// Its head in out_, with its body where that is short; what is still to be written otherwise.
std::string_view Session::compose(const Response& response) {
  chunked_ = false;
  out_.clear();
  const auto body = response.text();
  const bool bodiless = response.status == 204 || response.status == 304;
  append_head(response.status, bodiless ? std::string_view() : response.content_type, response.headers, body.size());
  if (cut_body_ || bodiless) return {};
  if (body.size() > copied_bytes_max) return body;
  out_ += body;
  return {};
}

// The limit is on the client taking nothing, not on the whole.
Task<Result<void>> Session::write_all(std::string_view bytes) {
  error_code ec;
  auto n = socket_.write_some(asio::buffer(bytes), ec);  // the socket does not block; it mostly has room
  if (ec && ec != asio::error::would_block) co_return ec;
  if (ec) n = 0;
  bytes.remove_prefix(n);
  while (!bytes.empty()) {
    enter(Phase::writing, write_limit_.count() > 0 ? write_limit_ : shared_.config.write_timeout);
    const auto [failed, written] = co_await socket_.async_write_some(asio::buffer(bytes), as_result);
    if (failed && expired_) co_return Error::timed_out;
    if (failed) co_return failed;
    bytes.remove_prefix(written);
  }
  deadline_ = SteadyTime::max();
  co_return Result<void>();
}

Task<Result<void>> Session::respond(Response response) {
  if (gave_up_ || answer_ != Answer::none) co_return Error::stopped;
  co_return co_await send(response);
}

Task<Result<void>> Session::begin(unsigned status, std::string_view content_type, Headers headers) {
  return begin_head(status, content_type, headers, {});
}

Task<Result<void>> Session::begin_sized(unsigned status, Headers headers, std::uint64_t length) {
  return begin_head(status, {}, headers, static_cast<std::size_t>(length));
}

Task<Result<void>> Session::begin_head(unsigned status, std::string_view content_type, Headers headers,
                                       std::optional<std::size_t> length) {
  if (gave_up_ || answer_ != Answer::none) co_return Error::stopped;
  answer_ = Answer::streaming;
  status_ = status;
  chunked_ = !length && !head_.http_1_0;
  if (!length && !chunked_) close_after_ = true;  // HTTP/1.0: the end of the connection ends the body
  out_.clear();
  append_head(status, content_type, headers, length);
  const auto written = co_await write_all(out_);
  if (written) enter(Phase::streaming, std::chrono::milliseconds::max());
  co_return written;
}

Task<Result<void>> Session::write(std::string_view bytes) {
  if (answer_ != Answer::streaming || shared_.insisting) co_return Error::stopped;
  if (bytes.empty() || cut_body_) co_return Result<void>();
  out_.clear();
  if (chunked_) {
    char size[24];
    out_.append(size, std::to_chars(size, size + sizeof size, bytes.size(), 16).ptr).append("\r\n");
  }
  auto written = Result<void>();
  if (bytes.size() > copied_bytes_max) {
    written = co_await write_all(out_);
    if (written) written = co_await write_all(bytes);
    out_.clear();
  } else {
    out_.append(bytes);
  }
  if (chunked_) out_.append("\r\n");
  if (written) written = co_await write_all(out_);
  if (written) enter(Phase::streaming, std::chrono::milliseconds::max());
  co_return written;
}

void Session::expect_reader(std::chrono::milliseconds limit) {
  write_limit_ = limit;
  const int unsent_max = 16 << 10;
  ::setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_max, sizeof unsent_max);
}

Task<Result<void>> Session::end() {
  if (answer_ != Answer::streaming) co_return Error::stopped;
  if (chunked_ && !cut_body_) {
    constexpr std::string_view last = "0\r\n\r\n";
    const auto written = co_await write_all(last);
    if (!written) co_return written;
  }
  answer_ = Answer::complete;
  co_return Result<void>();
}

std::unique_ptr<TakenConnection> Session::take_over() {
  if (gave_up_ || answer_ != Answer::none) return nullptr;
  answer_ = Answer::handed_over;
  status_ = 101;
  close_after_ = true;
  enter(Phase::streaming, std::chrono::milliseconds::max());
  auto draining = [this] { return shared_.draining.load(); };
  return std::make_unique<TakenConnection>(TakenConnection{std::move(socket_), std::string(buffer_.bytes()), draining});
}

bool Session::gone() { return shared_.insisting || socket_.peer_closed(); }

}  // namespace assay
