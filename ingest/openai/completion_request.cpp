#include "ingest/openai/completion_request.hpp"

#include "ingest/http/given_ids.hpp"
#include "ingest/http/json_body.hpp"
#include "storage/records/json_reader.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/records/utf8.hpp"

namespace assay {
namespace {

using J = simdjson::ondemand::json_type;

constexpr std::size_t inputs_bytes_max = 64u << 10;  // of a trace: pictures stay out of the log

bool is_number(std::string_view token) {
  const auto digits = [&token] {
    const auto n = std::min(token.find_first_not_of("0123456789"), token.size());
    token.remove_prefix(n);
    return n;
  };
  const auto skip = [&token](std::string_view any_of) {
    const bool there = !token.empty() && any_of.find(token.front()) != any_of.npos;
    if (there) token.remove_prefix(1);
    return there;
  };
  skip("-");
  const bool zero = token.starts_with('0');
  const auto whole = digits();
  if (whole == 0 || (zero && whole > 1)) return false;
  if (skip(".") && digits() == 0) return false;
  if (skip("eE")) {
    skip("+-");
    if (digits() == 0) return false;
  }
  return token.empty();
}

// Walks a value that the door does not read otherwise, but the trace shows: simdjson checks what is looked at. Its own
// depth is bounded.
bool is_json(simdjson::ondemand::value v) {
  J type;
  if (v.type().get(type)) return false;
  std::string_view text;
  if (type == J::string) return !v.get_string().get(text);
  if (type == J::null) return is_null(v);
  if (type == J::boolean) {
    bool value;
    return !v.get_bool().get(value);
  }
  if (type == J::number) {
    text = v.raw_json_token();
    while (!text.empty() && (text.back() == ' ' || text.back() == '\n' || text.back() == '\t' || text.back() == '\r'))
      text.remove_suffix(1);
    return is_number(text);
  }
  if (type == J::object) {
    simdjson::ondemand::object object;
    if (v.get_object().get(object)) return false;
    return for_each_field(object, [](std::string_view, simdjson::ondemand::value field) { return is_json(field); });
  }
  simdjson::ondemand::array array;
  if (v.get_array().get(array)) return false;
  for (auto item : array) {
    simdjson::ondemand::value element;
    if (item.get(element) || !is_json(element)) return false;
  }
  return true;
}

// A string is put behind `out`; anything else says nothing. False: it is no JSON.
bool append_string(simdjson::ondemand::value v, std::string& out) {
  J type;
  if (v.type().get(type)) return false;
  if (type != J::string) return is_json(v);
  std::string_view text;
  if (v.get_string().get(text)) return false;
  out += text;
  return true;
}

// A message's "content": text, or parts of which some are text.
bool read_content(simdjson::ondemand::value v, std::string& out) {
  J type;
  if (v.type().get(type)) return false;
  out.clear();
  if (type != J::array) return append_string(v, out);
  simdjson::ondemand::array parts;
  if (v.get_array().get(parts)) return false;
  for (auto part : parts) {
    simdjson::ondemand::value item;
    if (part.get(item) || item.type().get(type)) return false;
    if (type != J::object) {
      if (!is_json(item)) return false;
      continue;
    }
    simdjson::ondemand::object fields;
    if (item.get_object().get(fields)) return false;
    const bool ok = for_each_field(fields, [&](std::string_view name, simdjson::ondemand::value field) {
      return name == "text" ? append_string(field, out) : is_json(field);
    });
    if (!ok) return false;
  }
  return true;
}

// False: one is no object, and `all_objects` says so, or it is no JSON.
bool read_messages(simdjson::ondemand::array messages, std::string& asked, bool& any, bool& all_objects) {
  for (auto message : messages) {
    simdjson::ondemand::value item;
    J type;
    if (message.get(item) || item.type().get(type)) return false;
    all_objects = type == J::object;
    simdjson::ondemand::object fields;
    if (!all_objects || item.get_object().get(fields)) return false;
    std::string role, text;
    const bool ok = for_each_field(fields, [&](std::string_view name, simdjson::ondemand::value v) {
      if (name == "content") return read_content(v, text);
      if (name != "role") return is_json(v);
      role.clear();
      return append_string(v, role);
    });
    if (!ok) return false;
    any = true;
    if (role == "user") asked = std::move(text);
  }
  return true;
}

std::string inputs_of(std::string_view body) {
  if (body.size() <= inputs_bytes_max) return std::string(body);
  std::string out;
  JsonWriter(out)
      .begin_object()
      .field("truncated_request", utf8_prefix(body, inputs_bytes_max))
      .field("bytes", body.size())
      .end_object();
  return out;
}

bool is_broken_json(std::string_view body) {
  simdjson::dom::parser parser;
  const auto error = parser.parse(body.data(), body.size()).error();
  return error && error != simdjson::NUMBER_ERROR;  // a number that is too long for it is JSON
}

// As OpenAI's own API: 400 for all of it, and no parameter to blame.
Rejection no_json(std::string_view body) { return {400, "", "body: " + why_no_object(body).reason}; }

}  // namespace

Result<ChatRequest, Rejection> parse_completion_body(std::string_view body) {
  JsonReader reader;
  auto object = reader.parse(body);
  if (!object) return no_json(body);
  ChatRequest out;
  std::optional<Rejection> problem;
  bool has_messages = false, any = false;
  const bool ok = for_each_field(*object, [&](std::string_view name, simdjson::ondemand::value v) {
    J type;
    if (v.type().get(type)) return false;
    if (name == "messages") {
      const Rejection no_messages{400, "messages", "must be an array of objects"};
      problem = no_messages;
      simdjson::ondemand::array messages;
      if (type != J::array || v.get_array().get(messages)) return false;
      problem.reset();
      has_messages = true;
      bool all_objects = true;
      const bool read = read_messages(messages, out.message, any, all_objects);
      if (!all_objects) problem = no_messages;
      return read;
    } else if (name == "stream" && type != J::null) {
      problem = Rejection{400, "stream", "must be true or false"};
      if (v.get_bool().get(out.openai_stream)) return false;
      problem.reset();
    } else if (name == "model" && type != J::string) {
      problem = Rejection{400, "model", "must be a string"};
      return false;
    } else if (name == "user" && type == J::string) {
      std::string_view user;
      if (v.get_string().get(user)) return false;
      if (!problem_with_id("user", user)) out.caller.user = user;
    } else {
      return is_json(v);  // the trace shows it
    }
    return true;
  });
  if (problem && !is_broken_json(body)) return *problem;
  if (!ok || !reader.at_end()) return no_json(body);
  if (!has_messages || !any) return Rejection{400, "messages", "is missing or empty"};
  out.openai_request = body;
  out.inputs = inputs_of(body);
  return out;
}

Result<ChatRequest, Rejection> parse_completion_request(const Request& request) {
  if (auto problem = problem_with_form(request)) return std::move(*problem);
  auto out = parse_completion_body(request.body);
  if (!out) return out;
  auto caller = parse_chat_headers(request);
  if (!caller) return caller.error();
  if (caller->user.empty()) caller->user = std::move(out->caller.user);
  out->caller = std::move(*caller);
  return out;
}

}  // namespace assay
