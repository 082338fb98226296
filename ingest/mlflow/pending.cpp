#include "ingest/mlflow/pending.hpp"

#include "ingest/http/body_limits.hpp"
#include "ingest/http/given_ids.hpp"
#include "storage/records/json_writer.hpp"

namespace assay::pending {

std::optional<std::string> request_of(std::string_view trace_id) {
  if (!trace_id.starts_with(prefix) || trace_id.size() == prefix.size()) return {};
  return std::string(trace_id.substr(prefix.size()));
}

std::optional<std::string> asked_for(const filter::TraceQuery& query) {
  if (query.filter.size() != 1 || query.max_results != 1 || query.page.offset > 0 || query.experiments.size() != 1)
    return {};
  const auto& clause = query.filter.front();
  const auto* id = std::get_if<std::string>(&clause.value);
  if (clause.kind != "attribute" || clause.key != "client_request_id" || clause.op != "=" || !id) return {};
  if (problem_with_id("client_request_id", *id) || prefix.size() + id->size() > BodyLimits::id_bytes) return {};
  return *id;
}

std::string resolved(MlflowDoor& door, std::string_view trace_id) {
  const auto request = request_of(trace_id);
  if (!request || !door.view) return std::string(trace_id);
  if (const auto found = door.view->trace_of(*request); found && *found) return **found;
  return door.recent.find(*request, door.view->told_since()).value_or(std::string(trace_id));
}

std::string info_json(std::string_view client_request_id, std::string_view experiment_id, Instant now) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("trace_id", std::string(prefix) + std::string(client_request_id));
  json.field("client_request_id", client_request_id).key("trace_location").begin_object();
  json.field("type", "MLFLOW_EXPERIMENT").key("mlflow_experiment").begin_object();
  json.field("experiment_id", experiment_id).end_object().end_object();
  json.field("request_time", format_time(now)).field("state", "IN_PROGRESS").key("tags").begin_object();
  json.field("mlflow.trace.spansLocation", "TRACKING_STORE").field("assay.pending", "true").end_object().end_object();
  return out;
}

}  // namespace assay::pending
