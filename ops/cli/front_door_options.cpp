#include "ops/cli/front_door_options.hpp"

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "ingest/chat/builtin_responder.hpp"
#include "ingest/mlflow/experiment_routes.hpp"
#include "ingest/mlflow/mlflow_routes.hpp"
#include "ingest/openai/openai_routes.hpp"
#include "ingest/openapi/openapi_route.hpp"
#include "ingest/otlp/otlp_route.hpp"
#include "ingest/web/page.hpp"
#include "ops/cli/file_options.hpp"
#include "ops/runtime/descriptors.hpp"
#include "ops/runtime/log.hpp"
#include "ops/runtime/parse_number.hpp"
#include "ops/runtime/run_task.hpp"
#include "ops/runtime/thread.hpp"
#include "storage/store/catalog.hpp"

namespace assay::cli {

using namespace std::chrono_literals;

// Descriptors that are not for connections: 512 of the database's tables, and what logs, brokers, an MLflow and files
// that are looked at take. Where a flush of the database finds none, the log writes no more until a restart.
constexpr std::size_t kept_descriptors = 768, kept_a_thread = 4, left_min = 64;

static bool is_id(std::string_view experiment) { return experiment.find_first_not_of("0123456789") == experiment.npos; }

static std::string experiment_id_of(const std::string& given, View* view) {
  if (is_id(given)) return given;
  if (view)
    if (const auto found = Catalog(view->kv()).experiment_named(given); found && *found) return (*found)->experiment_id;
  return new_experiment_id(given);
}

std::optional<Address> parse_address(const std::string& text) {
  const auto colon = text.rfind(':');
  if (colon == text.npos || colon == 0) return {};
  Address address{text.substr(0, colon), 0};
  if (address.host.front() == '[' && address.host.back() == ']')
    address.host = address.host.substr(1, address.host.size() - 2);
  if (address.host == "localhost") address.host = "127.0.0.1";
  const auto port = parse_number<decltype(address.port)>(std::string_view(text).substr(colon + 1));
  if (!port) return {};
  address.port = *port;
  return address;
}

void FrontDoorOptions::add_to(CLI::App& app) {
  constexpr std::chrono::milliseconds moment{1};  // of what none of would serve nobody
  app.add_option("--listen", listen, "Where to listen, ADDRESS:PORT; port 0: any that is free")->capture_default_str();
  app.add_option("--data", data, "The directory that keeps everything")->capture_default_str();
  access.add_to(app);
  constexpr unsigned threads_max = 8;  // unless asked for: the log and the workers want some, too
  ingest.http.threads = std::clamp(std::thread::hardware_concurrency(), 1u, threads_max);
  app.add_option("--threads", ingest.http.threads, "Threads that serve connections")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--connections-max", ingest.http.connections_max,
                 "Connections at once, as far as the limit of open files lets them")
      ->check(at_least_one())
      ->capture_default_str();
  app.add_option("--connections-per-address", connections_per_address,
                 "Connections of one address, trusted proxies left out; 0: no bound (default: a quarter of "
                 "--connections-max where keys are asked for)")
      ->check(zero_or_more());
  add_bytes(app, "--in-flight-max", ingest.admission.bytes_max,
            "Bytes of requests between header and answer, before 503");
  app.add_option("--requests-max", ingest.admission.requests_max, "Requests between header and answer, before 503")
      ->check(at_least_one())
      ->capture_default_str();
  add_bytes(app, "--body-max", feedback.body_bytes_max, "Bytes of one request for feedback", 1);
  add_bytes(app, "--batch-max", feedback.batch_bytes_max, "Bytes of one batch of feedback", 1);
  add_duration(app, "--header-timeout", ingest.http.header_timeout, "For a request's header to arrive", moment);
  add_duration(app, "--body-timeout", ingest.http.body_timeout, "For a request's body to arrive", moment);
  add_duration(app, "--request-timeout", ingest.http.request_timeout, "For a request to be answered", moment);
  add_duration(app, "--write-timeout", ingest.http.write_timeout, "For a client to take what is written to it", moment);
  add_duration(app, "--idle-timeout", ingest.http.idle_timeout, "For a connection between requests", moment);
  add_duration(app, "--drain-delay", ingest.http.drain_delay,
               "After SIGTERM /readyz says no, and so long the door still serves, for a load balancer to see it");
  add_duration(app, "--drain-max", ingest.http.drain_max, "For running requests to end after SIGTERM");
  app.add_option("--unknown-trace", unknown_trace, "Feedback for a trace that is not known: park or reject")
      ->check(CLI::IsMember({"park", "reject"}))
      ->capture_default_str();
  app.add_option("--experiment", chat.experiment_id, "The experiment of this door's chats, by id or name")
      ->capture_default_str();
  app.add_option("--model-url", model.url,
                 "An OpenAI-compatible server, http://HOST:PORT/v1; without one a built-in responder answers");
  app.add_option("--model", model.model, "The model's name there")->capture_default_str();
  app.add_option("--model-ca-file", model_ca_file, "Certificates (PEM) to trust beside the system's");
  add_duration(app, "--model-connect-max", model.limits.connect, "For a connection to the model", moment);
  add_duration(app, "--model-first-byte-max", model.limits.first_byte, "For the model to begin its answer", moment);
  add_duration(app, "--model-silence-max", model.limits.between_reads, "For the model to go on with its answer",
               moment);
  app.add_option("--model-retries", model.retries, "How often a model that failed before it began is asked again")
      ->check(CLI::Range(0, 10))
      ->capture_default_str();
  add_bytes(app, "--model-request-max", chat.openai_request_bytes_max, "Bytes of one request for OpenAI's door", 1);
  add_duration(app, "--ws-idle-max", socket.idle_max, "For a WebSocket's client to give a sign of life", moment);
  add_duration(app, "--chat-max", chat.chat_max, "From a question to its last token", moment);
  add_duration(app, "--builtin-pause", builtin_pause, "Between two words of the built-in responder");
  add_duration(app, "--heartbeat", chat.heartbeat_every, "A stream that has nothing to say sends a comment this often",
               moment);
  add_duration(app, "--token-interval", chat.token_interval, "Tokens that come faster are gathered into one event");
  add_duration(app, "--stall-max", chat.stall_max, "For the reader of a stream to take something, before it is cut",
               moment);
  add_duration(app, "--resume-max", chat.resume_max,
               "How long a stream is held for its reader to come back, before the model is aborted");
}

