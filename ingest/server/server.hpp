#pragma once
// The HTTP server: threads, each with an io_context, a listening socket on the same port (SO_REUSEPORT) and the
// sessions that came through it. Sessions are owned: stop() waits for every one of them.
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <condition_variable>
#include <list>
#include <mutex>
#include <thread>

#include "ingest/server/session.hpp"

namespace assay {

// One thread of the server.
class ServerThread {
 public:
  explicit ServerThread(ServerShared& shared);
  ~ServerThread();

  // `first`: nobody else may listen there yet. The others follow it, on its port.
  Result<void> listen(const asio::ip::tcp::endpoint& at, bool first);
  std::uint16_t port() const { return port_; }
  // `ended` is called on the thread once it has drained.
  void start(std::function<void()> ended);

  // Any thread. See Server.
  void begin_drain();
  void insist();
  void join();
  // When the loop last came round.
  std::chrono::steady_clock::duration silent_for() const;

 private:
  using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, Executor>;

  Task<void> accept();
  Task<void> sweep();
  std::optional<PeerCounts::Peer> peer_to_count(const Socket& socket) const;
  void take(Socket socket, std::string_view turned_away);
  void open_session(Socket socket, std::optional<PeerCounts::Peer> peer);

  ServerShared& shared_;
  IoContext io_{1};
  Acceptor acceptor_;
  Timer sweep_timer_, pause_timer_;
  std::list<Session> sessions_;
  std::uint16_t port_ = 0;
  std::atomic<std::chrono::steady_clock::rep> last_round_{0};
  std::jthread thread_;
};

class Server {
 public:
  // `config`, `router`, `admission`, `clock` outlive it. Routes are complete.
  // So do `gate` and `tls`; null: everybody may do everything, and without TLS.
  Server(const HttpConfig& config, const Router& router, Admission& admission, const Clock& clock, Metrics& metrics,
         Gate* gate = nullptr, TlsSlot* tls = nullptr);
  ~Server();  // insists

  // Listens: who connects waits until start(). On an error nothing listens.
  Result<void> listen();
  // Serves; listens before, unless it does. On an error nothing runs.
  Result<void> start();
  std::uint16_t port() const;

  // All below: from any thread, and more than once.
  void begin_drain();  // stops accepting; idle connections close; running requests are answered, then theirs close
  void insist();       // ends everything at once
  // Whether every session has ended within `limit`.
  bool wait(std::chrono::milliseconds limit);
  // The longest that any of the loops has not come round.
  std::chrono::milliseconds silent_for() const;
  bool draining() const { return shared_.draining; }

 private:
  std::shared_ptr<Admission> answers_;
  ServerMetrics metrics_;
  ServerShared shared_;
  std::vector<std::unique_ptr<ServerThread>> threads_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t running_ = 0;  // threads that have not drained
};

}  // namespace assay
