#include "ingest/chat/chat_request.hpp"

#include <simdjson.h>

#include "ingest/http/given_ids.hpp"
#include "ingest/http/json_body.hpp"
#include "ingest/http/query.hpp"
#include "ops/runtime/ids.hpp"
#include "storage/records/json_reader.hpp"

namespace assay {
namespace {

struct Problem {
  std::optional<Rejection> rejection;
  bool operator()(std::string field, std::string reason) {
    rejection = Rejection(422, std::move(field), std::move(reason));
    return false;
  }
};

bool read_string(std::string_view name, simdjson::ondemand::value v, std::string& out, Problem& problem) {
  simdjson::ondemand::json_type type;
  if (v.type().get(type)) return false;
  if (type != simdjson::ondemand::json_type::string) return problem(std::string(name), "must be a string");
  std::string_view text;
  if (v.get_string().get(text)) return problem(std::string(name), "is not valid text");
  out = text;
  return true;
}

bool read_tags(simdjson::ondemand::value v, std::map<std::string, std::string>& tags, Problem& problem) {
  simdjson::ondemand::json_type type;
  if (v.type().get(type)) return false;
  if (type == simdjson::ondemand::json_type::null) return is_null(v);
  simdjson::ondemand::object object;
  if (type != simdjson::ondemand::json_type::object) return problem("tags", "must be an object of strings");
  if (v.get_object().get(object)) return false;
  return for_each_field(object, [&](std::string_view name, simdjson::ondemand::value value) {
    if (tags.size() == tags_max) return problem("tags", "has more than " + std::to_string(tags_max) + " entries");
    const std::string key(name);
    if (key.empty() || key.size() > tag_key_bytes_max) return problem("tags", "has a key that is empty or too long");
    if (key.find('\0') != key.npos) return problem("tags", "has a key with U+0000");
    const auto field = "tags." + key;
    if (key.starts_with("mlflow.") || key.starts_with("assay.")) return problem(field, "is reserved");
    std::string text;
    if (!read_string(field, value, text, problem)) return false;
    if (text.size() > tag_value_bytes_max)
      return problem(field, "is longer than " + std::to_string(tag_value_bytes_max) + " bytes");
    if (text.find('\0') != text.npos) return problem(field, "has U+0000");
    if (!tags.emplace(key, std::move(text)).second) return problem(field, "is given twice");
    return true;
  });
}

}  // namespace

Result<ChatRequest, Rejection> parse_chat_body(std::string_view body) {
  JsonReader reader;
  auto object = reader.parse(body);
  Problem problem;
  if (!object) return why_no_object(body);
  ChatRequest out;
  bool has_message = false, has_tags = false;
  const bool ok = for_each_field(*object, [&](std::string_view name, simdjson::ondemand::value v) {
    if (name == "message") {
      if (std::exchange(has_message, true)) return problem("message", "is given twice");
      return read_string("message", v, out.message, problem);
    }
    if (name == "tags") {
      if (std::exchange(has_tags, true)) return problem("tags", "is given twice");
      return read_tags(v, out.tags, problem);
    }
    return true;
  });
  if (problem.rejection) return *problem.rejection;
  if (!ok || !reader.at_end()) return why_no_object(body);
  if (!has_message) return Rejection{422, "message", "is missing"};
  if (out.message.empty()) return Rejection{422, "message", "must not be empty"};
  return out;
}

// 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
void read_traceparent(std::string_view header, ChatCaller& into) {
  const auto hex = [&](std::size_t from, std::size_t size) {
    const auto part = header.substr(from, size);
    return part.size() == size && part.find_first_not_of("0123456789abcdef") == part.npos;
  };
  const auto zero = [&](std::size_t from, std::size_t size) {
    return header.substr(from, size).find_first_not_of('0') == header.npos;
  };
  if (header.size() < 55 || !hex(0, 2) || header.starts_with("ff") || !hex(3, 32) || !hex(36, 16) || !hex(53, 2))
    return;
  if (header[2] != '-' || header[35] != '-' || header[52] != '-' || zero(3, 32) || zero(36, 16)) return;
  if (header.size() > 55 && (header.starts_with("00") || header[55] != '-')) return;
  into.trace_id = std::string(trace_prefix).append(header.substr(3, 32));
  into.parent_span_id = header.substr(36, 16);
}

std::optional<ChatIdentity> identity_of(const ChatCaller& caller) {
  if (caller.is_stranger) return {};
  return ChatIdentity{caller.key_id, caller.user, caller.session};
}

std::optional<ChatIdentity> starter_of(const ChatCaller& caller) {
  return caller.trace_id.empty() ? identity_of(caller) : std::nullopt;
}

Result<ChatRequest, Rejection> parse_chat_request(const Request& request) {
  if (auto problem = problem_with_form(request)) return std::move(*problem);
  auto out = parse_chat_body(request.body);
  if (!out) return out;
  auto caller = parse_chat_headers(request);
  if (!caller) return caller.error();
  out->caller = std::move(*caller);
  return out;
}

Result<ChatCaller, Rejection> parse_chat_identity(const Request& request) {
  ChatCaller out{.key_id = std::string(request.key_id),
                 .is_stranger = request.shows_capability || !request.joins_traces};
  const struct {
    std::string_view name;
    std::string& value;
  } headers[] = {{"X-Session-ID", out.session}, {"X-User-ID", out.user}};
  for (const auto& [name, value] : headers) {
    const auto given = request.header(name);
    if (!given) continue;
    if (request.count(name) > 1) return Rejection{400, std::string(name), "is given twice"};
    if (auto problem = problem_with_id(name, *given)) return *problem;
    value = *given;
  }
  return out;
}

Result<ChatCaller, Rejection> parse_chat_headers(const Request& request) {
  if (const auto query = Query::parse(request.query); !query) return query.error();
  auto out = parse_chat_identity(request);
  if (!out) return out;
  // A stranger who joined another's trace would be given a feedback token for it.
  if (const auto parent = request.header("traceparent");
      parent && request.joins_traces && request.count("traceparent") == 1)
    read_traceparent(*parent, *out);
  constexpr std::string_view name = "X-Client-Request-Id";  // feedback will name it so
  if (const auto given = request.header(name)) {
    if (request.count(name) > 1) return Rejection{400, std::string(name), "is given twice"};
    if (auto problem = problem_with_name(name, *given, out->trace_id)) return *problem;
    out->client_request_id = *given;
  }
  return out;
}

}  // namespace assay
