#include "storage/sinks/mlflow_client.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include "ops/runtime/parse_number.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/sinks/mlflow_json.hpp"

namespace assay {
namespace {

using Kind = MlflowAnswer::Kind;

// It says why in JSON; a proxy, or a port that speaks TLS, says something else.
bool is_mlflows(std::string_view body, const mlflow::Failure& failure) {
  return !failure.code.empty() || (body.starts_with('{') && body.find("\"detail\"") != body.npos);
}

Kind judge(unsigned status, std::string_view body, const mlflow::Failure& failure) {
  const auto says = [&](std::string_view words) { return failure.message.find(words) != failure.message.npos; };
  if (status >= 200 && status < 300) return Kind::ok;
  if (status == 500 && says("constraint violation")) return Kind::exists;
  if (status == 503 && body.find(no_artifacts_words) != body.npos) return Kind::refused;
  // An unknown path is a 404 in HTML: no MLflow, or one behind a proxy that is being set up.
  if (status == 404) return failure.code.empty() ? Kind::unavailable : Kind::not_found;
  // It reports its own database's troubles as a bad request.
  if (status == 400 && says("OperationalError")) return Kind::unavailable;
  // An experiment that was deleted there may be restored.
  if (status == 400 && says("must be in the 'active' state")) return Kind::not_found;
  if (status == 401 || status == 403 || status == 408 || status == 409 || status == 429) return Kind::unavailable;
  if (status >= 400 && status < 500) return is_mlflows(body, failure) ? Kind::refused : Kind::unavailable;
  return Kind::unavailable;
}

// "3.17.2", "3.10.0rc1"
MlflowVersion version_in(std::string_view text) {
  const auto number = [&text] {
    const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
    const auto n = parse_number<int>(text.substr(0, digits)).value_or(-1);
    text.remove_prefix(digits);
    return n;
  };
  const auto first = number();
  if (first < 0 || !text.starts_with('.')) return {};
  text.remove_prefix(1);
  const auto second = number();
  return second < 0 ? MlflowVersion() : MlflowVersion(first, second);
}

// An id is a number that its database can hold.
bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= 18 && text.find_first_not_of("0123456789") == text.npos;
}

}  // namespace

MlflowClient::MlflowClient(MlflowConfig config, std::size_t requests_max)
    : config_(std::move(config)),
      limit_(requests_max),
      reads_(config_.reads_per_second),
      writes_(config_.writes_per_second),
      http_(HttpClientConfig{.ca_file = config_.ca_file, .idle_max = std::max<std::size_t>(requests_max, 32)}) {
  while (config_.url.ends_with('/')) config_.url.pop_back();
}

Task<void> MlflowClient::take_turn(bool reads) {
  const auto now = std::chrono::steady_clock::now();
  const auto at = std::max((reads ? reads_ : writes_).take(now), not_before_);
  if (at <= now) co_return;
  Timer timer(co_await asio::this_coro::executor, at);
  co_await timer.async_wait(as_result);
}

// "Retry-After: 3"; a date is taken for a second: clocks differ.
std::optional<std::chrono::milliseconds> MlflowClient::told_to_wait(const HttpResponse& response) {
  const auto text = response.header("Retry-After");
  if (response.status != 429 && (response.status != 503 || text.empty())) return {};
  const auto seconds = parse_number<unsigned>(text).value_or(1);
  if (seconds > 60) return {};
  return std::chrono::seconds(seconds);
}

Task<MlflowAnswer> MlflowClient::ask(std::string method, std::string path, std::string body) {
  HttpRequest request;
  request.method = std::move(method);
  request.url = config_.url + path;
  if (!body.empty()) request.headers.push_back({"Content-Type", "application/json"});
  request.body = std::move(body);
  const bool reads = request.method == "GET" || path.ends_with("/search");
  co_return co_await send(std::move(request), reads);
}

Task<MlflowVersion> MlflowClient::version() {
  constexpr auto kept_for = std::chrono::minutes(1);
  const auto now = std::chrono::steady_clock::now();
  if (now < version_until_) co_return version_;
  if (version_ != MlflowVersion()) version_until_ = now + kept_for;  // one asks, the others go on
  const auto answer = co_await ask("GET", "/version");
  // What fails says nothing of it: it is asked again, the next time.
  if (answer.status == 0 || answer.status >= 500) {
    version_until_ = {};
    co_return version_;
  }
  version_ = answer.kind == Kind::ok ? version_in(answer.body) : MlflowVersion();
  version_until_ = std::chrono::steady_clock::now() + kept_for;
  co_return version_;
}

