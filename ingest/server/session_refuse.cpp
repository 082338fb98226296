// How a session says no.
#include <algorithm>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/write.hpp>
#include <tuple>

#include "ingest/server/session.hpp"
#include "ops/runtime/error.hpp"

namespace assay {
namespace {

constexpr std::chrono::milliseconds quota_wait_min{20}, quota_wait_max{1000};

}  // namespace

// Who is over a quota hears so after a while, which doubles with each refusal in a row: whoever asks as fast as answers
// come is slowed down to what the quota gives, and costs the others next to nothing. The answer is what is held back,
// not the request behind it, which may be another one's where a proxy keeps the connection.
Task<bool> Session::turn_away() {
  auto refusal = std::move(*access_.refusal);
  access_.refusal.reset();
  if (access_.wait.count() > 0) {
    const auto once = std::max<std::chrono::milliseconds>(access_.wait, quota_wait_min);
    const auto wait = std::min<std::chrono::milliseconds>(once * (1 << refused_in_a_row_), quota_wait_max);
    refused_in_a_row_ = std::min(refused_in_a_row_ + 1, 10);
    enter(Phase::writing, std::chrono::milliseconds::max());
    Timer timer(socket_.get_executor(), wait);
    co_await timer.async_wait(as_result);
    began_ = std::chrono::steady_clock::now();  // no answer of ours is that slow
  }
  co_return co_await say_no(std::move(refusal));
}

// A request that is refused before its body was read: the connection lives on where that is cheap.
Task<bool> Session::say_no(Response response) {
  if (response.status == 413) shared_.metrics.refused_too_large.Increment();
  const bool cheap = !head_.chunked && head_.content_length <= shared_.config.discard_bytes_max &&
                     (!head_.expects_continue || head_.content_length == 0);
  if (!cheap) close_after_ = true;
  const auto sent = co_await send(response);
  shared_.metrics.answered(route_, response.status, seconds_since_head());
  if (!sent) co_return false;
  if (!cheap) {
    co_await linger();
    co_return false;
  }
  if (!co_await discard_body()) co_return false;
  co_return keeps_alive();
}

// What can't be understood, or came too slowly: nothing that follows on this connection has a meaning.
Task<bool> Session::say_no_and_close(Rejection rejection) {
  count_refusal(rejection.status);
  shared_.metrics.answered(nullptr, rejection.status, 0);
  close_after_ = true;
  const auto path = head_size_ > 0 ? head_.path : std::string_view();
  const auto response = error_response(path, rejection);
  const auto sent = co_await send(response);
  if (sent) co_await linger();
  co_return false;
}

// One that did not come as a whole.
Task<bool> Session::refuse_body(Rejection rejection, Admission::Permit& permit) {
  if (rejection.reason.empty()) {  // nobody is there
    shared_.metrics.answered(route_, client_closed, seconds_since_head());
    co_return false;
  }
  if (rejection.status != 503) co_return co_await say_no_and_close(std::move(rejection));
  permit = Admission::Permit();  // what came goes, while the client reads why
  body_.clear();
  auto response = error_response(head_.path, make_error_code(Error::over_capacity));
  co_return co_await say_no(std::move(response));
}

void Session::count_refusal(unsigned status) {
  auto& metrics = shared_.metrics;
  (status == 408                                     ? metrics.refused_too_slow
   : status == 413 || status == 414 || status == 431 ? metrics.refused_too_large
                                                     : metrics.refused_malformed)
      .Increment();
}

Task<bool> Session::discard_body() {
  auto left = static_cast<std::size_t>(head_.content_length);
  const auto here = std::min(left, behind_head().size());
  buffer_.consume(head_size_ + here);
  left -= here;
  if (left == 0) co_return true;
  buffer_.clear();  // all that had come was the body's
  make_all_room();
  enter(Phase::body, shared_.config.body_timeout);
  while (left > 0) {
    const auto into = asio::buffer(buffer_.room(), left);
    const auto [ec, n] = co_await socket_.async_read_some(into, as_result);
    if (ec || expired_) co_return false;
    left -= n;
  }
  co_return true;
}

// Closing while the client still sends would reset the connection and take the answer away from it: read on a little.
Task<void> Session::linger() {
  error_code ec;
  if (!socket_.is_tls()) socket_.shutdown(Wire::shutdown_send, ec);
  enter(Phase::lingering, shared_.config.linger_timeout);
  buffer_.clear();
  const auto into = buffer_.room();
  while (!ec && !expired_) std::tie(ec, std::ignore) = co_await socket_.async_read_some(into, as_result);
}

// The handler's time is up. It goes on (what it waits for may still happen, and its own limits end it), but the client
// is told now.
void Session::give_up() {
  auto& metrics = shared_.metrics;
  metrics.overdue_total.Increment();
  const auto scope = route_->options.scope;
  if (scope == Scope::feedback || scope == Scope::trace || scope == Scope::admin)  // it is the log that hangs
    metrics.refused_later(Error::timed_out);
  gave_up_ = close_after_ = true;
  const auto response =
      error_response(head_.path, 503, "not done in time; it may still happen: repeat it with its key");
  compose(response);
  metrics.answered(route_, response.status, seconds_since_head());
  error_code ec;
  socket_.write_last(asio::buffer(out_));  // a few hundred bytes on a socket with nothing before them
  socket_.shutdown(Wire::shutdown_both, ec);
}

}  // namespace assay
