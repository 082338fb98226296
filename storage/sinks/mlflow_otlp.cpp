#include "storage/sinks/mlflow_otlp.hpp"

#include <algorithm>
#include <boost/json/object.hpp>
#include <limits>

#include "ops/runtime/hex.hpp"
#include "ops/runtime/parse_number.hpp"
#include "storage/records/exact_json.hpp"
#include "storage/records/python_numbers.hpp"
#include "storage/records/python_text.hpp"
#include "storage/records/value_messages.hpp"
#include "storage/sinks/mlflow_columns.hpp"
#include "storage/sinks/protobuf_writer.hpp"

namespace assay::mlflow {
namespace {

namespace json = boost::json;
using wire::Writer;

std::string_view view(const json::string& text) { return {text.data(), text.size()}; }

const json::value* member(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  return value && !value->is_null() ? value : nullptr;
}

std::string_view text_of(const json::object& object, std::string_view name) {
  const auto* value = member(object, name);
  return value && value->is_string() ? view(value->get_string()) : std::string_view();
}

std::uint64_t nanoseconds(const json::object& object, std::string_view name) {
  const auto* value = member(object, name);
  if (!value) return 0;
  if (value->is_string()) return parse_number<std::uint64_t>(view(value->get_string())).value_or(0);
  if (value->is_uint64()) return value->get_uint64();
  return value->is_int64() && value->get_int64() > 0 ? static_cast<std::uint64_t>(value->get_int64()) : 0;
}

// Of the 100 messages, one inside the other, that MLflow reads, six stand around those of a value of an event:
// resource, scope, span, event, entry and the value itself.
constexpr int value_messages_max = 94;

// AnyValue
std::string any_value(const json::value& value) {
  std::string out;
  Writer to(out);
  if (const auto number = python_number(value)) {
    to.real(4, *number == "NaN"        ? std::numeric_limits<double>::quiet_NaN()
               : *number == "Infinity" ? std::numeric_limits<double>::infinity()
                                       : -std::numeric_limits<double>::infinity());
  } else if (const auto* text = value.if_string()) {
    to.bytes(1, view(*text));
  } else if (value.is_bool()) {
    to.varint(2, value.get_bool());
  } else if (value.is_int64()) {
    to.varint(3, static_cast<std::uint64_t>(value.get_int64()));
  } else if (value.is_uint64()) {  // more than it has an integer for
    to.real(4, static_cast<double>(value.get_uint64()));
  } else if (value.is_double()) {
    to.real(4, value.get_double());
  } else if (const auto* list = value.if_array()) {
    std::string elements;
    for (const auto& element : *list) Writer(elements).bytes(1, any_value(element));
    to.bytes(5, elements);
  } else if (const auto* object = value.if_object()) {
    std::string entries;
    for (const auto& [key, element] : *object) {
      std::string entry;
      Writer(entry).bytes(1, {key.data(), key.size()});
      Writer(entry).bytes(2, any_value(element));
      Writer(entries).bytes(1, entry);
    }
    to.bytes(6, entries);
  }
  return out;
}

// What is too deep is JSON in a text.
std::string readable_value(const json::value& value) {
  if (messages_of(value) <= value_messages_max) return any_value(value);
  const auto text = with_python_numbers(python_json(value));
  return any_value(json::value(json::string(text.data(), text.size())));
}

// The value that an attribute's text is as JSON; none: it stays a text.
std::optional<json::value> value_in(const json::string& text) {
  json::parse_options options;
  options.max_depth = stored_depth_max;
  boost::system::error_code ec;
  auto value = parse_python_json(view(text), ec, options);
  if (ec || messages_of(value) > value_messages_max) return {};
  return value;
}

// KeyValue for each, as that field of `to`.
void write_attributes(Writer& to, std::uint32_t field, const json::object& of, bool json_in_texts) {
  const auto* attributes = member(of, "attributes");
  if (!attributes || !attributes->is_object()) return;
  for (const auto& [key, value] : attributes->get_object()) {
    // MLflow would set the tag again, whatever became of it since the span was said. StartTraceV3 brings the tags.
    if (view(key).starts_with("mlflow.traceTag.")) continue;
    const auto* text = json_in_texts ? value.if_string() : nullptr;
    const auto inner = text ? value_in(*text) : std::nullopt;
    std::string entry;
    Writer(entry).bytes(1, {key.data(), key.size()});
    Writer(entry).bytes(2, readable_value(inner ? *inner : value));
    to.bytes(field, entry);
  }
}

template <class Visit>
void each_object(const json::object& of, std::string_view name, Visit visit) {
  const auto* list = member(of, name);
  if (!list || !list->is_array()) return;
  for (const auto& element : list->get_array())
    if (element.is_object()) visit(element.get_object());
}

void write_events(Writer& to, const json::object& span) {
  each_object(span, "events", [&](const json::object& event) {
    std::string out;
    Writer fields(out);
    fields.fixed64(1, nanoseconds(event, "time_unix_nano"));
    fields.bytes(2, text_of(event, "name"));
    write_attributes(fields, 3, event, false);
    to.bytes(11, out);
  });
}

bool is_hex(std::string_view text, std::size_t size) {
  return text.size() == size && text.find_first_not_of("0123456789abcdefABCDEF") == text.npos;
}

void write_links(Writer& to, const json::object& span) {
  each_object(span, "links", [&](const json::object& link) {
    auto trace_id = text_of(link, "trace_id");
    if (trace_id.starts_with("tr-")) trace_id.remove_prefix(3);
    const auto span_id = text_of(link, "span_id");
    if (!is_hex(trace_id, 32) || !is_hex(span_id, 16)) return;
    std::string out;
    Writer fields(out);
    fields.bytes(1, from_hex(trace_id));
    fields.bytes(2, from_hex(span_id));
    write_attributes(fields, 4, link, false);
    to.bytes(13, out);
  });
}

void write_status(Writer& to, const json::object& span) {
  const auto* status = member(span, "status");
  if (!status || !status->is_object()) return;
  auto code = text_of(status->get_object(), "code");
  if (code.starts_with("STATUS_CODE_")) code.remove_prefix(12);
  std::string out;
  Writer fields(out);
  if (const auto message = text_of(status->get_object(), "message"); !message.empty()) fields.bytes(2, message);
  if (code == "OK" || code == "ERROR") fields.varint(3, code == "OK" ? 1 : 2);
  to.bytes(15, out);
}

std::int64_t milliseconds(std::uint64_t nanoseconds) { return static_cast<std::int64_t>(nanoseconds / 1'000'000); }

}  // namespace

std::optional<std::string> otlp_trace_id(std::string_view trace_id) {
  if (trace_id.size() != 35 || !trace_id.starts_with("tr-")) return {};
  trace_id.remove_prefix(3);
  if (trace_id.find_first_not_of("0123456789abcdef") != trace_id.npos) return {};
  if (trace_id.find_first_not_of('0') == trace_id.npos) return {};
  return from_hex(trace_id);
}

std::optional<OtlpSpan> otlp_span(std::string_view text, std::string_view otlp_trace_id) {
  boost::system::error_code ec;
  const auto parsed = parse_stored_json(text, ec);
  if (ec || !parsed.is_object()) return {};
  const auto& span = parsed.get_object();
  const auto id = hex_id(text_of(span, "span_id"));
  const auto parent = hex_id(text_of(span, "parent_span_id"));
  if (id.size() != 16) return {};
  const auto start = nanoseconds(span, "start_time_unix_nano"), end = nanoseconds(span, "end_time_unix_nano");
  std::string out, name(text_of(span, "name"));
  std::erase(name, '\0');  // no database takes it
  Writer to(out);
  to.bytes(1, otlp_trace_id);
  to.bytes(2, from_hex(id));
  if (parent.size() == 16) to.bytes(4, from_hex(parent));
  to.bytes(5, name);
  to.fixed64(7, start);
  if (end) to.fixed64(8, end);
  write_attributes(to, 9, span, true);
  write_events(to, span);
  write_links(to, span);
  write_status(to, span);
  OtlpSpan made{.start_ms = milliseconds(start), .end_ms = milliseconds(end)};
  Writer(made.field).bytes(2, out);
  return made;
}

std::string otlp_request(std::string_view fields) {
  std::string resource, out;
  Writer(resource).bytes(2, fields);
  Writer(out).bytes(1, resource);
  return out;
}

}  // namespace assay::mlflow
