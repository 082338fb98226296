#include "ingest/chat/chat_trace.hpp"

#include "ops/runtime/ids.hpp"
#include "storage/records/chat_span.hpp"
#include "storage/records/duration_text.hpp"
#include "storage/records/fields.hpp"
#include "storage/records/utf8.hpp"

namespace assay {
namespace {

std::string object_of(std::string_view name, std::string_view text) {
  std::string out;
  JsonWriter(out).begin_object().field(name, text).end_object();
  return out;
}

std::int64_t nanoseconds(Instant at) { return std::chrono::nanoseconds(at.time_since_epoch()).count(); }

std::string inputs_of(const ChatTrace& chat) {
  return chat.inputs.empty() ? object_of("message", chat.message) : chat.inputs;
}

std::string outputs_of(const ChatOutcome& outcome) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("response", outcome.response);
  if (!outcome.tool_calls.empty()) {
    json.key("tool_calls").begin_array();
    for (const auto& call : outcome.tool_calls) {
      json.begin_object().field("id", call.id).field("type", "function").key("function").begin_object();
      json.field("name", call.name).field("arguments", call.arguments).end_object().end_object();
    }
    json.end_array();
  }
  if (outcome.truncated) json.field("truncated", true);
  json.end_object();
  return out;
}

std::string info_of(const ChatTrace& chat, const ChatOutcome* outcome) {
  const auto inputs = inputs_of(chat);
  const std::string request_preview(utf8_prefix(inputs, preview_bytes_max));
  std::string response_preview;
  if (outcome) response_preview = utf8_prefix(outputs_of(*outcome), preview_bytes_max);

  std::string out;
  JsonWriter json(out);
  json.begin_object().field("trace_id", chat.trace_id).field("client_request_id", chat.client_request_id);
  json.key("trace_location").begin_object().field("type", "MLFLOW_EXPERIMENT");
  json.key("mlflow_experiment").begin_object().field("experiment_id", chat.experiment_id).end_object().end_object();
  json.field("request_time", format_time(chat.started_at));
  if (outcome) json.field("execution_duration", duration_text((outcome->ended_at - chat.started_at).count()));
  json.field("state", !outcome ? "IN_PROGRESS" : outcome->error.empty() ? "OK" : "ERROR");
  json.field("request_preview", request_preview);
  if (outcome) json.field("response_preview", response_preview);
  if (!outcome || !outcome->begun) {
    json.key("tags").begin_object().field("mlflow.traceName", chat.name);
    for (const auto& [key, value] : chat.tags) json.field(key, value);
    json.end_object();
  }
  json.key("trace_metadata").begin_object().field("mlflow.trace_schema.version", "3");
  if (!chat.experiment_name.empty()) json.field(experiment_name_key, chat.experiment_name);
  if (!chat.session.empty()) json.field("mlflow.trace.session", chat.session);
  if (!chat.user.empty()) json.field("mlflow.trace.user", chat.user);
  json.field("mlflow.traceInputs", request_preview);
  if (outcome) json.field("mlflow.traceOutputs", response_preview);
  json.end_object().end_object();
  return out;
}

std::string events_of(const ChatOutcome& outcome) {
  std::string out;
  JsonWriter json(out);
  json.begin_array();
  if (!outcome.error.empty()) {
    json.begin_object().field("name", "exception").field("time_unix_nano", nanoseconds(outcome.ended_at));
    json.key("attributes").begin_object();
    json.field("exception.type", "ChatError").field("exception.message", outcome.error).end_object().end_object();
  }
  json.end_array();
  return out;
}

std::string spans_of(const ChatTrace& chat, const ChatOutcome& outcome) {
  const auto inputs = inputs_of(chat), events = events_of(outcome);
  std::string out;
  JsonWriter json(out);
  json.begin_array();
  begin_chat_span(json, {.trace_id = chat.trace_id,
                         .span_id = chat.span_id,
                         .parent_span_id = chat.parent_span_id,
                         .name = chat.name,
                         .started = chat.started_at,
                         .ended = std::max(outcome.ended_at, chat.started_at),
                         .events = events,
                         .error = outcome.error,
                         .inputs = inputs});
  json.field("mlflow.spanOutputs", outputs_of(outcome));
  json.field("response", attribute_text(outcome.response));
  json.field("token_count", std::to_string(outcome.tokens));
  if (outcome.first_token_at) json.field("first_token_time", attribute_text(format_time(*outcome.first_token_at)));
  if (outcome.last_token_at) json.field("last_token_time", attribute_text(format_time(*outcome.last_token_at)));
  json.field("client_request_id", attribute_text(chat.client_request_id));
  if (!chat.session.empty()) json.field("session_id", attribute_text(chat.session));
  if (!chat.user.empty()) json.field("user_id", attribute_text(chat.user));
  if (outcome.stopped) json.field("stopped", "true");
  if (outcome.truncated) json.field("truncated", "true");
  if (!outcome.error.empty()) json.field("error", attribute_text(outcome.error));
  json.end_object();
  json.key("links").begin_array().end_array();
  json.end_object().end_array();
  return out;
}

}  // namespace