Task<MlflowAnswer> MlflowClient::send_spans(std::string experiment_id, std::string message) {
  HttpRequest request;
  request.method = "POST";
  request.url = config_.url + "/v1/traces";
  request.headers.push_back({"Content-Type", "application/x-protobuf"});
  request.headers.push_back({"x-mlflow-experiment-id", std::move(experiment_id)});
  request.body = std::move(message);
  auto answer = co_await send(std::move(request), false);
  // That is how it reports whatever it did not foresee.
  if (answer.status == 422) {
    answer.kind = Kind::unavailable;
    answer.broke = true;
  }
  const bool no_path = answer.status == 404 && answer.kind == Kind::unavailable;
  // It has just let us through to another path: something before it keeps this one to itself.
  const bool no_entry = answer.status == 401 || answer.status == 403;
  if (no_path || no_entry || answer.status == 405 || answer.status == 501) {
    answer.kind = Kind::not_offered;
    version_ = {};  // as long as it is remembered
  }
  co_return answer;
}

Task<MlflowAnswer> MlflowClient::send(HttpRequest request, bool reads) {
  constexpr int turns_max = 5;
  if (!config_.authorization.empty()) request.headers.push_back({"Authorization", config_.authorization});
  request.repeatable = true;  // ids make every one of them harmless twice
  MlflowAnswer answer;
  for (int turn = 1;; ++turn) {
    co_await take_turn(reads);
    const auto begun = std::chrono::steady_clock::now();
    auto once = request;
    auto response = co_await http_.request(std::move(once), config_.limits);
    if (!response) {
      limit_.overloaded();
      version_until_ = {};
      answer.message = response.error().message();
      co_return answer;
    }
    if (const auto wait = told_to_wait(*response); wait && turn < turns_max) {
      limit_.overloaded();
      not_before_ = std::max(not_before_, std::chrono::steady_clock::now() + *wait);
      continue;
    }
    const auto failure = response->status < 300 ? mlflow::Failure{} : mlflow::failure_of(response->body);
    answer.status = response->status;
    answer.kind = judge(response->status, response->body, failure);
    answer.broke = response->status == 500 && !failure.code.empty();
    if (answer.kind == Kind::unavailable)
      limit_.overloaded();
    else
      limit_.answered(std::chrono::steady_clock::now() - begun);
    if (answer.kind != Kind::ok)
      answer.message = std::to_string(response->status) + " " + failure.code + ": " + failure.message;
    answer.body = std::move(response->body);
    co_return answer;
  }
}

Task<MlflowAnswer> MlflowClient::experiment(mlflow::ExperimentRef wanted) {
  MlflowAnswer out;
  if (wanted.text.empty()) wanted = {config_.experiment};
  const std::string name = std::move(wanted.text);
  const bool is_id = !wanted.is_name && is_number(name);
  if (is_id || experiments_.contains(name)) {
    out.kind = Kind::ok;
    out.body = is_id ? name : experiments_.at(name);
    co_return out;
  }
  std::string create;
  JsonWriter(create).begin_object().field("name", name).end_object();
  // Twice: another one may create it between our look and our attempt.
  for (int i = 0; i < 2; ++i) {
    std::string by_name = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=" + percent_encoded(name);
    out = co_await ask("GET", std::move(by_name));
    if (out.kind == Kind::not_found) {
      auto body = create;
      out = co_await ask("POST", "/api/2.0/mlflow/experiments/create", std::move(body));
      if (out.kind == Kind::refused) continue;
    }
    break;
  }
  if (out.kind != Kind::ok) co_return out;
  const auto id = mlflow::experiment_id_of(out.body);
  if (!id) {
    out.kind = Kind::unavailable;
    out.message = "the answer names no experiment_id";
    co_return out;
  }
  experiments_[name] = *id;
  out.body = *id;
  co_return out;
}

std::string percent_encoded(std::string_view text) {
  static constexpr char hex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x80 && std::isalnum(byte)) || c == '-' || c == '_' || c == '.' || c == '~') {
      out += c;
    } else {
      out += '%';
      out += hex[byte >> 4];
      out += hex[byte & 15];
    }
  }
  return out;
}

}  // namespace assay
