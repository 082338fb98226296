#include "ingest/mlflow/search_route.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "ingest/http/held_answer.hpp"
#include "ingest/mlflow/pending.hpp"
#include "ingest/mlflow/trace_routes.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/store/filter/trace_search.hpp"

namespace assay {
namespace {

namespace json = boost::json;

constexpr std::int64_t max_results_max = 500;
// Of a step, in traces: fewer at first and where they are slow to look at, as with a regular expression.
constexpr std::size_t step_size_max = 128;
constexpr std::chrono::milliseconds step_time_max{10};
// So that who asks the server behind finds what it wrote here. Less than a person waits for a list.
constexpr std::chrono::milliseconds sinks_wait{1'000};

MlflowError refused(const filter::Refusal& refusal) { return {refusal.code, refusal.message}; }

// The experiments among the locations.
Result<std::vector<std::string>, MlflowError> experiments_in(const json::object& body) {
  const auto* locations = body.if_contains("locations");
  if (!locations) return missing("locations");
  const auto* list = locations->if_array();
  if (!list) return wrong_value("locations", *locations, python_type(*locations));
  std::vector<std::string> out;
  for (const auto& location : *list) {
    if (!location.is_object()) return wrong_value("locations", *locations, "list");
    const auto fields = fields_of(location.get_object());
    const auto* experiment = fields.if_contains("mlflow_experiment");
    if (experiment && experiment->is_object())
      out.push_back(text_in(fields_of(experiment->get_object()), "experiment_id"));
  }
  return out;
}

Result<filter::TraceQuery, MlflowError> read_query(const json::object& body) {
  filter::TraceQuery query;
  auto experiments = experiments_in(body);
  if (!experiments) return experiments.error();
  query.experiments = std::move(*experiments);
  if (auto problem = problem_with_types(body, {{"filter", FieldType::text},
                                               {"max_results", FieldType::whole},
                                               {"order_by", FieldType::list},
                                               {"page_token", FieldType::text}}))
    return std::move(*problem);
  if (const auto* given = body.if_contains("max_results")) {
    const auto most = integer_in(body, "max_results");
    if (*most > max_results_max) return wrong_value("max_results", *given, python_type(*given));
    if (*most < 1)
      return invalid_parameter("Invalid value " + std::to_string(*most) +
                               " for parameter 'max_results' supplied. It must be a positive integer");
    query.max_results = static_cast<std::size_t>(*most);
  }
  auto filter = filter::parse_trace_filter(text_in(body, "filter"));
  if (!filter) return refused(filter.error());
  query.filter = std::move(*filter);
  const auto clauses = texts_in(body, "order_by");
  if (!clauses) return clauses.error();
  auto order = filter::parse_trace_order(*clauses);
  if (!order) return refused(order.error());
  query.order = std::move(*order);
  auto page = filter::parse_page_token(text_in(body, "page_token"));
  if (!page) return refused(page.error());
  query.page = std::move(*page);
  return query;
}

// Of those that were not deleted in between.
Result<std::vector<std::string>> infos_of(const Store& store, const std::vector<std::string>& trace_ids) {
  std::vector<std::string> infos;
  for (const auto& id : trace_ids) {
    auto info = store.trace_info(id);
    if (!info) return info.error();
    if (*info) infos.push_back(std::move(**info));
  }
  return infos;
}

// The client_request_id, where nothing else is asked for.
std::optional<std::string> only_request_id(const filter::TraceQuery& query) {
  if (query.filter.size() != 1 || query.page.offset > 0) return {};
  const auto& clause = query.filter.front();
  const auto* id = std::get_if<std::string>(&clause.value);
  if (clause.kind != "attribute" || clause.key != "client_request_id" || clause.op != "=" || !id) return {};
  return *id;
}

// Whether its trace is in the store here, and in an experiment that is asked for.
Task<bool> is_here(MlflowDoor& door, const filter::TraceQuery& query, const std::string& request_id) {
  if (!door.view || !co_await door.view->applied(door.config.view_wait)) co_return false;
  const auto trace_id = door.view->trace_of(request_id);
  if (!trace_id || !*trace_id) co_return false;
  const auto row = Store(door.view->kv()).trace(**trace_id);
  co_return row&&* row && (*row)->text_at("client_request_id") ==
                              request_id&& std::ranges::find(query.experiments, (*row)->experiment_id()) !=
                              query.experiments.end();
}

bool finds_nothing(const HeldAnswer& answer) {
  if (!answer.whole() || answer.status() != 200) return false;
  error_code ec;
  const auto said = json::parse(answer.body(), ec);
  const auto* found = ec || !said.is_object() ? nullptr : said.get_object().if_contains("traces");
  return !ec && said.is_object() && (!found || (found->is_array() && found->get_array().empty()));
}

bool is_away(const HeldAnswer& answer) { return answer.status() == 502 || answer.status() == 504; }

// The server behind has the word, since it may know more of a trace than this door; but what has not come to it yet, or
// what it keeps elsewhere because it is longer than its column, it does not find, and nothing while it is away.
Task<void> pass_search(MlflowDoor& door, const PassHandler& pass, Request& request, RequestBody& body,
                       ResponseStream& answer) {
  if (door.view) (void)co_await door.view->sunk(sinks_wait);  // where the sink can't write: what MLflow has
  const auto asked = read_body(request);
  const auto query = asked ? read_query(*asked) : asked.error();
  const auto id = query ? only_request_id(*query) : std::nullopt;
  if (!id) co_return co_await pass(request, body, answer);
  const auto headers = asking_for_no_coding(request);
  request.headers = headers;
  HeldAnswer held(answer);
  co_await pass(request, body, held);
  const bool unheard = finds_nothing(held) || is_away(held);
  if (unheard && co_await is_here(door, *query, *id)) {
    auto here = co_await search_traces(door, request, *asked);
    co_await answer.respond(std::move(here));
    co_return;
  }
  co_await held.give_out();
}

bool searches_traces(const Request& request) {
  return request.method == http::verb::post && request.path.ends_with("/3.0/mlflow/traces/search");
}

}  // namespace

PassHandler with_searches(MlflowDoor& door, PassHandler pass) {
  return [&door, pass = std::move(pass)](Request& request, RequestBody& body, ResponseStream& answer) {
    return searches_traces(request) ? pass_search(door, pass, request, body, answer) : pass(request, body, answer);
  };
}

Task<Response> search_behind(Request&) { co_return error_response(does_not_exist("the server behind is asked")); }

Task<Response> search_traces(MlflowDoor& door, Request& request) {
  const auto body = read_body(request);
  if (!body) co_return error_response(body.error());
  co_return co_await search_traces(door, request, *body);
}

// Whether the trace of this id is still to come, and can come into the experiment: one that stands elsewhere, or was
// deleted, is not waited for.
static Task<bool> may_come(MlflowDoor& door, const std::string& client_request_id, const std::string& experiment) {
  if (const auto id = door.view->trace_of(client_request_id); id && *id) {
    const Store store(door.view->kv());
    const auto row = store.trace(**id);
    const auto deleted = store.deleted(**id);
    // In this experiment it has come since the search.
    if ((row && *row && (*row)->experiment_id() != experiment) || (deleted && *deleted)) co_return false;
  }
  const auto known = co_await experiment_for_traces(door, experiment, Stage::active);
  co_return known.has_value();
}

Task<Response> search_traces(MlflowDoor& door, const Request& request, const json::object& asked) {
  auto query = read_query(asked);
  if (!query) co_return error_response(query.error());
  const auto pending = door.unknown ? std::nullopt : pending::asked_for(*query);
  if (query->experiments.empty()) co_return answer("{}");
  const auto experiment = query->experiments.front();
  query->examined_max = door.config.search_examined_max;
  auto not_ready = co_await ready_to_read(door, request);
  if (not_ready) co_return std::move(*not_ready);
  const Store store(door.view->kv());
  auto made = filter::TraceSearch::make(door.view->kv(), store, std::move(*query));
  if (!made) co_return read_failed(request, made.error());
  if (!*made) co_return error_response(refused(made->error()));
  auto& search = **made;
  std::size_t size = 8;
  for (bool done = false; !done;) {
    const auto began = std::chrono::steady_clock::now();
    const auto step = search.step(size);
    if (!step) co_return read_failed(request, step.error());
    if (!*step) co_return error_response(refused(step->error()));
    done = **step == filter::TraceSearch::State::complete;
    const bool slow = std::chrono::steady_clock::now() - began > step_time_max;
    size = std::clamp<std::size_t>(slow ? size / 2 : size * 2, 1, step_size_max);
    if (!done) co_await asio::post(use_task);
  }

  auto infos = infos_of(store, search.trace_ids());
  if (!infos) co_return read_failed(request, infos.error());
  bool waited_for = infos->empty() && pending;
  if (waited_for) waited_for = co_await may_come(door, *pending, experiment);
  if (waited_for) infos->push_back(pending::info_json(*pending, experiment, door.clock.now()));
  std::string body;
  JsonWriter json(body);
  json.begin_object();
  if (!infos->empty()) {
    json.key("traces").begin_array();
    for (const auto& info : *infos) json.raw(info);
    json.end_array();
  }
  if (!search.next_page_token().empty()) json.field("next_page_token", search.next_page_token());
  json.end_object();
  auto response = answer(std::move(body));
  response.headers.emplace_back("Assay-Search-Examined", std::to_string(search.examined()));
  response.headers.emplace_back("Assay-Search-Index", std::string(search.index()));
  co_return response;
}

}  // namespace assay