std::optional<std::string> FrontDoorOptions::settle() {
  if (chat.experiment_id.empty()) return "--experiment: it is empty";
  const auto address = parse_address(listen);
  if (!address) return "--listen: \"" + listen + "\" is not ADDRESS:PORT";
  ingest.http.address = address->host;
  ingest.http.port = address->port;
  if (ingest.admission.bytes_max < feedback.body_bytes_max || ingest.admission.bytes_max < feedback.batch_bytes_max)
    return "--in-flight-max: it has no room for one request of --body-max or --batch-max";
  if (auto problem = problem_with_directory("--data", data)) return problem;
  if (auto problem = access.settle(data, address->host)) return problem;
  if (auto problem = problem_with_ca_file("--model-ca-file", model_ca_file)) return problem;
  socket.origins = access.origins;
  reject_unknown_trace = unknown_trace == "reject";
  feedback.view_wait = ingest.view_wait;
  if (const auto* key = std::getenv("ASSAY_MODEL_API_KEY")) model.api_key = key;
  if (!model.url.empty())
    if (auto problem = problem_with(model); !problem.empty()) return "--model-url: " + problem;
  return {};
}

std::optional<std::string> FrontDoorOptions::fit_descriptors() {
  const auto limit = descriptor_limit();
  const auto kept = kept_descriptors + kept_a_thread * ingest.http.threads;
  if (limit < kept + left_min)
    return "this process may open " + std::to_string(limit) + " files (ulimit -n), and needs " +
           std::to_string(kept + left_min) + " with --threads " + std::to_string(ingest.http.threads);
  // Who chats, or asks the MLflow behind, has a connection of ours to there beside his own.
  const bool asks_model = !model.url.empty(), asks_behind = !behind.url.empty();
  auto left = limit - kept;
  const auto wanted = ingest.http.connections_max;
  auto& most = ingest.http.connections_max;
  most = std::min(most, left / (1u + asks_model + asks_behind));
  if (most < wanted)
    spdlog::warn("event=connections_lowered from={} to={} open_files_max={} act=\"raise it: ulimit -n, LimitNOFILE\"",
                 wanted, most, limit);
  left -= most;
  behind.connections_max = std::min(behind.connections_max, most);
  if (asks_behind) left -= behind.connections_max;
  model_connections_max = std::min(model_connections_max, left);
  ingest.http.connections_per_address_max =
      connections_per_address.value_or(access.gate.anonymous == ScopeSet::all() ? 0 : most / 4);
  return {};
}

