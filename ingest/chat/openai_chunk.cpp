#include "ingest/chat/openai_chunk.hpp"

#include "ingest/chat/utf8.hpp"
#include "storage/records/json_reader.hpp"
#include "storage/records/json_writer.hpp"

namespace assay {
namespace {

constexpr std::size_t quoted_bytes_max = 500;

using simdjson::ondemand::json_type;

// {"error":{"message":TEXT,…}} or {"error":TEXT}; some servers say {"message":TEXT} or FastAPI's {"detail":TEXT}.
std::string error_text(std::string_view json) {
  JsonReader reader;
  auto object = reader.parse(json);
  if (!object) return {};
  std::string text;
  for_each_field(*object, [&](std::string_view name, simdjson::ondemand::value v) {
    if (name != "error" && name != "message" && name != "detail") return true;
    json_type type;
    if (v.type().get(type)) return false;
    std::string_view view;
    if (type == json_type::string) {
      if (v.get_string().get(view)) return false;
    } else if (type == json_type::object) {
      if (v["message"].get_string().get(view)) return true;
    } else {
      return true;
    }
    text = view;
    return text.empty();
  });
  return std::string(utf8_prefix(text, quoted_bytes_max));
}

bool has_error(std::string_view json) {
  JsonReader reader;
  auto object = reader.parse(json);
  if (!object) return false;
  simdjson::ondemand::value v;
  return !object->find_field_unordered("error").get(v) && !v.is_null();
}

}  // namespace

Result<OpenAiChunk, ChatFailure> parse_openai_chunk(std::string_view json) {
  if (has_error(json)) {
    const auto text = error_text(json);
    return ChatFailure{"the model failed" + (text.empty() ? "" : ": " + text)};
  }
  const ChatFailure malformed{"the model's answer is not in OpenAI's format"};
  JsonReader reader;
  auto object = reader.parse(json);
  if (!object) return malformed;
  simdjson::ondemand::array choices;
  const auto missing = object->find_field_unordered("choices").get_array().get(choices);
  OpenAiChunk chunk;
  if (missing == simdjson::NO_SUCH_FIELD) return chunk;  // usage, a keep-alive
  if (missing) return malformed;
  for (auto choice : choices) {
    simdjson::ondemand::object fields;
    if (choice.get_object().get(fields)) return malformed;
    const bool ok = for_each_field(fields, [&](std::string_view name, simdjson::ondemand::value v) {
      if (name == "finish_reason") {
        chunk.finished = !v.is_null();
      } else if (name == "delta" || name == "message") {
        if (v.is_null()) return true;
        simdjson::ondemand::object delta;
        if (v.get_object().get(delta)) return false;
        simdjson::ondemand::value content;
        const auto absent = delta.find_field_unordered("content").get(content);
        if (absent == simdjson::NO_SUCH_FIELD) return true;
        if (absent) return false;
        if (content.is_null()) return true;
        std::string_view text;
        if (content.get_string().get(text)) return false;
        chunk.content = text;
      }
      return true;
    });
    if (!ok) return malformed;
    break;  // one answer was asked for
  }
  return chunk;
}

ChatFailure openai_failure(unsigned status, std::string_view body) {
  if (status == 401 || status == 403) return {"the model refused our credentials"};
  const auto text = error_text(body);
  std::string reason = "the model answered " + std::to_string(status);
  if (!text.empty()) reason += ": " + text;
  return {std::move(reason), status == 429 || status == 503 ? 503u : 502u};
}

std::string openai_request(std::string_view model, const std::vector<ChatMessage>& messages) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("model", model).field("stream", true).key("messages").begin_array();
  for (const auto& message : messages)
    json.begin_object().field("role", message.role).field("content", message.content).end_object();
  json.end_array().end_object();
  return out;
}

}  // namespace assay
