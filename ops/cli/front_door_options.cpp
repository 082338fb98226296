#include "ops/cli/front_door_options.hpp"

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "ops/cli/file_options.hpp"
#include "ops/runtime/descriptors.hpp"
#include "ops/runtime/log.hpp"
#include "ops/runtime/parse_number.hpp"

namespace assay::cli {
namespace {

// Descriptors that are not for connections: 512 of the database's tables, and what logs, brokers, an MLflow and files
// that are looked at take. Where a flush of the database finds none, the log writes no more until a restart.
constexpr std::size_t kept_descriptors = 768, kept_a_thread = 4, left_min = 64;

constexpr std::chrono::milliseconds moment{1};  // of what none of would serve nobody

void add_connections(CLI::App& app, FrontDoorOptions& options) {
  constexpr unsigned threads_max = 8;  // unless asked for: the log and the workers want some, too
  options.ingest.http.threads = std::clamp(std::thread::hardware_concurrency(), 1u, threads_max);
  app.add_option("--threads", options.ingest.http.threads, "Threads that serve connections")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--connections-max", options.ingest.http.connections_max,
                 "Connections at once, as far as the limit of open files lets them")
      ->check(at_least_one())
      ->capture_default_str();
  app.add_option("--connections-per-address", options.connections_per_address,
                 "Connections of one address, trusted proxies left out; 0: no bound (default: a quarter of "
                 "--connections-max where keys are asked for)")
      ->check(zero_or_more());
}

void add_limits(CLI::App& app, FrontDoorOptions& options) {
  add_bytes(app, "--in-flight-max", options.ingest.admission.bytes_max,
            "Bytes of requests between header and answer, and as many of answers under way or held, before 503");
  app.add_option("--requests-max", options.ingest.admission.requests_max,
                 "Requests between header and answer, before 503")
      ->check(at_least_one())
      ->capture_default_str();
  add_bytes(app, "--body-max", options.feedback.body_bytes_max, "Bytes of one request for feedback", 1);
  add_bytes(app, "--batch-max", options.feedback.batch_bytes_max, "Bytes of one batch of feedback", 1);
  add_duration(app, "--header-timeout", options.ingest.http.header_timeout, "For a request's header to arrive", moment);
  add_duration(app, "--body-timeout", options.ingest.http.body_timeout, "For a request's body to arrive", moment);
  add_duration(app, "--request-timeout", options.ingest.http.request_timeout, "For a request to be answered", moment);
  add_duration(app, "--write-timeout", options.ingest.http.write_timeout, "For a client to take what is written to it",
               moment);
  add_duration(app, "--idle-timeout", options.ingest.http.idle_timeout, "For a connection between requests", moment);
  add_duration(app, "--drain-delay", options.ingest.http.drain_delay,
               "After SIGTERM /readyz says no, and so long the door still serves, for a load balancer to see it");
  add_duration(app, "--drain-max", options.ingest.http.drain_max, "For running requests to end after SIGTERM");
}

void add_model(CLI::App& app, FrontDoorOptions& options) {
  app.add_option("--model-url", options.model.url,
                 "An OpenAI-compatible server, http://HOST:PORT/v1; without one a built-in responder answers");
  app.add_option("--model", options.model.model, "The model's name there")->capture_default_str();
  app.add_option("--model-ca-file", options.model_ca_file, "Certificates (PEM) to trust beside the system's");
  add_duration(app, "--model-connect-max", options.model.limits.connect, "For a connection to the model", moment);
  add_duration(app, "--model-first-byte-max", options.model.limits.first_byte, "For the model to begin its answer",
               moment);
  add_duration(app, "--model-silence-max", options.model.limits.between_reads, "For the model to go on with its answer",
               moment);
  app.add_option("--model-retries", options.model.retries,
                 "How often a model that failed before it began is asked again: no connection, 408, 429, 5xx")
      ->check(CLI::Range(0, 10))
      ->capture_default_str();
  add_bytes(app, "--model-request-max", options.chat.openai_request_bytes_max, "Bytes of one request for OpenAI's door",
            1);
}

void add_chats(CLI::App& app, FrontDoorOptions& options) {
  add_duration(app, "--ws-idle-max", options.socket.idle_max, "For a WebSocket's client to give a sign of life",
               moment);
  add_bytes(app, "--answer-max", options.chat.answer_bytes_max, "Bytes of an answer of /chat, a stream or a WebSocket",
            1);
  add_duration(app, "--chat-max", options.chat.chat_max, "From a question to its last token", moment);
  add_duration(app, "--builtin-pause", options.builtin_pause, "Between two words of the built-in responder");
  add_duration(app, "--heartbeat", options.chat.heartbeat_every,
               "A stream that has nothing to say sends a comment this often", moment);
  add_duration(app, "--token-interval", options.chat.token_interval,
               "Tokens that come faster are gathered into one event");
  add_duration(app, "--stall-max", options.chat.stall_max,
               "For the reader of a stream to take something, before it is cut", moment);
  add_duration(app, "--resume-max", options.chat.resume_max,
               "How long a stream is held for its reader to come back, before the model is aborted");
}

}  // namespace

std::optional<Address> parse_address(const std::string& text) {
  const auto colon = text.rfind(':');
  if (colon == text.npos || colon == 0) return {};
  Address address{text.substr(0, colon), 0};
  if (address.host.front() == '[' && address.host.back() == ']')
    address.host = address.host.substr(1, address.host.size() - 2);
  if (address.host == "localhost") address.host = "127.0.0.1";
  error_code not_an_address;  // a name, which nobody would look up: what is listened on is this machine's
  asio::ip::make_address(address.host, not_an_address);
  if (not_an_address) return {};
  const auto port = parse_number<decltype(address.port)>(std::string_view(text).substr(colon + 1));
  if (!port) return {};
  address.port = *port;
  return address;
}

void FrontDoorOptions::add_to(CLI::App& app) {
  app.add_option("--listen", listen, "Where to listen, ADDRESS:PORT; port 0: any that is free")->capture_default_str();
  app.add_option("--data", data, "The directory that keeps everything")->capture_default_str();
  access.add_to(app);
  add_connections(app, *this);
  add_limits(app, *this);
  app.add_option("--unknown-trace", unknown_trace, "Feedback for a trace that is not known: park or reject")
      ->check(CLI::IsMember({"park", "reject"}))
      ->capture_default_str();
  app.add_option("--experiment", chat.experiment_id, "The experiment of this door's chats, by id or name")
      ->capture_default_str();
  add_model(app, *this);
  add_chats(app, *this);
}

std::optional<std::string> FrontDoorOptions::settle() {
  if (chat.experiment_id.empty()) return "--experiment: it is empty";
  const auto address = parse_address(listen);
  if (!address) return "--listen: \"" + listen + "\" is not ADDRESS:PORT";
  ingest.http.address = address->host;
  ingest.http.port = address->port;
  if (ingest.admission.bytes_max < feedback.body_bytes_max || ingest.admission.bytes_max < feedback.batch_bytes_max)
    return "--in-flight-max: it has no room for one request of --body-max or --batch-max";
  chat.answers_bytes_max = ingest.admission.bytes_max;
  if (chat.answer_bytes_max > chat.answers_bytes_max / 2)
    return "--answer-max: it is more than half of --in-flight-max, which answers have, too: one would fill the door";
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

}  // namespace assay::cli
