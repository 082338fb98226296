#include "ingest/mlflow/tag_routes.hpp"

#include <boost/json/serialize.hpp>
#include <filesystem>

#include "ingest/mlflow/trace_routes.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/records/trace_record.hpp"
#include "storage/records/utf8.hpp"
#include "storage/store/store.hpp"

namespace assay {
namespace {

constexpr std::size_t name_characters_max = 4096;
constexpr std::string_view trace_name = "mlflow.traceName";

std::string json_text(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

bool is_immutable(std::string_view key, bool erase) {
  return key == "mlflow.trace.spansLocation" || key == "mlflow.trace.archiveLocation" ||
         (key == "mlflow.trace.archivalFailure" && !erase);
}

std::optional<MlflowError> problem_with_value(const boost::json::object& body) {
  return problem_with_types(body, {{"value", FieldType::text}});
}

Task<Response> change_tag(MlflowDoor& door, Request& request, bool erase) {
  const std::string trace_id(request.params[0]);
  const auto body = read_body(request);
  if (!body) co_return error_response(body.error());
  const auto key = required_text(*body, "key");
  if (!key) co_return error_response(key.error());
  if (const auto problem = problem_with_value(*body); problem && !erase) co_return error_response(*problem);
  auto value = text_in(*body, "value");
  if (is_immutable(*key, erase))
    co_return error_response(invalid_parameter("Tag '" + *key + "' is immutable and cannot be " +
                                               (erase ? "deleted" : "set") + " on a trace."));
  if (!erase) {
    if (auto problem = problem_with_tag_name(*key)) co_return error_response(*problem);
    if (*key == trace_name && utf8_characters(value) > name_characters_max)
      co_return error_response(invalid_parameter("'Trace name' exceeds the maximum length of 4096 characters"));
    value = std::string(utf8_first(value, tag_characters_max));
  }
  Instant at = door.clock.now();
  if (door.view) {
    auto refused = co_await ready_to_read(door, request);
    if (refused) co_return std::move(*refused);
    const Store store(door.view->kv());
    const auto row = store.trace(trace_id);
    if (!row) co_return read_failed(request, row.error());
    if (erase && (!*row ? !door.config.server_behind : !(*row)->tag(*key, trace_id, false)))
      co_return error_response(does_not_exist(
          !*row && *key == trace_name ? "Trace with ID '" + trace_id + "' not found."
                                      : "No trace tag with key '" + *key + "' for trace with ID '" + trace_id + "'"));
    if (!*row) {
      if (door.config.server_behind)
        co_return trace_not_found(door, trace_id, "Trace with ID '" + trace_id + "' not found.");
      if (*key == trace_name) co_return error_response(does_not_exist("Trace with ID '" + trace_id + "' not found."));
      MlflowError unknown{"BAD_REQUEST", "Trace with ID '" + trace_id + "' not found: it can't be tagged."};
      co_return error_response(unknown);
    }
    at = std::max(at, (*row)->after());
  } else if (door.config.server_behind && !door.recent.find(trace_id)) {
    co_return error_response(request.path, 501, "this front door has no store that knows the trace");
  }
  TraceRecord record{.trace_id = trace_id, .accepted_at = at};
  JsonWriter json(record.info);
  json.begin_object().field("trace_id", trace_id).key("tags").begin_object();
  json.key(*key).raw(erase ? "null" : json_text(value)).end_object().end_object();
  auto log_record = to_record(record);
  const auto appended = co_await door.log.append(std::move(log_record));
  if (!appended) co_return error_response(request.path, appended.error());
  co_return durable(door, "{}");
}

}  // namespace

std::optional<MlflowError> problem_with_tag_name(std::string_view key, std::size_t length_max) {
  const auto bad = [&](const std::string& why) {
    return invalid_parameter("Invalid value " + json_text(key) + " for parameter 'key' supplied: " + why);
  };
  for (const char c : key) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                      static_cast<unsigned char>(c) >= 0x80;
    if (!word && std::string_view("/.- :").find(c) == std::string_view::npos)
      return bad(
          "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and "
          "slashes (/).");
  }
  auto normal = std::filesystem::path(key).lexically_normal().generic_string();
  if (normal.size() > 1 && normal.ends_with('/')) normal.pop_back();
  if (normal.empty()) normal = ".";
  if (normal != key || normal == "." || normal.starts_with("..") || normal.starts_with('/'))
    return bad(
        "Names may be treated as files in certain cases, and must not resolve to other names when treated as such. "
        "This name would resolve to '" +
        normal + "'");
  if (utf8_characters(key) > length_max)
    return invalid_parameter("'key' exceeds the maximum length of " + std::to_string(length_max) + " characters");
  return {};
}

void add_tag_routes(Router& router, MlflowDoor& door) {
  for (const std::string version : {"2.0", "3.0"}) {
    const auto path = version + "/mlflow/traces/{trace_id}/tags";
    add_mlflow(router, http::verb::patch, path, [&door](Request& r) { return change_tag(door, r, false); },
               {.scope = Scope::trace, .else_behind = true});
    add_mlflow(router, http::verb::delete_, path, [&door](Request& r) { return change_tag(door, r, true); },
               {.scope = Scope::trace, .else_behind = true});
  }
}

}  // namespace assay
