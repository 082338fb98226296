#pragma once
// The front door of one process: the HTTP server, its budget and its routes, put together.
//
// Everything given to the constructor outlives it. Routes are added between construction and start().
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ingest/feedback/recent_traces.hpp"
#include "ingest/health.hpp"
#include "ingest/ingest_config.hpp"
#include "ingest/server/server.hpp"
#include "storage/log/event_log.hpp"

namespace assay {

class FrontDoor {
 public:
  FrontDoor(IngestConfig config, EventLog& log, Metrics& metrics, const Clock& clock);
  ~FrontDoor();  // ends what still runs, at once

  Router& router() { return router_; }
  Admission& admission() { return admission_; }
  RecentTraces& recent_traces() { return recent_; }
  // Before start(): who may pass, and the certificate to show. Without them everybody may, and HTTP is plain.
  void guard_with(Gate& gate) { gate_ = &gate; }
  void speak_tls(TlsSlot& tls) { tls_ = &tls; }
  // Beside the log's own, for /readyz.
  void add_check(ReadyCheck check) { health_.checks.push_back(std::move(check)); }

  // What /livez says: the loops of this door, and whatever else was added, make progress. Any thread, after start().
  bool live() const { return health_.live(); }
  // Why /readyz does not say 200, in words; empty: it does. The same.
  std::string not_ready() const { return health_.not_ready(); }
  // Beside the door's own loops, for /livez. Any thread; must not block. Before start().
  void add_live_check(std::function<bool()> check) { live_checks_.push_back(std::move(check)); }

  // Listens; who connects waits until start(). For who must know that nobody else has the address before something
  // else begins. On an error, in words, nothing listens.
  Result<void, std::string> listen();
  // Serves on threads of its own; listens before, unless it does. On an error, in words, nothing runs.
  Result<void, std::string> start();
  // The one that is listened on; after start().
  std::uint16_t port() const { return server_ ? server_->port() : 0; }

  // From any thread after start(), and more than once. Stops accepting; idle connections close; running requests are
  // answered, then theirs close.
  void begin_drain();
  // Ends everything that still runs: what a second signal asks for.
  void insist();
  // /readyz says that this door leaves, and for HttpConfig::drain_delay it goes on serving: who balances load takes it
  // off its list before connections are refused.
  void leave();
  // begin_drain(), waits for HttpConfig::drain_max, insists, and waits for the end. True: nothing had to be cut.
  // `last_call`: before it insists, for who can end in words what runs still; a second is left for them.
  bool drain(const std::function<void()>& last_call = {});

 private:
  const IngestConfig config_;
  Metrics& metrics_;
  const Clock& clock_;
  Admission admission_;
  RecentTraces recent_;
  Gate* gate_ = nullptr;
  TlsSlot* tls_ = nullptr;
  Router router_;
  std::vector<std::function<bool()>> live_checks_;
  std::atomic<bool> leaving_{false};
  Health health_;
  std::unique_ptr<Server> server_;  // last: its sessions use the rest
};

}  // namespace assay