TraceRecord opened_trace(const ChatTrace& chat) {
  // Of a trace that it joined, the caller has the last word.
  return {.from_spans = !chat.parent_span_id.empty(),
          .trace_id = chat.trace_id,
          .accepted_at = chat.started_at,
          .info = info_of(chat, nullptr)};
}

TraceRecord ended_trace(const ChatTrace& chat, const ChatOutcome& outcome) {
  return {.from_spans = !chat.parent_span_id.empty(),
          .trace_id = chat.trace_id,
          .accepted_at = outcome.ended_at,
          .info = info_of(chat, &outcome),
          .spans = spans_of(chat, outcome)};
}

std::string to_json(const ChatTrace& chat) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("v", 1).field("trace_id", chat.trace_id).field("span_id", chat.span_id);
  json.field("client_request_id", chat.client_request_id).field("experiment_id", chat.experiment_id);
  json.field("name", chat.name).field("started_at", format_time(chat.started_at)).field("message", chat.message);
  if (!chat.inputs.empty()) json.field("inputs", chat.inputs);
  if (!chat.parent_span_id.empty()) json.field("parent_span_id", chat.parent_span_id);
  json.field("session", chat.session).field("user", chat.user).key("tags").begin_object();
  for (const auto& [key, value] : chat.tags) json.field(key, value);
  json.end_object().end_object();
  return out;
}

Result<ChatTrace, Malformed> parse_chat_trace(std::string_view text) {
  JsonReader reader;
  auto object = reader.parse(text);
  if (!object) return Malformed{object.error()};
  ChatTrace out;
  FieldProblem problem;
  const bool ok = for_each_field(*object, [&](std::string_view name, simdjson::ondemand::value v) {
    if (name == "v") return read_version(v, problem);
    if (name == "started_at") return read_time(name, v, out.started_at, problem);
    if (name == "tags") {
      simdjson::ondemand::object tags;
      if (v.get_object().get(tags)) return problem(name, "is not an object");
      return for_each_field(tags, [&](std::string_view key, simdjson::ondemand::value value) {
        const std::string copy(key);
        std::string_view view;
        if (value.get_string().get(view)) return problem("tags", "is not an object of strings");
        out.tags[copy] = view;
        return true;
      });
    }
    const struct {
      std::string_view name;
      std::string& value;
    } texts[] = {{"trace_id", out.trace_id},
                 {"span_id", out.span_id},
                 {"parent_span_id", out.parent_span_id},
                 {"client_request_id", out.client_request_id},
                 {"experiment_id", out.experiment_id},
                 {"name", out.name},
                 {"message", out.message},
                 {"inputs", out.inputs},
                 {"session", out.session},
                 {"user", out.user}};
    for (const auto& field : texts) {
      if (name != field.name) continue;
      std::string_view view;
      if (v.get_string().get(view)) return problem(name, "is not a string");
      field.value = view;
    }
    return true;
  });
  if (!ok) return problem.malformed();
  if (out.trace_id.size() != trace_prefix.size() + 32) return Malformed{"trace_id is missing"};
  return out;
}

}  // namespace assay