DoorWithRoutes::DoorWithRoutes(const FrontDoorOptions& options, EventLog& log, View* view, bool view_is_complete,
                               KeyValue& disk, Metrics& metrics, const Clock& clock)
    : redactor_(options.access.redaction.empty() ? nullptr : std::move(*Redactor::make(options.access.redaction))),
      redacting_(redactor_ ? std::make_unique<RedactingLog>(log, *redactor_, options.access.redaction, metrics)
                           : nullptr),
      log_(redacting_ ? static_cast<EventLog&>(*redacting_) : log),
      view_(view),
      clock_(clock),
      experiment_(options.chat.experiment_id),
      access_(options.access, clock, metrics),
      front_(options.ingest, log_, metrics, clock),
      feedback_{options.feedback, log_, view, front_.recent_traces(), clock, FeedbackMetrics(metrics), &access_.gate()},
      mlflow_{{.server_behind = !options.behind.url.empty(),
               .own_experiments = options.own_experiments,
               .view_wait = options.ingest.view_wait,
               .trace_bytes_max = options.ingest.trace_bytes_max},
              log_,
              view,
              front_.recent_traces(),
              clock,
              {},
              FeedbackMetrics(metrics)},
      http_(HttpClientConfig{.ca_file = options.model_ca_file, .connections_max = options.model_connections_max}),
      journal_(disk, ChatJournal::entries_max_default,
               redacting_ ? [this](std::string& json) { redacting_->clear_journal_entry(json); } : ChatJournal::Clear(),
               log_.keeps_state()),
      chat_metrics_(metrics),
      live_(options.chat, chat_metrics_),
      chat_{[&] {
              auto chat = options.chat;
              chat.experiment_id = experiment_id_of(experiment_, view);
              if (!is_id(experiment_)) chat.experiment_name = experiment_;
              return chat;
            }(),
            log_,
            *[&] {
              if (options.model.url.empty())
                backend_ = std::make_unique<BuiltinResponder>(options.builtin_pause);
              else
                backend_ = std::make_unique<OpenAiBackend>(options.model, http_);
              return backend_.get();
            }(),
            journal_,
            chat_metrics_,
            clock,
            live_,
            [this](std::string_view trace_id, std::string_view request_id) {
              front_.recent_traces().add(trace_id, request_id);
            },
            [this, &capability = options.access.capability](std::string_view trace_id, std::string_view request_id,
                                                            std::string_view user) {
              return mint_for_answer(access_.gate(), capability, trace_id, request_id, user, clock_.now());
            }},
      quality_(view, clock, experiment_id_of(experiment_, view)) {
  feedback_.config.view_is_complete = view_is_complete;
  if (options.reject_unknown_trace) reject_unknown_traces(options, metrics);
  front_.guard_with(access_.gate());
  if (access_.tls()) front_.speak_tls(*access_.tls());
  add_openapi_route(front_.router(), access_.gate());
  add_capability_routes(front_.router(), access_.gate(), options.access.capability, clock);
  add_feedback_routes(front_.router(), feedback_);
  add_chat_routes(front_.router(), chat_);
  quality_.add_to(front_.router());
  add_chat_socket(front_.router(), chat_, options.socket);
  add_openai_routes(front_.router(), chat_);
  const bool alone = options.behind.url.empty();
  add_page_routes(front_.router(), page_files(), alone);
  add_mlflow_routes(front_.router(), mlflow_);
  add_otlp_route(front_.router(), mlflow_);
  if (alone) return;
  auto behind = options.behind;
  behind.keeps_authorization = [this] { return access_.gate().has_keys(); };
  behind_ = std::make_unique<ReverseProxy>(std::move(behind), metrics);
  const auto pass = [this](Request& request, RequestBody& body, ResponseStream& answer) {
    return behind_->pass(request, body, answer);
  };
  front_.router().set_behind(pass, {.scope = Scope::read, .body_bytes_max = options.behind.body_bytes_max},
                             {.scope = Scope::admin, .body_bytes_max = options.behind.body_bytes_max});
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

DoorWithRoutes::~DoorWithRoutes() { closer_.request_stop(); }

void DoorWithRoutes::make_experiment() {
  if (is_id(experiment_)) return;
  if (view_)
    if (const auto known = Catalog(view_->kv()).experiment_named(experiment_); !known || *known) return;
  IoContext io(1);
  auto record = to_record(new_experiment(experiment_, new_experiment_id(experiment_), clock_.now()), clock_.now());
  if (const auto appended = run_task(io, log_.append(std::move(record))); !appended)
    spdlog::warn("event=experiment_not_made name=\"{}\" problem=\"{}\"", experiment_, appended.error().message());
}

Result<void, std::string> DoorWithRoutes::start() {
  if (const auto opened = access_.open(); !opened) return opened.error();
  const auto found = journal_.load();
  if (!found) return "the journal of chats can't be read: " + found.error().message();
  if (*found > 0) spdlog::info("event=chats_left_open count={}", *found);
  if (redactor_ && behind_) spdlog::warn("event=redaction_not_of_passed_requests");
  make_experiment();
  closer_ = std::jthread([this](std::stop_token stop) {
    // An io_context of its own: the log may be away for long, and the door must not wait for it.
    IoContext io(1);
    while (!stop.stop_requested()) {
      // On an error the next round tries again.
      try {
        if (journal_.left_over() > 0) (void)run_task(io, journal_.close_left_over(log_, clock_.now(), 256));
      } catch (const std::exception& e) {
        spdlog::error("event=chats_not_closed problem=\"{}\"", e.what());
      }
      sleep_unless_stopped(stop, 1s);
    }
  });
  return front_.start();
}

void DoorWithRoutes::drain() {
  front_.leave();
  live_.begin_drain();
  quality_.stop();
  front_.drain();
  closer_.request_stop();
  if (closer_.joinable()) closer_.join();
}

}  // namespace assay::cli
