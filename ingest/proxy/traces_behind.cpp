#include "ingest/proxy/traces_behind.hpp"

#include <algorithm>

#include "storage/sinks/mlflow_client.hpp"
#include "storage/sinks/mlflow_json.hpp"
#include "storage/sinks/mlflow_search.hpp"

namespace assay {

TracesBehind::TracesBehind(TracesBehindConfig config, Metrics& metrics)
    : config_(std::move(config)),
      http_(HttpClientConfig{.ca_file = config_.ca_file, .connections_max = config_.questions_max}),
      asked_total_(
          metrics.counter("assay_traces_behind_asked_total", "Unknown traces that the MLflow behind was asked for")),
      failed_total_(metrics.counter("assay_traces_behind_failed_total",
                                    "Of these, those that it could not be asked for; they are not refused")) {}

Task<Result<std::optional<std::string>>> TracesBehind::find(const Target& target) {
  asked_total_.Increment();
  auto id = target.id;
  auto found =
      target.kind == Target::Kind::trace_id ? co_await find_trace(std::move(id)) : co_await find_request(std::move(id));
  if (!found) failed_total_.Increment();
  co_return found;
}

Task<TracesBehind::Found> TracesBehind::find_trace(std::string trace_id) {
  auto path = "/api/3.0/mlflow/traces/" + percent_encoded(trace_id);
  const auto answer = co_await ask("GET", std::move(path), {});
  if (!answer) co_return answer.error();
  if (answer->status == 200) co_return std::optional<std::string>(std::move(trace_id));
  // A 404 that names no error of MLflow's is a path that this server does not have.
  if (answer->status == 404 && mlflow::failure_of(answer->body).code == "RESOURCE_DOES_NOT_EXIST")
    co_return std::optional<std::string>();
  co_return make_error_code(Error::sink_unavailable);
}

Task<TracesBehind::Found> TracesBehind::find_request(std::string client_request_id) {
  if (!mlflow::quotable(client_request_id)) co_return make_error_code(Error::unsupported);
  const bool is_long = client_request_id.size() > mlflow::client_request_id_max;
  const auto field = is_long ? "metadata.`" + std::string(mlflow::long_request_id) + "`" : "client_request_id";
  const auto filter = field + " = '" + client_request_id + "'";
  std::string token;
  for (bool more = true; more;) {
    auto question = mlflow::experiments_question(token);
    const auto listed = co_await ask("POST", mlflow::experiments_path, std::move(question));
    if (!listed) co_return listed.error();
    const auto experiments = mlflow::experiments_in(listed->body);
    if (listed->status != 200 || !experiments) co_return make_error_code(Error::sink_unavailable);
    for (std::size_t at = 0; at < experiments->ids.size(); at += mlflow::experiments_at_once) {
      const auto end = std::min(experiments->ids.size(), at + mlflow::experiments_at_once);
      const std::vector<std::string> some(experiments->ids.begin() + static_cast<std::ptrdiff_t>(at),
                                          experiments->ids.begin() + static_cast<std::ptrdiff_t>(end));
      question = mlflow::traces_question({.experiments = some, .filter = filter, .results_max = 1});
      const auto answer = co_await ask("POST", mlflow::traces_path, std::move(question));
      if (!answer) co_return answer.error();
      const auto page = mlflow::traces_in(answer->body);
      if (answer->status != 200 || !page) co_return make_error_code(Error::sink_unavailable);
      if (!page->traces.empty()) co_return std::optional(page->traces.front().trace_id);
    }
    token = experiments->next;
    more = !token.empty();
  }
  co_return std::optional<std::string>();
}

Task<Result<HttpResponse>> TracesBehind::ask(std::string method, std::string path, std::string body) {
  HttpRequest request;
  request.method = std::move(method);
  request.url = config_.url + path;
  if (!body.empty()) request.headers.push_back({"Content-Type", "application/json"});
  if (!config_.authorization.empty()) request.headers.push_back({"Authorization", config_.authorization});
  request.body = std::move(body);
  request.repeatable = true;  // nothing is written
  return http_.request(std::move(request), config_.limits);
}

}  // namespace assay
