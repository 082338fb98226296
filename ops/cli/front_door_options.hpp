#pragma once
// The flags that `serve` and `ingest` share, and the front door that they make: listener, feedback, chat, MLflow's API.
#include <memory>
#include <optional>
#include <string>

#include "ingest/chat/chat_backend.hpp"
#include "ingest/chat/chat_journal.hpp"
#include "ingest/chat/chat_route.hpp"
#include "ingest/chat/live_chats.hpp"
#include "ingest/chat/openai_backend.hpp"
#include "ingest/feedback/feedback_routes.hpp"
#include "ingest/front_door.hpp"
#include "ingest/mlflow/door.hpp"
#include "ingest/proxy/reverse_proxy.hpp"
#include "ingest/web/quality_route.hpp"
#include "ingest/ws/chat_socket.hpp"
#include "ops/cli/access_options.hpp"
#include "ops/cli/options.hpp"
#include "ops/runtime/http_client.hpp"

namespace assay::cli {

struct FrontDoorOptions {
  std::string listen = "127.0.0.1:8080";
  std::string data = "assay-data";
  IngestConfig ingest;
  AccessOptions access;
  ChatConfig chat;
  FeedbackConfig feedback;
  OpenAiConfig model;
  ChatSocketConfig socket;
  std::string model_ca_file;
  std::chrono::milliseconds builtin_pause{10};
  std::optional<std::size_t> connections_per_address;
  std::string unknown_trace = "park";
  bool reject_unknown_trace = false;  // 404 instead of parking: needs a view or an MLflow behind
  bool own_experiments = true;        // see MlflowDoorConfig
  ProxyConfig behind;                 // the MLflow server that everything goes to which this door does not answer
  std::size_t model_connections_max = 20'000;
  std::string behind_authorization;  // of what the door itself asks it; a client's request brings its own

  void add_to(CLI::App& app);
  // After parsing: what is wrong, in a sentence.
  std::optional<std::string> settle();
  // When all else is known: connections get what the limit of open files leaves.
  std::optional<std::string> fit_descriptors();
};

// "127.0.0.1:8080" or "[::1]:8080".
struct Address {
  std::string host;
  std::uint16_t port;
};
std::optional<Address> parse_address(const std::string& text);

// The front door of this process and what its routes share. Everything given outlives it.
class DoorWithRoutes {
 public:
  // `view` may be null. `disk` keeps the journal of open chats.
  DoorWithRoutes(const FrontDoorOptions& options, EventLog& log, View* view, bool view_is_complete, KeyValue& disk,
                 Metrics& metrics, const Clock& clock);
  ~DoorWithRoutes();

  FrontDoor& front() { return front_; }
  // Reads keys and certificates again. Any thread.
  void reload() { access_.reload(); }
  // Closes what an earlier life of this door left open, as far as the log takes it, then listens.
  Result<void, std::string> start();
  void drain();

 private:
  // The experiment of chats that was given by its name is in the catalog, unless it is there already.
  void make_experiment();
  void reject_unknown_traces(const FrontDoorOptions& options, Metrics& metrics);

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
  std::jthread closer_;  // of chats that were left over
};

}  // namespace assay::cli
