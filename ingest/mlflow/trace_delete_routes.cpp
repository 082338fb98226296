#include <algorithm>
#include <set>

#include "ingest/mlflow/trace_routes.hpp"
#include "storage/records/trace_record.hpp"
#include "storage/store/filter/catalog_filter.hpp"
#include "storage/store/store.hpp"

namespace assay {
namespace {

constexpr std::size_t records_max = 500;  // of one append

// By id, or everything of an experiment up to a time, the oldest first.
struct Deletion {
  std::string experiment;
  std::set<std::string> ids;
  std::optional<std::int64_t> until_ms, most;
};

Result<Deletion, MlflowError> read_deletion(const Request& request) {
  const auto body = read_body(request);
  if (!body) return body.error();
  const auto experiment = required_text(*body, "experiment_id");
  if (!experiment) return experiment.error();
  if (const auto problem = filter::problem_with_experiment_id(*experiment)) return invalid_parameter(problem->message);
  if (auto problem =
          problem_with_types(*body, {{"max_timestamp_millis", FieldType::whole}, {"max_traces", FieldType::whole}}))
    return std::move(*problem);
  const auto ids = texts_in(*body, "request_ids");
  if (!ids) return ids.error();
  const auto until = integer_in(*body, "max_timestamp_millis"), most = integer_in(*body, "max_traces");
  if (!until && ids->empty())
    return invalid_parameter("Either `max_timestamp_millis` or `trace_ids` must be specified.");
  if (until && !ids->empty())
    return invalid_parameter("Only one of `max_timestamp_millis` and `trace_ids` can be specified.");
  if (!ids->empty() && most) return invalid_parameter("`max_traces` can't be specified if `trace_ids` is specified.");
  if (most && *most <= 0)
    return invalid_parameter("`max_traces` must be a positive integer, received " + std::to_string(*most) + ".");
  return Deletion{*experiment, {ids->begin(), ids->end()}, until, most};
}

// The traces that it means, as far as they are known here.
Result<std::vector<std::string>> known_here(const MlflowDoor& door, const Deletion& deletion) {
  const Store store(door.view->kv());
  std::vector<std::string> found;
  if (deletion.until_ms) {
    constexpr auto end_of_time = std::int64_t{1} << 50;  // who wants all of them gives the largest number that he has
    const Instant behind{std::chrono::milliseconds(std::min(*deletion.until_ms, end_of_time) + 1)};
    const auto visited =
        store.traces_of_experiment(deletion.experiment, Instant{}, behind, [&](std::string_view id, Instant) {
          found.emplace_back(id);
          return !deletion.most || std::ssize(found) < *deletion.most;
        });
    if (!visited) return visited.error();
  }
  for (const auto& id : deletion.ids) {
    const auto row = store.trace(id);
    if (!row) return row.error();
    if (*row && may_be_in(door, **row, deletion.experiment)) found.push_back(id);
  }
  return found;
}

Task<std::optional<Response>> write_deletions(MlflowDoor& door, const Request& request,
                                              const std::vector<std::string>& ids) {
  const auto now = door.clock.now();
  for (std::size_t from = 0; from < ids.size(); from += records_max) {
    std::vector<Record> records;
    for (auto i = from; i < std::min(from + records_max, ids.size()); ++i)
      records.push_back(to_record(TraceRecord{.deleted = true, .trace_id = ids[i], .accepted_at = now}));
    auto refused = co_await write_all(door, request, std::move(records));
    if (refused) co_return refused;
  }
  co_return std::nullopt;
}

// What is known here is deleted by a record, as everything; where that may not be all the server behind is asked to do
// the same, and answers.
Task<Response> delete_traces(MlflowDoor& door, Request& request) {
  const auto deletion = read_deletion(request);
  if (!deletion) co_return error_response(deletion.error());
  auto refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);
  const auto found = known_here(door, *deletion);
  if (!found) co_return read_failed(request, found.error());
  refused = co_await write_deletions(door, request, *found);
  if (refused) co_return std::move(*refused);
  // Feedback that is said next is about a trace that is gone: the door looks at the view, and does not wait for it.
  if (!found->empty()) (void)co_await door.view->applied(door.config.view_wait);
  const bool all = !door.config.server_behind || (!deletion->until_ms && deletion->ids.size() == found->size());
  if (!all) co_return error_response(does_not_exist("not all of them are known here"));
  co_return durable(door, R"({"traces_deleted":)" + std::to_string(found->size()) + "}");
}

}  // namespace

void add_trace_delete_routes(Router& router, MlflowDoor& door) {
  for (const std::string version : {"2.0", "3.0"})
    add_mlflow(router, http::verb::post, version + "/mlflow/traces/delete-traces",
               [&door](Request& r) { return delete_traces(door, r); }, {.scope = Scope::admin, .else_behind = true});
}

}  // namespace assay
