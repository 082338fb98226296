#include "ops/cli/door_with_routes.hpp"

#include "ingest/chat/builtin_responder.hpp"
#include "ingest/mlflow/experiment_routes.hpp"
#include "ingest/mlflow/mlflow_routes.hpp"
#include "ingest/mlflow/search_route.hpp"
#include "ingest/mlflow/trace_routes.hpp"
#include "ingest/openai/openai_routes.hpp"
#include "ingest/openapi/openapi_route.hpp"
#include "ingest/otlp/otlp_route.hpp"
#include "ingest/web/page.hpp"
#include "ops/runtime/log.hpp"
#include "ops/runtime/run_task.hpp"
#include "ops/runtime/thread.hpp"
#include "storage/store/catalog.hpp"

namespace assay::cli {
namespace {

using namespace std::chrono_literals;

bool is_id(std::string_view experiment) { return experiment.find_first_not_of("0123456789") == experiment.npos; }

std::string experiment_id_of(const std::string& given, View* view) {
  if (is_id(given)) return given;
  if (view)
    if (const auto found = Catalog(view->kv()).experiment_named(given); found && *found) return (*found)->experiment_id;
  return new_experiment_id(given);
}

std::unique_ptr<Redactor> make_redactor(const RedactionRules& rules) {
  return rules.empty() ? nullptr : std::move(*Redactor::make(rules));
}

std::unique_ptr<ChatBackend> make_backend(const FrontDoorOptions& options, HttpClient& http) {
  if (options.model.url.empty()) return std::make_unique<BuiltinResponder>(options.builtin_pause);
  return std::make_unique<OpenAiBackend>(options.model, http);
}

}  // namespace

DoorWithRoutes::DoorWithRoutes(const FrontDoorOptions& options, EventLog& log, View* view, KeyValue& disk,
                               Metrics& metrics, const Clock& clock)
    : redactor_(make_redactor(options.access.redaction)),
      redacting_(redactor_ ? std::make_unique<RedactingLog>(log, *redactor_, options.access.redaction, metrics)
                           : nullptr),
      log_(redacting_ ? static_cast<EventLog&>(*redacting_) : log),
      view_(view),
      clock_(clock),
      experiment_(options.chat.experiment_id),
      access_(options.access, clock, metrics),
      front_(options.ingest, log_, metrics, clock),
      feedback_{.config = options.feedback,
                .log = log_,
                .view = view,
                .recent = front_.recent_traces(),
                .clock = clock,
                .metrics = FeedbackMetrics(metrics),
                .gate = &access_.gate()},
      mlflow_{.config = {.server_behind = !options.behind.url.empty(),
                         .own_experiments = options.own_experiments,
                         .view_wait = options.ingest.view_wait,
                         .trace_bytes_max = options.ingest.trace_bytes_max},
              .log = log_,
              .view = view,
              .recent = front_.recent_traces(),
              .clock = clock,
              .catalog = {},
              .metrics = FeedbackMetrics(metrics)},
      http_(HttpClientConfig{.ca_file = options.model_ca_file, .connections_max = options.model_connections_max}),
      backend_(make_backend(options, http_)),
      journal_(disk, ChatJournal::entries_max_default,
               redacting_ ? [this](std::string& json) { redacting_->clear_journal_entry(json); } : ChatJournal::Clear(),
               log_.keeps_state()),
      chat_metrics_(metrics),
      live_(options.chat, chat_metrics_),
      chat_(chat_services(options)),
      quality_(view, clock, experiment_id_of(experiment_, view)) {
  if (options.reject_unknown_trace) reject_unknown_traces(options, metrics);
  front_.guard_with(access_.gate());
  if (access_.tls()) front_.speak_tls(*access_.tls());
  add_routes(options);
  if (!options.behind.url.empty()) pass_on_the_rest(options.behind, options.access.gate.proxies, metrics);
}

ChatServices DoorWithRoutes::chat_services(const FrontDoorOptions& options) {
  auto config = options.chat;
  config.experiment_id = experiment_id_of(experiment_, view_);
  if (!is_id(experiment_)) config.experiment_name = experiment_;
  auto note_trace = [this](std::string_view trace_id, std::string_view request_id) {
    front_.recent_traces().add(trace_id, request_id, clock_.now());
  };
  auto mint = [this, &capability = options.access.capability](std::string_view trace_id, std::string_view request_id,
                                                              std::string_view user) {
    return mint_for_answer(access_.gate(), capability, trace_id, request_id, user, clock_.now());
  };
  return {.config = std::move(config),
          .log = log_,
          .backend = *backend_,
          .journal = journal_,
          .metrics = chat_metrics_,
          .clock = clock_,
          .live = live_,
          .on_started = std::move(note_trace),
          .feedback_token = std::move(mint)};
}

void DoorWithRoutes::add_routes(const FrontDoorOptions& options) {
  auto& router = front_.router();
  add_openapi_route(router, access_.gate());
  add_capability_routes(router, access_.gate(), options.access.capability, clock_);
  add_feedback_routes(router, feedback_);
  add_chat_routes(router, chat_);
  quality_.add_to(router);
  add_chat_socket(router, chat_, options.socket);
  add_openai_routes(router, chat_);
  add_page_routes(router, page_files(), options.behind.url.empty());
  add_mlflow_routes(router, mlflow_);
  add_otlp_route(router, mlflow_);
}

void DoorWithRoutes::reject_unknown_traces(const FrontDoorOptions& options, Metrics& metrics) {
  const auto& behind = options.behind;
  if (!behind.url.empty())
    traces_behind_ = std::make_unique<TracesBehind>(
        TracesBehindConfig{.url = behind.url, .ca_file = behind.ca_file, .authorization = options.behind_authorization},
        metrics);
  unknown_ = std::make_unique<UnknownTraces>(view_, traces_behind_.get(), front_.recent_traces(), log_, clock_,
                                             options.feedback.view_wait);
  feedback_.unknown = mlflow_.unknown = unknown_.get();
}

void DoorWithRoutes::pass_on_the_rest(const ProxyConfig& config, const TrustedProxies& proxies, Metrics& metrics) {
  auto behind = config;
  behind.keeps_authorization = [this] { return access_.gate().has_keys(); };
  behind.client_of = [proxies](const Request& request) {
    return client_address(request.peer, request.headers, proxies);
  };
  behind_ = std::make_unique<ReverseProxy>(std::move(behind), metrics);
  const PassHandler pass = [this](Request& request, RequestBody& body, ResponseStream& answer) {
    return behind_->pass(request, body, answer);
  };
  front_.router().set_behind(with_searches(mlflow_, with_deletions(mlflow_, pass)),
                             {.scope = Scope::read, .body_bytes_max = config.body_bytes_max},
                             {.scope = Scope::admin, .body_bytes_max = config.body_bytes_max});
}

DoorWithRoutes::~DoorWithRoutes() { tidier_.request_stop(); }

void DoorWithRoutes::make_experiment() {
  if (is_id(experiment_)) return;
  const auto id = new_experiment_id(experiment_);
  if (view_) {
    const Catalog catalog(view_->kv());
    const auto of_name = catalog.experiment_named(experiment_), of_id = catalog.experiment(id);  // or it was renamed
    if (!of_name || *of_name || !of_id || *of_id) return;
  }
  auto record = to_record(new_experiment(experiment_, id, clock_.now()), clock_.now());
  if (const auto appended = run_task(own_io_, log_.append(std::move(record))); !appended)
    spdlog::warn("event=experiment_not_made name=\"{}\" problem=\"{}\"", experiment_, appended.error().message());
}

void DoorWithRoutes::tidy_up_chats(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    live_.drop_old(std::chrono::steady_clock::now());
    // On an error the next round tries again.
    try {
      if (journal_.left_over() > 0) (void)run_task(own_io_, journal_.close_left_over(log_, clock_.now(), 256));
    } catch (const std::exception& e) {
      spdlog::error("event=chats_not_closed problem=\"{}\"", e.what());
    }
    sleep_unless_stopped(stop, 1s);
  }
}

Result<void, std::string> DoorWithRoutes::start(const std::function<void()>& before_listening) {
  if (const auto opened = access_.open(); !opened) return opened.error();
  const auto found = journal_.load();
  if (!found) return "the journal of chats can't be read: " + found.error().message();
  if (*found > 0) spdlog::info("event=chats_left_open count={}", *found);
  if (redactor_ && behind_) spdlog::warn("event=redaction_not_of_passed_requests");
  make_experiment();
  if (before_listening) before_listening();
  tidier_ = std::jthread([this](const std::stop_token& stop) { tidy_up_chats(stop); });
  return front_.start();
}

void DoorWithRoutes::drain() {
  front_.leave();
  live_.begin_drain();
  quality_.stop();
  front_.drain([this] { live_.end_all({"the server is stopping: ask again", 503}); });
  tidier_.request_stop();
  if (tidier_.joinable()) tidier_.join();
}

}  // namespace assay::cli
