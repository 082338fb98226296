#pragma once
// The front door that `serve` and `ingest` open: listener, feedback, chat, MLflow's API, and what lies behind.
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include "ingest/chat/chat_journal.hpp"
#include "ingest/chat/chat_route.hpp"
#include "ingest/chat/live_chats.hpp"
#include "ingest/feedback/feedback_routes.hpp"
#include "ingest/front_door.hpp"
#include "ingest/mlflow/door.hpp"
#include "ingest/privacy/redacting_log.hpp"
#include "ingest/web/quality_route.hpp"
#include "ops/cli/front_door_options.hpp"
#include "ops/runtime/http_client.hpp"

namespace assay::cli {

// The front door of this process and what its routes share. Everything given outlives it.
class DoorWithRoutes {
 public:
  // `view` may be null. `disk` keeps the journal of open chats.
  DoorWithRoutes(const FrontDoorOptions& options, EventLog& log, View* view, KeyValue& disk, Metrics& metrics,
                 const Clock& clock);
  ~DoorWithRoutes();

  FrontDoor& front() { return front_; }
  // Reads keys and certificates again. Any thread.
  void reload() { access_.reload(); }
  // Closes what an earlier life of this door left open, as far as the log takes it, then listens. What may wait for the
  // log is behind it when it calls `before_listening`.
  Result<void, std::string> start(const std::function<void()>& before_listening = {});
  void drain();

 private:
  ChatServices chat_services(const FrontDoorOptions& options);
  void add_routes(const FrontDoorOptions& options);
  void reject_unknown_traces(const FrontDoorOptions& options, Metrics& metrics);
  void pass_on_the_rest(const ProxyConfig& config, const TrustedProxies& proxies, Metrics& metrics);
  // The experiment of chats that was given by its name is in the catalog, unless it is there already.
  void make_experiment();
  // Until `stop`, in rounds: closes the chats that an earlier life of this door left open, as far as the log takes
  // them, and lets go of those that have ended and were held long enough.
  void tidy_up_chats(const std::stop_token& stop);

  std::unique_ptr<Redactor> redactor_;  // none: nothing is taken out
  std::unique_ptr<RedactingLog> redacting_;
  EventLog& log_;
  View* view_;
  const Clock& clock_;
  const std::string experiment_;  // as it was given: an id or a name
  Access access_;
  FrontDoor front_;
  FeedbackDoor feedback_;
  MlflowDoor mlflow_;
  HttpClient http_;
  std::unique_ptr<ChatBackend> backend_;
  ChatJournal journal_;
  ChatMetrics chat_metrics_;
  LiveChats live_;
  ChatServices chat_;
  QualityRoute quality_;
  std::unique_ptr<ReverseProxy> behind_;
  std::unique_ptr<TracesBehind> traces_behind_;
  std::unique_ptr<UnknownTraces> unknown_;
  // Of appends that no request asks for: the log may be away for long, and the door must not wait for it.
  IoContext own_io_{1};
  std::jthread tidier_;  // of chats
};

}  // namespace assay::cli
