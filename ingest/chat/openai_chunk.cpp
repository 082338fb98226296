#include "ingest/chat/openai_chunk.hpp"

#include "storage/records/json_reader.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/records/utf8.hpp"

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

// "content" is text, or null beside tool_calls; some models send parts: {"type":"text","text"}.
bool read_content(simdjson::ondemand::value v, std::string& out) {
  json_type type;
  if (v.type().get(type)) return false;
  std::string_view text;
  if (type == json_type::null) return is_null(v);
  if (type == json_type::string) {
    if (v.get_string().get(text)) return false;
    out += text;
    return true;
  }
  simdjson::ondemand::array parts;
  if (type != json_type::array || v.get_array().get(parts)) return false;
  for (auto part : parts) {
    simdjson::ondemand::object fields;
    if (part.get_object().get(fields)) return false;
    if (!fields["text"].get_string().get(text)) out += text;
  }
  return true;
}

bool read_tool_calls(simdjson::ondemand::value v, std::vector<ToolCall>& out) {
  json_type type;
  if (v.type().get(type)) return false;
  if (type == json_type::null) return is_null(v);
  simdjson::ondemand::array calls;
  if (v.get_array().get(calls)) return false;
  for (auto item : calls) {
    simdjson::ondemand::object fields;
    if (item.get_object().get(fields)) return false;
    auto& call = out.emplace_back(ToolCall{.index = static_cast<std::int64_t>(out.size())});
    const bool ok = for_each_field(fields, [&](std::string_view name, simdjson::ondemand::value field) {
      std::string_view text;
      std::int64_t index = 0;
      if (name == "index" && !field.get_int64().get(index)) call.index = index;  // some servers send null
      if (name == "id" && !field.get_string().get(text)) call.id = text;
      if (name != "function") return true;
      simdjson::ondemand::object function;
      if (field.get_object().get(function)) return true;
      return for_each_field(function, [&](std::string_view part, simdjson::ondemand::value value) {
        if (part == "name" && !value.get_string().get(text)) call.name = text;
        if (part == "arguments" && !value.get_string().get(text)) call.arguments = text;
        return true;
      });
    });
    if (!ok) return false;
  }
  return true;
}

bool read_choice(simdjson::ondemand::object fields, OpenAiChunk& chunk) {
  OpenAiChunk::Choice choice{.index = static_cast<std::int64_t>(chunk.choices.size())};  // where it names none
  std::string content, refused;
  std::vector<ToolCall> tool_calls;
  const bool ok = for_each_field(fields, [&](std::string_view name, simdjson::ondemand::value v) {
    if (name == "finish_reason") {
      bool null = false;
      if (!read_null(v, null)) return false;
      choice.finished = !null;
      std::string_view reason;
      choice.cut = !null && !v.get_string().get(reason) && reason == "length";
    } else if (name == "index") {
      std::int64_t given = 0;
      if (!v.get_int64().get(given)) choice.index = given;
    } else if (name == "delta" || name == "message") {
      if (is_null(v)) return true;
      simdjson::ondemand::object delta;
      if (v.get_object().get(delta)) return false;
      return for_each_field(delta, [&](std::string_view part, simdjson::ondemand::value value) {
        if (part == "content") return read_content(value, content);
        std::string_view text;
        if (part == "refusal" && !value.get_string().get(text)) refused += text;  // mostly null
        if (part == "tool_calls") return read_tool_calls(value, tool_calls);
        return true;
      });
    }
    return true;
  });
  if (!ok) return false;
  chunk.choices.push_back(choice);
  if (choice.index != 0) return true;
  chunk.content += content.empty() ? refused : content;
  for (auto& call : tool_calls) chunk.tool_calls.push_back(std::move(call));
  return true;
}

// One that can't be read says nothing.
bool read_usage(simdjson::ondemand::value v, OpenAiChunk& chunk) {
  json_type type;
  if (v.type().get(type)) return false;
  if (type == json_type::null) return is_null(v);
  simdjson::ondemand::object usage;
  if (type != json_type::object || v.get_object().get(usage)) return true;
  return for_each_field(usage, [&](std::string_view name, simdjson::ondemand::value field) {
    std::uint64_t tokens = 0;
    if (name == "completion_tokens" && !field.get_uint64().get(tokens)) chunk.tokens = tokens;
    return true;
  });
}

}  // namespace

Result<OpenAiChunk, ChatFailure> parse_openai_chunk(std::string_view json) {
  static thread_local JsonReader reader;  // one a token: its buffers are kept
  auto object = reader.parse(json);
  OpenAiChunk chunk;
  bool failed = false;
  const bool ok = object && for_each_field(*object, [&](std::string_view name, simdjson::ondemand::value v) {
                    bool null = false;
                    if (name == "error" && !read_null(v, null)) return false;
                    if (name == "error" && !null) failed = true;
                    if (failed) return false;
                    if (name == "usage") return read_usage(v, chunk);
                    if (name != "choices") return true;  // a keep-alive, the rest
                    json_type type;
                    if (v.type().get(type)) return false;
                    if (type == json_type::null) return is_null(v);
                    simdjson::ondemand::array choices;
                    if (v.get_array().get(choices)) return false;
                    for (auto choice : choices) {
                      simdjson::ondemand::object fields;
                      if (choice.get_object().get(fields) || !read_choice(fields, chunk)) return false;
                    }
                    return true;
                  });
  if (failed) {
    const auto text = error_text(json);
    return ChatFailure{.reason = "the model failed" + (text.empty() ? "" : ": " + text),
                       .openai_status = 502,
                       .openai_body = std::string(json)};
  }
  if (!ok) return ChatFailure{"the model's answer is not in OpenAI's format"};
  return chunk;
}

namespace {

bool is_openai_error(std::string_view body) {
  JsonReader reader;
  auto object = reader.parse(body);
  simdjson::ondemand::object error;
  return object && !object->find_field_unordered("error").get_object().get(error);
}

}  // namespace

ChatFailure openai_failure(unsigned status, std::string_view body) {
  if (status == 401 || status == 403) return {"the model refused our credentials"};
  const auto text = error_text(body);
  std::string reason = "the model answered " + std::to_string(status);
  if (!text.empty()) reason += ": " + text;
  ChatFailure failure{std::move(reason), status == 429 || status == 503 ? 503u : 502u};
  failure.openai_status = status;
  if (is_openai_error(body)) failure.openai_body = body;
  return failure;
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
