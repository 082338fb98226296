#include "ingest/mlflow/span_json.hpp"

#include <algorithm>
#include <boost/json/serialize.hpp>

#include "ops/runtime/base64.hpp"
#include "ops/runtime/hex.hpp"
#include "ops/runtime/ids.hpp"
#include "storage/records/exact_json.hpp"
#include "storage/records/python_numbers.hpp"
#include "storage/records/python_text.hpp"
#include "storage/records/value_messages.hpp"

namespace assay {
namespace {

namespace json = boost::json;

// MLflow keeps an attribute as JSON in a string; OTLP knows its own kinds of values.
json::object any_value(const json::value& value) {
  json::object out;
  if (const auto number = python_number(value)) {
    out["double_value"] = *number;
  } else if (value.is_string()) {
    out["string_value"] = value;
  } else if (value.is_bool()) {
    out["bool_value"] = value;
  } else if (value.is_int64()) {
    out["int_value"] = value;
  } else if (value.is_uint64()) {  // beyond 63 bits the client would take nothing of the answer
    out["double_value"] = static_cast<double>(value.get_uint64());
  } else if (value.is_double()) {
    out["double_value"] = value;
  } else if (const auto* list = value.if_array()) {
    json::array values;
    for (const auto& element : *list) values.push_back(any_value(element));
    json::object array;
    if (!values.empty()) array["values"] = std::move(values);
    out["array_value"] = std::move(array);
  } else if (const auto* object = value.if_object()) {
    json::array values;
    for (const auto& [key, element] : *object) {
      json::object entry;
      entry["key"] = key;
      if (!element.is_null()) entry["value"] = any_value(element);
      values.push_back(std::move(entry));
    }
    json::object map;
    if (!values.empty()) map["values"] = std::move(values);
    out["kvlist_value"] = std::move(map);
  }
  return out;
}

// Of the 100 messages that the client reads, six stand around the value of an event: answer, trace, span, event, entry
// and the value itself.
constexpr int value_messages_max = 94;

// What is deeper is JSON in a text: a client that meets one message too many reads nothing of the trace.
json::object readable_value(const json::value& value) {
  if (messages_of(value) <= value_messages_max) return any_value(value);
  json::object out;
  out["string_value"] = with_python_numbers(python_json(value));
  return out;
}

// The value that an attribute's text is as JSON; none: it is none, or stays a text.
std::optional<json::value> value_in(const json::string& text) {
  json::parse_options options;
  options.max_depth = stored_depth_max;
  boost::system::error_code ec;
  auto value = parse_python_json({text.data(), text.size()}, ec, options);
  if (ec || messages_of(value) > value_messages_max) return {};
  return value;
}

json::array key_values(const json::value* attributes, bool json_in_strings) {
  json::array out;
  if (!attributes || !attributes->is_object()) return out;
  for (const auto& [key, value] : attributes->get_object()) {
    json::object entry;
    entry["key"] = key;
    const auto* text = json_in_strings ? value.if_string() : nullptr;
    const auto inner = text ? value_in(*text) : std::nullopt;
    if (const auto& said = inner ? *inner : value; !said.is_null()) entry["value"] = readable_value(said);
    out.push_back(std::move(entry));
  }
  return out;
}

void copy(const json::object& from, std::string_view name, json::object& to) {
  if (const auto* value = from.if_contains(name); value && !value->is_null()) to[name] = *value;
}

bool is_hex(std::string_view text, std::size_t size) {
  return text.size() == size && text.find_first_not_of("0123456789abcdefABCDEF") == text.npos;
}

json::array links_of(const json::object& span) {
  json::array out;
  const auto* links = span.if_contains("links");
  if (!links || !links->is_array()) return out;
  for (const auto& link : links->get_array()) {
    const auto* from = link.if_object();
    const auto* trace = from ? from->if_contains("trace_id") : nullptr;
    const auto* id = from ? from->if_contains("span_id") : nullptr;
    if (!trace || !trace->is_string() || !id || !id->is_string()) continue;
    std::string_view trace_id(trace->get_string().data(), trace->get_string().size());
    if (trace_id.starts_with(trace_prefix)) trace_id.remove_prefix(trace_prefix.size());
    const std::string_view span_id(id->get_string().data(), id->get_string().size());
    if (!is_hex(trace_id, 32) || !is_hex(span_id, 16)) continue;
    json::object to{{"trace_id", to_base64(from_hex(trace_id))}, {"span_id", to_base64(from_hex(span_id))}};
    if (auto attributes = key_values(from->if_contains("attributes"), false); !attributes.empty())
      to["attributes"] = std::move(attributes);
    out.push_back(std::move(to));
  }
  return out;
}

json::object proto_span(const json::object& span) {
  json::object out;
  for (const std::string_view name :
       {"trace_id", "span_id", "parent_span_id", "name", "start_time_unix_nano", "end_time_unix_nano"})
    copy(span, name, out);
  if (auto attributes = key_values(span.if_contains("attributes"), true); !attributes.empty())
    out["attributes"] = std::move(attributes);
  if (const auto* events = span.if_contains("events"); events && events->is_array() && !events->get_array().empty()) {
    json::array list;
    for (const auto& event : events->get_array()) {
      if (!event.is_object()) continue;
      json::object to;
      copy(event.get_object(), "time_unix_nano", to);
      copy(event.get_object(), "name", to);
      if (auto attributes = key_values(event.get_object().if_contains("attributes"), false); !attributes.empty())
        to["attributes"] = std::move(attributes);
      list.push_back(std::move(to));
    }
    out["events"] = std::move(list);
  }
  if (auto links = links_of(span); !links.empty()) out["links"] = std::move(links);
  json::object status;
  if (const auto* from = span.if_contains("status"); from && from->is_object()) {
    copy(from->get_object(), "code", status);
    copy(from->get_object(), "message", status);
    if (const auto* code = status.if_contains("code"); code && *code == "STATUS_CODE_UNSET") status.erase("code");
    if (const auto* message = status.if_contains("message"); message && *message == "") status.erase("message");
  }
  out["status"] = std::move(status);
  return out;
}

std::int64_t start_of(const json::object& span) {
  const auto* start = span.if_contains("start_time_unix_nano");
  return start && start->is_int64() ? start->get_int64() : 0;
}

bool is_root(const json::object& span) {
  const auto* parent = span.if_contains("parent_span_id");
  return !parent || parent->is_null();
}

}  // namespace

std::string proto_spans(std::string_view list, std::size_t& count) {
  boost::system::error_code ec;
  auto parsed = parse_stored_json({list.data(), list.size()}, ec);
  std::vector<const json::object*> spans;
  if (!ec && parsed.is_array())
    for (const auto& span : parsed.get_array())
      if (span.is_object()) spans.push_back(&span.get_object());
  std::stable_sort(spans.begin(), spans.end(), [](const json::object* a, const json::object* b) {
    if (is_root(*a) != is_root(*b)) return is_root(*a);
    return start_of(*a) < start_of(*b);
  });
  count = spans.size();
  json::array out;
  for (const auto* span : spans) out.push_back(proto_span(*span));
  return json::serialize(out);
}

}  // namespace assay
