#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/json/parse.hpp>
#include <set>

#include "ingest/mlflow/pending.hpp"
#include "ingest/mlflow/span_json.hpp"
#include "ingest/mlflow/trace_routes.hpp"
#include "storage/store/filter/catalog_filter.hpp"
#include "storage/store/store.hpp"

namespace assay {
namespace {

namespace json = boost::json;

constexpr std::size_t batch_max = 500;
constexpr std::size_t infos_at_once = 128;  // then others have their turn

Task<Response> get_trace_info(MlflowDoor& door, Request& request) {
  auto refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);
  const auto id = pending::resolved(door, request.params[0]);
  const auto info = door.view->trace_info(id);
  if (!info) co_return read_failed(request, info.error());
  if (const auto pending = pending::request_of(id); !*info && pending)
    co_return answer(R"({"trace":{"trace_info":)" + pending::info_json(*pending, "0", door.clock.now()) + "}}");
  if (!*info) co_return trace_not_found(door, id, "Trace with ID '" + id + "' not found.");
  co_return answer(R"({"trace":{"trace_info":)" + **info + "}}");
}

// The spans that its client has counted, where it has.
std::size_t spans_expected(const TraceRow& row) {
  const auto stats = row.text_at("trace_metadata.mlflow.trace.sizeStats");
  if (!stats) return 0;
  boost::system::error_code ec;
  const auto parsed = json::parse(*stats, ec);
  const auto* count = !ec && parsed.is_object() ? parsed.get_object().if_contains("num_spans") : nullptr;
  return count && count->is_int64() ? static_cast<std::size_t>(count->get_int64()) : 0;
}

std::optional<MlflowError> problem_with_ids(const std::vector<std::string>& experiments) {
  for (const auto& id : experiments)
    if (const auto problem = filter::problem_with_experiment_id(id)) return invalid_parameter(problem->message);
  return {};
}

struct WholeTrace {
  bool known = false, complete = false;
  std::string json;
};

Result<WholeTrace> read_whole(const Store& store, const std::string& id) {
  const auto row = store.trace(id);
  if (!row) return row.error();
  if (!*row) return WholeTrace{};
  const auto info = store.trace_info(id);
  if (!info) return info.error();
  if (!*info) return WholeTrace{};
  const auto kept = store.spans(id);
  if (!kept) return kept.error();
  std::size_t count = 0;
  const auto spans = proto_spans(*kept, count);
  WholeTrace whole{.known = true, .complete = count >= std::max<std::size_t>(spans_expected(**row), 1)};
  whole.json = R"({"trace_info":)" + **info + (count ? R"(,"spans":)" + spans : std::string()) + "}";
  return whole;
}

// Its spans may be megabytes, which are written anew as OTLP has them.
Task<Result<WholeTrace>> whole_trace(MlflowDoor& door, const Store& store, const std::string& id) {
  Result<WholeTrace> whole = WholeTrace{};
  const std::function<void()> read = [&store, &id, &whole] { whole = read_whole(store, id); };
  if (const auto ran = co_await door.aside.run(read); !ran) co_return ran.error();
  co_return whole;
}

// Spans come on a way of their own, and may be on it still.
Task<Response> get_trace(MlflowDoor& door, Request& request) {
  auto refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);
  const auto query = Query::parse(request.query);
  if (!query) co_return error_response(request.path, query.error());
  const auto id = pending::resolved(door, query->get("trace_id").value_or(""));
  if (id.empty()) co_return error_response(missing("trace_id"));
  const auto partial = filter::lower(query->get("allow_partial").value_or("false"));
  if (partial != "true" && partial != "false")
    co_return error_response(invalid_parameter("Invalid boolean value: " + partial + ", must be 'true' or 'false'."));
  const Store store(door.view->kv());
  const auto deadline = std::chrono::steady_clock::now() + door.config.spans_wait;
  const auto executor = co_await asio::this_coro::executor;
  for (;;) {
    const auto whole = co_await whole_trace(door, store, id);
    if (!whole) co_return read_failed(request, whole.error());
    if (!whole->known) co_return trace_not_found(door, id, "Trace with ID " + id + " is not found.");
    if (whole->complete || partial == "true") co_return answer(R"({"trace":)" + whole->json + "}");
    if (std::chrono::steady_clock::now() >= deadline) break;
    Timer timer(executor, std::chrono::milliseconds(50));
    co_await timer.async_wait(as_result);
  }
  co_return error_response(
      does_not_exist("Trace with ID " + id + " is not fully exported yet, please try again later."));
}

