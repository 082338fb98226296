#include "ingest/mlflow/tag_routes.hpp"

#include <boost/json/serialize.hpp>
#include <filesystem>

#include "ingest/http/given_ids.hpp"
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

struct TagChange {
  std::string key;
  std::optional<std::string> value;  // none: it is deleted
};

std::optional<MlflowError> problem_with_value(const boost::json::object& body) {
  return problem_with_types(body, {{"value", FieldType::text}});
}

Result<TagChange, MlflowError> read_set(const Request& request) {
  const auto body = read_body(request);
  if (!body) return body.error();
  const auto key = required_text(*body, "key");
  if (!key) return key.error();
  if (auto problem = problem_with_value(*body)) return std::move(*problem);
  if (is_immutable(*key, false))
    return invalid_parameter("Tag '" + *key + "' is immutable and cannot be set on a trace.");
  if (auto problem = problem_with_tag_name(*key)) return std::move(*problem);
  const auto value = text_in(*body, "value");
  if (*key == trace_name && utf8_characters(value) > name_characters_max)
    return invalid_parameter("'Trace name' exceeds the maximum length of 4096 characters");
  return TagChange{*key, std::string(utf8_first(value, tag_characters_max))};
}

Result<TagChange, MlflowError> read_delete(const Request& request) {
  const auto body = read_body(request);
  if (!body) return body.error();
  const auto key = required_text(*body, "key");
  if (!key) return key.error();
  if (is_immutable(*key, true))
    return invalid_parameter("Tag '" + *key + "' is immutable and cannot be deleted on a trace.");
  return TagChange{*key, {}};
}

MlflowError no_tag(const std::string& key, const std::string& trace_id) {
  return does_not_exist("No trace tag with key '" + key + "' for trace with ID '" + trace_id + "'");
}

Response unknown_trace(MlflowDoor& door, const std::string& trace_id, const TagChange& change) {
  const auto not_found = "Trace with ID '" + trace_id + "' not found";
  if (door.config.server_behind) return trace_not_found(door, trace_id, not_found + ".");
  if (change.key == trace_name) return error_response(does_not_exist(not_found + "."));
  if (!change.value) return error_response(no_tag(change.key, trace_id));
  return error_response(MlflowError("BAD_REQUEST", not_found + ": it can't be tagged."));
}

TraceRecord record_of(const std::string& trace_id, const TagChange& change, Instant at) {
  TraceRecord tagged{.trace_id = trace_id, .accepted_at = at};
  JsonWriter json(tagged.info);
  json.begin_object().field("trace_id", trace_id).key("tags").begin_object();
  json.key(change.key).raw(change.value ? json_text(*change.value) : "null").end_object().end_object();
  return tagged;
}

// From when on the change counts: after all that is known of the trace. Refused where that is not here.
Task<Result<Instant, Response>> time_of(MlflowDoor& door, const Request& request, const std::string& trace_id,
                                        const TagChange& change) {
  const auto now = door.clock.now();
  if (!door.view) {
    if (door.config.server_behind && !door.recent.find(trace_id))
      co_return error_response(request.path, 501, "this front door has no store that knows the trace");
    co_return now;
  }
  auto refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);
  auto row = Store(door.view->kv()).trace(trace_id);
  if (!row) co_return read_failed(request, row.error());
  if (!*row) co_return unknown_trace(door, trace_id, change);
  if (!change.value && !(*row)->tag(change.key, trace_id, false))
    co_return error_response(no_tag(change.key, trace_id));
  const auto at = std::max(now, (*row)->after());
  if (const auto tagged = (*row)->apply(record_of(trace_id, change, at)); !tagged)
    co_return error_response(invalid_parameter(tagged.error().reason));
  co_return at;
}

Task<Response> write(MlflowDoor& door, const Request& request, const TagChange& change) {
  const std::string trace_id(request.params[0]);
  if (const auto problem = problem_with_id("trace_id", trace_id)) co_return error_response(request.path, *problem);
  auto at = co_await time_of(door, request, trace_id, change);
  if (!at) co_return std::move(at.error());
  auto record = to_record(record_of(trace_id, change, *at));
  const auto appended = co_await door.log.append(std::move(record));
  if (!appended) co_return error_response(request.path, appended.error());
  co_return durable(door, "{}");
}

Task<Response> set_tag(MlflowDoor& door, Request& request) {
  const auto change = read_set(request);
  if (!change) co_return error_response(change.error());
  co_return co_await write(door, request, *change);
}

Task<Response> delete_tag(MlflowDoor& door, Request& request) {
  const auto change = read_delete(request);
  if (!change) co_return error_response(change.error());
  co_return co_await write(door, request, *change);
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
    add_mlflow(router, http::verb::patch, path, [&door](Request& r) { return set_tag(door, r); },
               {.scope = Scope::trace, .else_behind = true});
    add_mlflow(router, http::verb::delete_, path, [&door](Request& r) { return delete_tag(door, r); },
               {.scope = Scope::trace, .else_behind = true});
  }
}

}  // namespace assay
