#include "ingest/proxy/traces_behind.hpp"

#include <algorithm>

#include "storage/sinks/mlflow_json.hpp"
#include "storage/sinks/mlflow_search.hpp"

namespace assay {
namespace {

constexpr std::size_t ids_at_once = 100;  // in one filter

std::vector<std::string> part(const std::vector<std::string>& all, std::size_t from, std::size_t count) {
  const auto begin = all.begin() + static_cast<std::ptrdiff_t>(from);
  return {begin, begin + static_cast<std::ptrdiff_t>(std::min(count, all.size() - from))};
}

}  // namespace

TracesBehind::TracesBehind(TracesBehindConfig config, Metrics& metrics)
    : config_(std::move(config)),
      http_(HttpClientConfig{.ca_file = config_.ca_file, .connections_max = config_.questions_max}),
      asked_total_(
          metrics.counter("assay_traces_behind_asked_total", "Questions for unknown traces to the MLflow behind")),
      failed_total_(metrics.counter("assay_traces_behind_failed_total",
                                    "Of these, those without an answer: what they are about is not refused")) {}

Task<Result<TracesBehind::Named>> TracesBehind::find(const std::vector<Target>& targets) {
  asked_total_.Increment();
  const auto until = std::chrono::steady_clock::now() + config_.whole;
  static const auto metadata = "metadata.`" + std::string(mlflow::long_request_id) + "`";
  std::map<std::string, std::vector<std::string>> ids;  // by the field that holds them
  for (const auto& [kind, id] : targets) {
    ids[kind == Target::Kind::trace_id ? "request_id" : "client_request_id"].push_back(id);
    // In bytes it may be longer than its column, which counts characters: then it stands in either place.
    const bool is_long = id.size() > mlflow::client_request_id_max;
    if (kind != Target::Kind::trace_id && is_long) ids[metadata].push_back(id);
  }
  auto listed = co_await experiments(until);
  auto done = listed ? Result<void>() : Result<void>(listed.error());
  Question question{listed ? std::move(*listed) : std::vector<std::string>(), until, {}};
  for (auto at = ids.begin(); done && at != ids.end(); ++at)
    done = co_await find_by(at->first, std::move(at->second), question);
  if (done) co_return std::move(question.named);
  failed_total_.Increment();
  co_return done.error();
}

Task<Result<void>> TracesBehind::find_by(std::string_view field, std::vector<std::string> ids, Question& question) {
  if (!std::ranges::all_of(ids, mlflow::quotable)) co_return make_error_code(Error::unsupported);
  const auto& all = question.experiments;
  std::ranges::sort(ids);
  ids.erase(std::ranges::unique(ids).begin(), ids.end());
  // A metadata's filter has no IN.
  const bool one_by_one = field.starts_with("metadata.");
  const std::size_t step = one_by_one ? 1 : ids_at_once;
  for (std::size_t at = 0; at < ids.size(); at += step) {
    std::string filter(field);
    filter += one_by_one ? " = " : " IN (";
    for (const auto& id : part(ids, at, step)) filter.append(filter.ends_with("'") ? ",'" : "'").append(id).append("'");
    if (!one_by_one) filter += ")";
    for (std::size_t e = 0; e < all.size(); e += mlflow::experiments_at_once) {
      const auto some = part(all, e, mlflow::experiments_at_once);
      const auto done = co_await search(some, filter, question);
      if (!done) co_return done;
    }
  }
  co_return Result<void>();
}

Task<Result<void>> TracesBehind::search(const std::vector<std::string>& experiments, const std::string& filter,
                                        Question& question) {
  std::string token;
  for (bool more = true; more;) {
    auto asked = mlflow::traces_question({.experiments = experiments, .filter = filter, .page_token = token});
    const auto answer = co_await ask(mlflow::traces_path, std::move(asked), question.until);
    if (!answer) co_return answer.error();
    auto page = mlflow::traces_in(*answer);
    if (!page) co_return page.error();
    for (const auto& trace : page->traces) {  // the newest first
      question.named.emplace(trace.trace_id, trace.trace_id);
      for (const auto& id : trace.request_ids) question.named.emplace(id, trace.trace_id);
    }
    token = std::move(page->next);
    more = !token.empty() && !page->traces.empty();
  }
  co_return Result<void>();
}

Task<Result<std::vector<std::string>>> TracesBehind::experiments(Time until) {
  std::vector<std::string> ids;
  std::string token;
  for (bool more = true; more;) {
    auto question = mlflow::experiments_question(token);
    const auto answer = co_await ask(mlflow::experiments_path, std::move(question), until);
    if (!answer) co_return answer.error();
    auto page = mlflow::experiments_in(*answer);
    if (!page) co_return page.error();
    std::ranges::move(page->ids, std::back_inserter(ids));
    token = std::move(page->next);
    more = !token.empty();
  }
  co_return ids;
}

Task<Result<std::string>> TracesBehind::ask(const char* path, std::string body, Time until) {
  if (std::chrono::steady_clock::now() >= until) co_return make_error_code(Error::timed_out);
  HttpRequest request;
  request.method = "POST";
  request.url = config_.url + path;
  request.headers.push_back({"Content-Type", "application/json"});
  if (!config_.authorization.empty()) request.headers.push_back({"Authorization", config_.authorization});
  request.body = std::move(body);
  request.repeatable = true;  // nothing is written
  auto response = co_await http_.request(std::move(request), config_.limits);
  if (!response) co_return response.error();
  if (response->status != 200) co_return make_error_code(Error::sink_unavailable);
  co_return std::move(response->body);
}

}  // namespace assay
