// The way of a request, and the limits on it.
#include "ingest/server/session.hpp"

#include <algorithm>

#include "ops/runtime/error.hpp"
#include "ops/runtime/log.hpp"

namespace assay {
namespace {

// Room that a connection has at first: most heads, and feedback with its body, fit. Thousands of streams keep no more.
constexpr std::size_t first_bytes = 1280 - BodyBuffer::padding;

}  // namespace

Session::Session(Socket socket, ServerShared& shared)
    : socket_(std::move(socket), shared.tls ? shared.tls->get() : TlsContext()),
      shared_(shared),
      buffer_(first_bytes),
      scanner_(shared.config) {
  error_code gone;
  if (const auto from = socket_.remote_endpoint(gone); !gone) peer_ = from.address();
}

Task<void> Session::run() {
  if (socket_.is_tls() && !co_await begin_tls()) co_return;
  bool more = true;  // g++ 12 makes a trap of an empty loop around a co_await
  while (more) more = co_await serve_one();
  if (socket_.is_tls()) co_await end_tls();
}

Task<bool> Session::begin_tls() {
  enter(Phase::head, shared_.config.header_timeout);
  const auto [ec] = co_await socket_.async_handshake(as_result);
  if (ec) shared_.metrics.tls_failures_total.Increment();
  co_return !ec;
}

// So that the other end knows that nothing was cut off. It has a moment to say the same.
Task<void> Session::end_tls() {
  if (expired_ || gave_up_ || !socket_.is_open()) co_return;
  enter(Phase::lingering, shared_.config.linger_timeout);
  co_await socket_.async_shutdown(as_result);
}

// False: the connection is to be closed, and whatever there was to say has been said.
Task<bool> Session::serve_one() {
  if (!co_await read_head()) co_return false;
  const auto found = shared_.router.find(head_.method, head_.path);
  route_ = found.route;
  if (!let_in(found)) co_return co_await turn_away();
  auto permit = admit(found);
  if (!permit) co_return co_await say_no(permit.error());
  if (!body_passed_on_ && !body_ended_) {
    const auto read = co_await read_body(*permit);
    if (!read) co_return co_await refuse_body(read.error(), *permit);
  }
  auto request = request_of(found, *permit);
  co_await handle(request);
  const bool goes_on = finish();
  if (answer_ == Answer::complete && leaves_body()) {
    *permit = Admission::Permit();
    co_await linger();
  }
  co_return goes_on;
}

// False: access_ says why.
bool Session::let_in(const Router::RouteMatch& found) {
  if (!shared_.gate) return true;
  shared_.gate->decide(found.route, found.allow, head_, peer_, access_);
  if (access_.refusal) return false;
  refused_in_a_row_ = 0;
  return true;
}

// Or why it is not taken; its body has not been read then.
Result<Admission::Permit, Response> Session::admit(const Router::RouteMatch& found) {
  if (!route_) return no_route(head_.path, found.allow);
  body_passed_on_ = std::holds_alternative<PassHandler>(route_->handler);
  const auto most = body_bytes_max();
  if (head_.content_length > most)
    return error_response(head_.path, 413,
                          most == 0
                              ? "no body is taken here"
                              : "the body is larger than the " + std::to_string(most) + " bytes that are taken here");
  Result<Admission::Permit> permit = Admission::Permit();
  if (const auto kind = route_->options.admission)
    permit = shared_.admission.try_admit(head_size_ + body_bytes_at_once(), *kind);
  if (!permit) return error_response(head_.path, permit.error());
  body_left_ = head_.chunked ? most : head_.content_length;
  body_ended_ = !head_.chunked && head_.content_length == 0;
  return std::move(*permit);
}

// What its route takes, and what the door ever has room for: repeating more than that would be in vain.
std::size_t Session::body_bytes_max() const {
  const auto& options = route_->options;
  if (!options.admission || body_passed_on_) return options.body_bytes_max;
  const auto room = shared_.admission.bytes_max(*options.admission);
  return std::min(options.body_bytes_max, room - std::min(room, head_size_));
}

// In memory, as far as its head says: chunks that are kept are counted as they come.
std::size_t Session::body_bytes_at_once() const {
  const auto size = static_cast<std::size_t>(head_.content_length);
  if (!body_passed_on_) return size;
  return head_.chunked ? passed_piece_bytes : std::min(size, passed_piece_bytes);
}

Request Session::request_of(const Router::RouteMatch& found, Admission::Permit& permit) const {
  return {.method = head_.method,
          .head = cut_body_,
          .path = head_.path,
          .query = head_.query,
          .params = {found.params[0], found.params[1]},
          .body = body_view_,
          .headers = head_.fields,
          .peer = peer_,
          .tls = socket_.is_tls(),
          .received_at = shared_.clock.now(),
          .keep_alive = head_.keep_alive,
          .http_1_0 = head_.http_1_0,
          .capability = access_.capability ? &*access_.capability : nullptr,
          .shows_capability = access_.shows_capability,
          .key_id = access_.key_id,
          .joins_traces = access_.joins_traces,
          .charge = &access_.charge,
          .permit = &permit};
}

Task<void> Session::handle(Request& request) {
  const auto& handler = route_->handler;
  const auto& options = route_->options;
  enter(Phase::handling, options.time_max.count() > 0 ? options.time_max : shared_.config.request_timeout);
  bool failed = false;
  try {
    if (const auto* whole = std::get_if<Handler>(&handler)) {
      const auto response = co_await (*whole)(request);
      if (gave_up_) co_return;
      if (const auto* behind = to_ask_instead(response)) co_await pass_on(*behind, request);
      if (answer_ == Answer::none) co_await send(response);
    } else if (std::holds_alternative<PassHandler>(handler)) {
      co_await pass_on(*route_, request);
    } else {
      ResponseStream& stream = *this;
      co_await std::get<StreamHandler>(handler)(request, stream);
      if (gave_up_) co_return;
    }
    failed = answer_ == Answer::none;
    if (failed && gone()) {  // a handler that found nobody to answer
      status_ = client_closed;
      co_return;
    }
  } catch (const std::exception& e) {
    if (shared_.insisting) throw;
    spdlog::error("event=handler_failed route=\"{}\" what=\"{}\"", route_->pattern, e.what());
    failed = true;
  }
  if (!failed) co_return;
  shared_.metrics.handler_failures_total.Increment();
  if (answer_ != Answer::none || gave_up_) co_return;  // too late for words: the connection is cut
  const auto response = error_response(head_.path, 500, "an error of our own");
  co_await send(response);
}

// The server behind this door, where that may know what is not known here. Null: this is the answer.
const Route* Session::to_ask_instead(const Response& response) const {
  const bool unknown = response.status == 404 || response.status == 501;
  return unknown && route_->options.else_behind ? shared_.router.behind(head_.method) : nullptr;
}

Task<void> Session::pass_on(const Route& behind, Request& request) {
  enter(Phase::streaming, std::chrono::milliseconds::max());  // the other server's time has limits of its own
  if (!body_passed_on_) body_ended_ = body_view_.empty();     // it is here, and is read once more
  ResponseStream& stream = *this;
  RequestBody& body = *this;
  return std::get<PassHandler>(behind.handler)(request, body, stream);
}

// It is answered, or never will be. False: the connection is to be closed.
bool Session::finish() {
  body_.clear();
  if (answer_ == Answer::complete || answer_ == Answer::handed_over || status_ == client_closed)
    shared_.metrics.answered(route_, status_, seconds_since_head());
  if (answer_ != Answer::complete || leaves_body()) return false;
  buffer_.consume(head_size_ + body_used_);
  return keeps_alive();
}

double Session::seconds_since_head() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
}

void Session::enter(Phase phase, std::chrono::milliseconds limit) {
  phase_ = phase;
  expired_ = false;
  deadline_ = limit == std::chrono::milliseconds::max() ? SteadyTime::max() : std::chrono::steady_clock::now() + limit;
}

// A read whose bytes are there already can't be cancelled, only the next one: so each sweep cancels again, and whoever
// reads on looks at expired_ before.
void Session::sweep(SteadyTime now) {
  if (now < deadline_) return;
  if (phase_ == Phase::handling) {
    deadline_ = SteadyTime::max();
    return give_up();
  }
  expired_ = true;
  error_code ec;
  socket_.cancel(ec);
}

void Session::drain() {
  if (phase_ != Phase::idle) return;
  deadline_ = SteadyTime::min();
  sweep(deadline_);
}

void Session::insist() {
  error_code ec;
  socket_.close(ec);
  cancel_.emit(asio::cancellation_type::terminal);
}

}  // namespace assay
