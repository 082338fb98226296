#include "ingest/server/session.hpp"

#include <algorithm>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/write.hpp>

#include "ops/runtime/error.hpp"
#include "ops/runtime/log.hpp"

namespace assay {
namespace {

constexpr std::chrono::milliseconds quota_wait_min{20}, quota_wait_max{1000};
constexpr std::size_t passed_bytes = 64u << 10;  // of a body that is passed on, in memory at once
constexpr unsigned client_closed = 499;          // counted, never sent; nginx's number for it
constexpr std::size_t read_bytes = 8u << 10;     // room for so much behind the longest head
// Room that a connection has at first: most heads, and feedback with its body, fit. Thousands of streams keep no more.
constexpr std::size_t first_bytes = 1280 - BodyBuffer::padding;

double seconds_since(SteadyTime then) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - then).count();
}

}  // namespace

Session::Session(Socket socket, ServerShared& shared)
    : socket_(std::move(socket), shared.tls ? shared.tls->get() : TlsContext()),
      shared_(shared),
      scanner_(shared.config) {
  make_room(first_bytes);
  error_code gone;
  if (const auto from = socket_.remote_endpoint(gone); !gone) peer_ = from.address();
}

// Only while nothing points into the buffer.
void Session::make_room(std::size_t capacity) {
  auto larger = std::make_unique_for_overwrite<char[]>(capacity + BodyBuffer::padding);
  std::copy(buffer_.get() + start_, buffer_.get() + end_, larger.get() + start_);
  buffer_ = std::move(larger);
  capacity_ = capacity;
}

