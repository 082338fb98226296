#include <charconv>
#include <limits>

#include "ingest/otlp/otlp_protobuf.hpp"
#include "storage/records/exact_json.hpp"

namespace assay {
namespace {

namespace json = boost::json;

const json::value* at(const json::object& from, std::string_view camel, std::string_view snake) {
  const auto* value = from.if_contains(camel);
  return value ? value : from.if_contains(snake);
}

const json::array* list_at(const json::object& from, std::string_view camel, std::string_view snake) {
  const auto* value = at(from, camel, snake);
  return value ? value->if_array() : nullptr;
}

std::string text_at(const json::object& from, std::string_view camel, std::string_view snake) {
  const auto* value = at(from, camel, snake);
  const auto* text = value ? value->if_string() : nullptr;
  return text ? std::string(text->data(), text->size()) : std::string();
}

// 64-bit numbers are strings in protobuf's JSON; plain ones are taken, too.
std::int64_t integer(const json::value* value) {
  if (!value) return 0;
  if (value->is_int64()) return value->get_int64();
  if (value->is_uint64()) return static_cast<std::int64_t>(value->get_uint64());
  std::int64_t n = 0;
  if (const auto* text = value->if_string()) std::from_chars(text->data(), text->data() + text->size(), n);
  return n;
}

// Above all times that are taken.
constexpr auto no_otlp_time = std::numeric_limits<std::uint64_t>::max();

// Nanoseconds since 1970. What is none is no_otlp_time; a field that is not there is 0, as in protobuf.
std::uint64_t time_at(const json::object& from, std::string_view camel, std::string_view snake) {
  const auto* value = at(from, camel, snake);
  if (!value || value->is_null()) return 0;
  if (value->is_uint64()) return value->get_uint64();
  if (value->is_int64() && value->get_int64() >= 0) return static_cast<std::uint64_t>(value->get_int64());
  const auto* text = value->if_string();
  std::uint64_t n = 0;
  if (!text || text->empty()) return no_otlp_time;
  const auto read = std::from_chars(text->data(), text->data() + text->size(), n);
  return read.ec == std::errc() && read.ptr == text->data() + text->size() ? n : no_otlp_time;
}

// OTLP's JSON writes ids in hex.
std::string id_at(const json::object& from, std::string_view camel, std::string_view snake) {
  const auto hex = text_at(from, camel, snake);
  std::string out;
  if (hex.size() % 2 != 0 || hex.find_first_not_of("0123456789abcdefABCDEF") != hex.npos) return {};
  const auto digit = [](char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; };
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) out += static_cast<char>(digit(hex[i]) << 4 | digit(hex[i + 1]));
  return out;
}

json::object attributes_of(const json::object& from);

json::value any_value(const json::value& value) {
  const auto* of = value.if_object();
  if (!of) return nullptr;
  for (const auto& [kind, inner] : *of) {
    const std::string_view name(kind.data(), kind.size());
    if (name == "intValue" || name == "int_value") return integer(&inner);
    if (name == "arrayValue" || name == "array_value") {
      json::array out;
      if (inner.is_object())
        if (const auto* values = list_at(inner.get_object(), "values", "values"))
          for (const auto& element : *values) out.push_back(any_value(element));
      return out;
    }
    if (name == "kvlistValue" || name == "kvlist_value") {
      json::object wrapped;
      if (inner.is_object())
        if (const auto* values = inner.get_object().if_contains("values")) wrapped["attributes"] = *values;
      return attributes_of(wrapped);
    }
    return inner;
  }
  return nullptr;
}

json::object attributes_of(const json::object& from) {
  json::object out;
  const auto* list = list_at(from, "attributes", "attributes");
  if (!list) return out;
  for (const auto& entry : *list) {
    if (!entry.is_object()) continue;
    const auto* value = entry.get_object().if_contains("value");
    out[text_at(entry.get_object(), "key", "key")] = value ? any_value(*value) : json::value();
  }
  return out;
}

int status_code(const json::object& status) {
  const auto* code = status.if_contains("code");
  if (code && code->is_string()) {
    if (*code == "STATUS_CODE_OK") return 1;
    return *code == "STATUS_CODE_ERROR" ? 2 : 0;
  }
  return static_cast<int>(integer(code));
}

// False: there is no room for it.
bool read_span(const json::object& from, OtlpSpan& span, OtlpRoom& room) {
  span.trace_id = id_at(from, "traceId", "trace_id");
  span.span_id = id_at(from, "spanId", "span_id");
  span.parent_id = id_at(from, "parentSpanId", "parent_span_id");
  span.name = text_at(from, "name", "name");
  span.start = time_at(from, "startTimeUnixNano", "start_time_unix_nano");
  span.end = time_at(from, "endTimeUnixNano", "end_time_unix_nano");
  span.attributes = attributes_of(from);
  if (const auto* status = from.if_contains("status"); status && status->is_object()) {
    span.status = status_code(status->get_object());
    span.status_message = text_at(status->get_object(), "message", "message");
  }
  if (const auto* events = list_at(from, "events", "events"))
    for (const auto& event : *events) {
      if (!event.is_object()) continue;
      if (!room.take_part()) return false;
      span.events.push_back({text_at(event.get_object(), "name", "name"),
                             time_at(event.get_object(), "timeUnixNano", "time_unix_nano"),
                             attributes_of(event.get_object())});
    }
  if (const auto* links = list_at(from, "links", "links"))
    for (const auto& link : *links) {
      if (!link.is_object()) continue;
      if (!room.take_part()) return false;
      span.links.push_back({id_at(link.get_object(), "traceId", "trace_id"),
                            id_at(link.get_object(), "spanId", "span_id"), attributes_of(link.get_object())});
    }
  return true;
}

}  // namespace

std::optional<std::vector<OtlpResource>> read_otlp_json(std::string_view text, OtlpRoom& room) {
  json::parse_options options;
  options.max_depth = 64;
  boost::system::error_code ec;
  const auto parsed = parse_json({text.data(), text.size()}, ec, options);
  if (ec || !parsed.is_object()) return {};
  std::vector<OtlpResource> out;
  const auto* resources = list_at(parsed.get_object(), "resourceSpans", "resource_spans");
  if (!resources) return out;
  for (const auto& one : *resources) {
    if (!one.is_object() || !room.take_part()) return {};
    auto& resource = out.emplace_back();
    if (const auto* of = one.get_object().if_contains("resource"); of && of->is_object())
      resource.attributes = attributes_of(of->get_object());
    const auto* scopes = list_at(one.get_object(), "scopeSpans", "scope_spans");
    if (!scopes) continue;
    for (const auto& scope : *scopes) {
      const auto* list = scope.is_object() ? list_at(scope.get_object(), "spans", "spans") : nullptr;
      if (!list) continue;
      for (const auto& span : *list) {
        if (!span.is_object() || !room.take_span()) return {};
        if (!read_span(span.get_object(), resource.spans.emplace_back(), room)) return {};
      }
    }
  }
  return out;
}

}  // namespace assay