// Where one of them is not here as a whole they are all asked of the server behind, which has them in its tables:
// nobody looks here for spans that it has as artifacts.
Task<Response> batch_get(MlflowDoor& door, Request& request) {
  const auto query = Query::parse_repeating(request.query, {"trace_ids", "experiment_ids"});
  if (!query) co_return error_response(request.path, query.error());
  auto ids = query->all("trace_ids");
  if (ids.empty()) co_return error_response(missing("trace_ids"));
  if (ids.size() > batch_max) co_return error_response(invalid_parameter("trace_ids: at most 500 at once"));
  const auto experiments = query->all("experiment_ids");
  if (const auto problem = problem_with_ids(experiments)) co_return error_response(*problem);
  auto refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);
  const Store store(door.view->kv());
  std::string list;
  std::vector<std::string> seen;
  for (const auto& given : ids) {
    const auto id = pending::resolved(door, given);
    if (std::find(seen.begin(), seen.end(), id) != seen.end()) continue;
    seen.push_back(id);
    if (const auto pending = pending::request_of(id); pending && !door.unknown) {
      list +=
          (list.empty() ? "" : ",") + (R"({"trace_info":)" + pending::info_json(*pending, "0", door.clock.now()) + "}");
      continue;
    }
    const auto whole = co_await whole_trace(door, store, id);
    if (!whole) co_return read_failed(request, whole.error());
    if (!whole->known || !whole->complete) {
      if (door.config.server_behind) co_return error_response(does_not_exist("Trace with ID " + id + " is not found."));
      continue;
    }
    if (!experiments.empty()) {
      const auto row = store.trace(id);
      if (!row || !*row || std::ranges::none_of(experiments, [&](const std::string& experiment) {
            return may_be_in(door, **row, experiment);
          }))
        continue;
    }
    if (!list.empty() && list.size() + whole->json.size() > door.config.batch_bytes_max)
      co_return error_response(invalid_parameter("trace_ids: these traces are together larger than " +
                                                 std::to_string(door.config.batch_bytes_max) +
                                                 " bytes: ask for fewer at once"));
    list += (list.empty() ? "" : ",") + whole->json;
  }
  co_return answer(list.empty() ? "{}" : R"({"traces":[)" + list + "]}");
}

Task<Response> batch_get_infos(MlflowDoor& door, Request& request) {
  const auto body = read_body(request);
  if (!body) co_return error_response(body.error());
  const auto ids = texts_in(*body, "trace_ids");
  if (!ids) co_return error_response(ids.error());
  if (ids->empty()) co_return error_response(missing("trace_ids"));
  const auto experiments = texts_in(*body, "experiment_ids");
  if (!experiments) co_return error_response(experiments.error());
  if (const auto problem = problem_with_ids(*experiments)) co_return error_response(*problem);
  const bool anywhere = !body->contains("experiment_ids");
  auto refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);
  const Store store(door.view->kv());
  std::string list;
  std::set<std::string> seen;
  for (const auto& id : *ids) {
    if (!seen.insert(id).second) continue;
    if (seen.size() % infos_at_once == 0) co_await asio::post(use_task);
    const auto row = store.trace(id);
    if (!row) co_return read_failed(request, row.error());
    if (!*row || !(anywhere || std::ranges::count(*experiments, (*row)->experiment_id()))) continue;
    const auto info = door.view->trace_info(id);
    if (!info) co_return read_failed(request, info.error());
    if (*info) list += (list.empty() ? "" : ",") + **info;
  }
  co_return answer(list.empty() ? "{}" : R"({"trace_infos":[)" + list + "]}");
}

}  // namespace

void add_trace_read_routes(Router& router, MlflowDoor& door) {
  using http::verb;
  add_mlflow(router, verb::get, "3.0/mlflow/traces/{trace_id}", [&door](Request& r) { return get_trace_info(door, r); },
             {.scope = Scope::read, .else_behind = true});
  add_mlflow(router, verb::get, "3.0/mlflow/traces/get", [&door](Request& r) { return get_trace(door, r); },
             {.scope = Scope::read, .else_behind = true});
  add_mlflow(router, verb::get, "3.0/mlflow/traces/batchGet", [&door](Request& r) { return batch_get(door, r); },
             {.scope = Scope::read, .else_behind = true});
  if (door.config.server_behind) return;
  add_mlflow(router, verb::post, "3.0/mlflow/traces/batchGetInfos",
             [&door](Request& r) { return batch_get_infos(door, r); }, {.scope = Scope::read});
}

}  // namespace assay