// For the longest head there may be, and a piece of body.
bool Session::make_all_room() {
  const auto& config = shared_.config;
  const auto all = config.target_bytes_max + config.header_bytes_max + read_bytes;
  if (capacity_ >= all) return false;
  make_room(all);
  return true;
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

// What its route takes, and what the door ever has room for: repeating more than that would be in vain.
std::size_t Session::body_bytes_max_of(const Route& route) const {
  const auto& options = route.options;
  if (!options.admission || body_passed_on_) return options.body_bytes_max;
  const auto room = shared_.admission.bytes_max(*options.admission);
  return std::min(options.body_bytes_max, room - std::min(room, head_size_));
}

Task<bool> Session::serve_one() {
  if (!co_await read_head()) co_return false;
  began_ = std::chrono::steady_clock::now();
  cut_body_ = head_.method == http::verb::head;
  const auto found = shared_.router.find(head_.method, head_.path);
  route_ = found.route;
  if (shared_.gate) {
    shared_.gate->decide(found.route, found.allow, head_, peer_, verdict_);
    if (verdict_.refusal) co_return co_await turn_away(found.route);
    refused_in_a_row_ = 0;
  }
  if (!found.route) {
    auto response = no_route(head_.path, found.allow);
    co_return co_await say_no(nullptr, std::move(response));
  }
  const auto& route = *found.route;
  body_passed_on_ = std::holds_alternative<PassHandler>(route.handler);
  const auto body_max = body_bytes_max_of(route);
  if (head_.content_length > body_max) {
    auto response = error_response(
        head_.path, 413, "the body is larger than the " + std::to_string(body_max) + " bytes that are taken here");
    co_return co_await say_no(&route, std::move(response));
  }
  Result<Admission::Permit> permit = Admission::Permit();
  if (route.options.admission) {
    auto bytes = head_size_ + static_cast<std::size_t>(head_.content_length);  // chunks are counted as they come
    if (body_passed_on_)
      bytes = head_size_ + (head_.chunked ? passed_bytes : std::min(bytes - head_size_, passed_bytes));
    permit = shared_.admission.try_admit(bytes, *route.options.admission);
    if (!permit) {
      auto response = error_response(head_.path, permit.error());
      co_return co_await say_no(&route, std::move(response));
    }
  }
  body_left_ = head_.chunked ? body_max : head_.content_length;
  body_ended_ = !head_.chunked && head_.content_length == 0;
  body_view_ = {};
  auto read = Result<void, Rejection>();
  if (!body_passed_on_) read = co_await read_body(body_max, *permit);
  if (!read && read.error().status == 503) {
    permit = Admission::Permit();  // what came goes, while the client reads why
    body_.clear();
    auto response = error_response(head_.path, make_error_code(Error::over_capacity));
    co_return co_await say_no(&route, std::move(response));
  }
  if (!read) {
    if (!read.error().reason.empty()) co_await say_no_and_close(read.error());
    co_return false;
  }
  Request request{.method = head_.method,
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
                  .capability = verdict_.capability ? &*verdict_.capability : nullptr,
                  .joins_traces = verdict_.joins_traces,
                  .charge = &verdict_.charge,
                  .permit = &*permit};
  co_await handle(route, request);
  body_.clear();
  if (answer_ == Answer::complete || answer_ == Answer::handed_over || status_ == client_closed)
    shared_.metrics.answered(&route, status_, seconds_since(began_));
  if (answer_ != Answer::complete) co_return false;
  if (body_passed_on_ && !body_ended_) {  // nobody reads the rest
    permit = Admission::Permit();
    co_await linger();
    co_return false;
  }
  start_ += head_size_ + body_used_;
  co_return keeps_alive();
}

Task<void> Session::handle(const Route& route, Request& request) {
  answer_ = Answer::none;
  status_ = 0;
  write_limit_ = {};
  const auto limit = route.options.time_max.count() > 0 ? route.options.time_max : shared_.config.request_timeout;
  enter(Phase::handling, limit);
  bool failed = false;
  try {
    if (const auto* handler = std::get_if<Handler>(&route.handler)) {
      auto response = co_await (*handler)(request);
      if (gave_up_) co_return;
      co_await answer_or_ask_behind(route, request, std::move(response));
    } else if (const auto* pass = std::get_if<PassHandler>(&route.handler)) {
      enter(Phase::streaming, std::chrono::milliseconds::max());  // the other server's time has limits of its own
      ResponseStream& stream = *this;
      RequestBody& body = *this;
      co_await (*pass)(request, body, stream);
      failed = answer_ == Answer::none;
    } else {
      ResponseStream& stream = *this;
      co_await std::get<StreamHandler>(route.handler)(request, stream);
      if (gave_up_) co_return;
      failed = answer_ == Answer::none;
    }
    if (failed && gone()) {  // a handler that found nobody to answer
      status_ = client_closed;
      co_return;
    }
  } catch (const std::exception& e) {
    if (shared_.insisting) throw;
    spdlog::error("event=handler_failed route=\"{}\" what=\"{}\"", route.pattern, e.what());
    failed = true;
  }
  if (!failed) co_return;
  shared_.metrics.handler_failures_total.Increment();
  if (answer_ != Answer::none || gave_up_) co_return;  // too late for words: the connection is cut
  const auto response = error_response(head_.path, 500, "an error of our own");
  co_await send(response);
}

Task<Result<void>> Session::answer_or_ask_behind(const Route& route, Request& request, Response response) {
  const auto* behind = shared_.router.behind(request.method);
  const bool elsewhere = route.options.else_behind && behind && (response.status == 404 || response.status == 501);
  if (!elsewhere) co_return co_await send(response);
  enter(Phase::streaming, std::chrono::milliseconds::max());
  body_left_ = body_view_.size();
  body_ended_ = body_left_ == 0;
  ResponseStream& stream = *this;
  RequestBody& body = *this;
  co_await std::get<PassHandler>(behind->handler)(request, body, stream);
  if (answer_ == Answer::none) co_return co_await send(response);
  co_return Result<void>();
}

// Who is over a quota hears so after a while, which doubles with each refusal in a row: whoever asks as fast as answers
// come is slowed down to what the quota gives, and costs the others next to nothing. The answer is what is held back,
// not the request behind it, which may be another one's where a proxy keeps the connection.
Task<bool> Session::turn_away(const Route* route) {
  auto refusal = std::move(*verdict_.refusal);
  verdict_.refusal.reset();
  if (verdict_.wait.count() > 0) {
    const auto once = std::max<std::chrono::milliseconds>(verdict_.wait, quota_wait_min);
    const auto wait = std::min<std::chrono::milliseconds>(once * (1 << refused_in_a_row_), quota_wait_max);
    refused_in_a_row_ = std::min(refused_in_a_row_ + 1, 10);
    enter(Phase::writing, std::chrono::milliseconds::max());
    Timer timer(socket_.get_executor(), wait);
    co_await timer.async_wait(as_result);
    began_ = std::chrono::steady_clock::now();  // no answer of ours is that slow
  }
  co_return co_await say_no(route, std::move(refusal));
}

// A request that is refused before its body was read: the connection lives on where that is cheap.
Task<bool> Session::say_no(const Route* route, Response response) {
  if (response.status == 413) shared_.metrics.refused_too_large.Increment();
  const bool cheap = !head_.chunked && head_.content_length <= shared_.config.discard_bytes_max &&
                     (!head_.expects_continue || head_.content_length == 0);
  if (!cheap) close_after_ = true;
  const auto sent = co_await send(response);
  shared_.metrics.answered(route, response.status, seconds_since(began_));
  if (!sent) co_return false;
  if (!cheap) {
    co_await linger();
    co_return false;
  }
  if (!co_await discard_body()) co_return false;
  co_return keeps_alive();
}

// What can't be understood, or came too slowly: nothing that follows on this connection has a meaning.
Task<void> Session::say_no_and_close(Rejection rejection) {
  count_refusal(rejection.status);
  shared_.metrics.answered(nullptr, rejection.status, 0);
  close_after_ = true;
  const auto path = head_size_ > 0 ? head_.path : std::string_view();
  const auto response = error_response(path, rejection);
  const auto sent = co_await send(response);
  if (sent) co_await linger();
}

void Session::count_refusal(unsigned status) {
  auto& metrics = shared_.metrics;
  (status == 408                                     ? metrics.refused_too_slow
   : status == 413 || status == 414 || status == 431 ? metrics.refused_too_large
                                                     : metrics.refused_malformed)
      .Increment();
}

// Closing while the client still sends would reset the connection and take the answer away from it: read on a little.
Task<void> Session::linger() {
  error_code ec;
  if (!socket_.is_tls()) socket_.shutdown(Wire::shutdown_send, ec);
  enter(Phase::lingering, shared_.config.linger_timeout);
  const auto into = asio::buffer(buffer_.get(), capacity_);
  while (!ec && !expired_) std::tie(ec, std::ignore) = co_await socket_.async_read_some(into, as_result);
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

// The handler's time is up. It goes on (what it waits for may still happen, and its own limits end it), but the client
// is told now.
void Session::give_up() {
  auto& metrics = shared_.metrics;
  metrics.overdue_total.Increment();
  if (route_->options.scope != Scope::read) metrics.refused_later(Error::timed_out);  // it is the log that hangs
  gave_up_ = close_after_ = true;
  chunked_ = false;  // as the answer before it may have been
  const auto response =
      error_response(head_.path, 503, "not done in time; it may still happen: repeat it with its key");
  out_.clear();
  append_head(response.status, response.content_type, response.headers, response.body.size());
  if (!cut_body_) out_ += response.body;
  metrics.answered(route_, response.status, seconds_since(began_));
  error_code ec;
  socket_.write_last(asio::buffer(out_));  // a few hundred bytes on a socket with nothing before them
  socket_.shutdown(Wire::shutdown_both, ec);
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
