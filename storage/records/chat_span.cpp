#include "storage/records/chat_span.hpp"

#include "ops/runtime/base64.hpp"
#include "ops/runtime/hex.hpp"

namespace assay {
namespace {

std::string base64_of_hex(std::string_view hex) { return to_base64(from_hex(hex)); }

std::int64_t nanoseconds(Instant at) { return std::chrono::nanoseconds(at.time_since_epoch()).count(); }

}  // namespace

std::string attribute_text(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

void begin_chat_span(JsonWriter& json, const ChatSpan& span) {
  json.begin_object();
  json.field("trace_id", base64_of_hex(span.trace_id.substr(trace_prefix.size())));
  json.field("span_id", base64_of_hex(span.span_id)).key("parent_span_id");
  if (span.parent_span_id.empty())
    json.null();
  else
    json.value(base64_of_hex(span.parent_span_id));
  json.field("name", span.name);
  json.field("start_time_unix_nano", nanoseconds(span.started)).field("end_time_unix_nano", nanoseconds(span.ended));
  if (!span.events.empty()) json.raw_field("events", span.events);
  json.key("status").begin_object().field("code", span.error.empty() ? "STATUS_CODE_OK" : "STATUS_CODE_ERROR");
  json.field("message", span.error).end_object();
  json.key("attributes").begin_object();
  json.field("mlflow.traceRequestId", attribute_text(span.trace_id));
  json.field("mlflow.spanType", attribute_text("CHAT_MODEL"));
  json.field("mlflow.spanInputs", span.inputs);
}

}  // namespace assay
