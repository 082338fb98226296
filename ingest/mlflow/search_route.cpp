#include "ingest/mlflow/search_route.hpp"

#include <boost/asio/post.hpp>
#include <boost/json/serialize.hpp>

#include "ingest/mlflow/pending.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/store/filter/trace_search.hpp"

namespace assay {
namespace {

namespace json = boost::json;

constexpr std::int64_t max_results_max = 500;
constexpr std::size_t step_size = 128;

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

}  // namespace

Task<Response> search_traces(MlflowDoor& door, Request& request) {
  const auto body = read_body(request);
  if (!body) co_return error_response(body.error());
  co_return co_await search_traces(door, request, *body);
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
  for (bool done = false; !done;) {
    const auto step = search.step(step_size);
    if (!step) co_return read_failed(request, step.error());
    if (!*step) co_return error_response(refused(step->error()));
    done = **step == filter::TraceSearch::State::complete;
    if (!done) co_await asio::post(use_task);
  }

  auto infos = infos_of(store, search.trace_ids());
  if (!infos) co_return read_failed(request, infos.error());
  if (infos->empty() && pending) infos->push_back(pending::info_json(*pending, experiment, door.clock.now()));
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
