#include <sys/socket.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

#include "ingest/access/client_address.hpp"
#include "ingest/http/error_response.hpp"
#include "ingest/server/server.hpp"
#include "ops/runtime/log.hpp"
#include "ops/runtime/thread.hpp"

namespace assay {
namespace {

using std::chrono::steady_clock;
using ReusePort = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;

constexpr std::chrono::milliseconds accept_pause{100};
// Whatever was asked: nothing of it is read.
std::string no_room() {
  const auto refusal = error_response({}, 503, "there are too many connections: repeat it after a moment");
  std::string out = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: " + std::string(refusal.content_type);
  for (const auto& [name, value] : refusal.headers) out.append("\r\n").append(name).append(": ").append(value);
  out.append("\r\nContent-Length: ").append(std::to_string(refusal.body.size()));
  return out.append("\r\nConnection: close\r\n\r\n").append(refusal.body);
}

// What ends a loop or a session may be a cancellation; anything else is a bug that must be heard of.
void report(std::exception_ptr failure, std::string_view what) {
  if (!failure) return;
  try {
    std::rethrow_exception(failure);
  } catch (const boost::system::system_error& e) {
    if (e.code() != asio::error::operation_aborted)
      spdlog::error("event=ended_badly what={} why=\"{}\"", what, e.what());
  } catch (const std::exception& e) {
    spdlog::error("event=ended_badly what={} why=\"{}\"", what, e.what());
  }
}

}  // namespace

ServerThread::ServerThread(ServerShared& shared)
    : shared_(shared),
      acceptor_(io_.get_executor()),
      sweep_timer_(io_.get_executor()),
      pause_timer_(io_.get_executor()) {
  last_round_ = steady_clock::now().time_since_epoch().count();
}

ServerThread::~ServerThread() { join(); }

Result<void> ServerThread::listen(const asio::ip::tcp::endpoint& at, bool first) {
  error_code ec;
  acceptor_.open(at.protocol(), ec);
  if (!ec) acceptor_.set_option(asio::socket_base::reuse_address(true), ec);
  // The first binds alone, so that a second process on the port by mistake hears of it, and then lets the others in.
  if (!ec && !first) acceptor_.set_option(ReusePort(true), ec);
  if (!ec) acceptor_.bind(at, ec);
  if (!ec && first && shared_.config.threads > 1) acceptor_.set_option(ReusePort(true), ec);
  if (!ec) acceptor_.listen(asio::socket_base::max_listen_connections, ec);
  if (ec) return ec;
  port_ = acceptor_.local_endpoint(ec).port();
  return {};
}

void ServerThread::start(std::function<void()> ended) {
  last_round_ = steady_clock::now().time_since_epoch().count();
  asio::co_spawn(io_, accept(), [](std::exception_ptr failure) { report(failure, "accept"); });
  asio::co_spawn(io_, sweep(), [](std::exception_ptr failure) { report(failure, "sweep"); });
  thread_ = std::jthread([this, ended = std::move(ended)] {
    name_this_thread("http");
    io_.run();  // until acceptor, sweep and every session have ended
    ended();
  });
}

Task<void> ServerThread::accept() {
  const auto turned_away = no_room();
  while (!shared_.draining) {
    auto [ec, socket] = co_await acceptor_.async_accept(as_result);
    if (shared_.draining) break;
    bool failed = ec.failed();  // out of descriptors, mostly
    try {
      if (!failed) take(std::move(socket), turned_away);
    } catch (...) {  // out of memory: whoever accepts no more still has connections given by the system
      report(std::current_exception(), "connection");
      failed = true;
    }
    if (!failed) continue;
    shared_.metrics.accept_errors_total.Increment();  // breathe, don't spin
    pause_timer_.expires_after(accept_pause);
    co_await pause_timer_.async_wait(as_result);
  }
  error_code ec;
  acceptor_.close(ec);
}

void ServerThread::take(Socket socket, std::string_view turned_away) {
  error_code ec;
  shared_.metrics.accepted_total.Increment();
  socket.non_blocking(true, ec);
  if (!ec) socket.set_option(asio::ip::tcp::no_delay(true), ec);
  if (ec) return;                                                // gone already
  if (++shared_.connections > shared_.config.connections_max) {  // taken first: other threads accept, too
    --shared_.connections;
    shared_.metrics.refused_connections.Increment();
    socket.write_some(asio::buffer(turned_away), ec);
    return;
  }
  const auto before = sessions_.size();
  std::optional<PeerCounts::Peer> counted;
  try {
    const auto peer = peer_to_count(socket);
    if (peer && !shared_.peers.enter(*peer, shared_.config.connections_per_address_max)) {
      --shared_.connections;
      shared_.metrics.refused_connections.Increment();
      socket.write_some(asio::buffer(turned_away), ec);
      return;
    }
    counted = peer;
    open_session(std::move(socket), peer);
  } catch (...) {
    if (sessions_.size() > before) sessions_.pop_front();
    if (counted) shared_.peers.leave(*counted);
    --shared_.connections;
    throw;
  }
}

// None: nobody counts. A trusted proxy's connections are those of many.
std::optional<PeerCounts::Peer> ServerThread::peer_to_count(const Socket& socket) const {
  if (shared_.config.connections_per_address_max == 0) return {};
  error_code gone;
  const auto from = socket.remote_endpoint(gone);
  if (gone || (shared_.gate && shared_.gate->config().proxies.trusts(from.address()))) return {};
  return quota_identity(from.address());
}

void ServerThread::open_session(Socket socket, std::optional<PeerCounts::Peer> peer) {
  sessions_.emplace_front(std::move(socket), shared_);
  const auto at = sessions_.begin();
  shared_.metrics.connections.Set(static_cast<double>(shared_.connections));
  auto ended = [this, at, peer](std::exception_ptr failure) {
    report(failure, "session");
    sessions_.erase(at);
    if (peer) shared_.peers.leave(*peer);
    shared_.metrics.connections.Set(static_cast<double>(--shared_.connections));
    if (shared_.draining && sessions_.empty()) sweep_timer_.cancel();
  };
  asio::co_spawn(io_, at->run(), asio::bind_cancellation_slot(at->cancellation_slot(), std::move(ended)));
}

Task<void> ServerThread::sweep() {
  while (!shared_.draining || !sessions_.empty()) {
    const auto now = steady_clock::now();
    last_round_ = now.time_since_epoch().count();
    for (auto& session : sessions_) session.sweep(now);
    sweep_timer_.expires_after(shared_.config.sweep_interval);
    co_await sweep_timer_.async_wait(as_result);
  }
}

void ServerThread::begin_drain() {
  asio::post(io_, [this] {
    error_code ec;
    acceptor_.close(ec);
    pause_timer_.cancel();
    for (auto& session : sessions_) session.drain();
    if (sessions_.empty()) sweep_timer_.cancel();
  });
}

void ServerThread::insist() {
  begin_drain();
  asio::post(io_, [this] {
    for (auto at = sessions_.begin(); at != sessions_.end();) (at++)->insist();  // it may end, and leave the list
  });
}

void ServerThread::join() {
  if (thread_.joinable()) thread_.join();
}

steady_clock::duration ServerThread::silent_for() const {
  return steady_clock::now().time_since_epoch() - steady_clock::duration(last_round_.load());
}

}  // namespace assay
