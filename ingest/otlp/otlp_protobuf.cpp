#include "ingest/otlp/otlp_protobuf.hpp"

#include <simdjson.h>

#include <boost/json/array.hpp>

#include "ingest/otlp/wire.hpp"
#include "ops/runtime/base64.hpp"
#include "storage/records/exact_json.hpp"

namespace assay {
namespace {

namespace json = boost::json;
using wire::Field;
using wire::Type;

constexpr int depth_max = 48;
static_assert(depth_max + 8 < stored_depth_max);  // list, span, events, event, attributes, and an empty value

// OTLP's strings are UTF-8; what is not can't be kept as JSON.
bool text(const Field& field, std::string& out) {
  if (field.type != Type::bytes || !simdjson::validate_utf8(field.bytes.data(), field.bytes.size())) return false;
  out = field.bytes;
  return true;
}

bool bytes(const Field& field, std::string& out) {
  if (field.type != Type::bytes) return false;
  out = field.bytes;
  return true;
}

bool read_any(std::string_view message, json::value& out, int depth);

bool read_key_value(std::string_view message, json::object& into, int depth) {
  std::string key;
  json::value value;
  wire::Reader reader(message);
  for (Field field; reader.next(field);) {
    if (field.number == 1 && !text(field, key)) return false;
    if (field.number == 2 && (field.type != Type::bytes || !read_any(field.bytes, value, depth))) return false;
  }
  into[key] = std::move(value);
  return reader.ok();
}

bool read_any(std::string_view message, json::value& out, int depth) {
  if (depth > depth_max) return false;
  wire::Reader reader(message);
  for (Field field; reader.next(field);) {
    switch (field.number) {
      case 1: {
        std::string value;
        if (!text(field, value)) return false;
        out = value;
        break;
      }
      case 2:
        out = field.value != 0;
        break;
      case 3:
        out = static_cast<std::int64_t>(field.value);
        break;
      case 4:
        out = field.real();
        break;
      case 5: {
        if (field.type != Type::bytes) return false;
        json::array list;
        wire::Reader values(field.bytes);
        for (Field element; values.next(element);)
          if (element.number == 1) {
            json::value value;
            if (element.type != Type::bytes || !read_any(element.bytes, value, depth + 1)) return false;
            list.push_back(std::move(value));
          }
        if (!values.ok()) return false;
        out = std::move(list);
        break;
      }
      case 6: {
        if (field.type != Type::bytes) return false;
        json::object map;
        wire::Reader values(field.bytes);
        for (Field element; values.next(element);)
          if (element.number == 1 && (element.type != Type::bytes || !read_key_value(element.bytes, map, depth + 1)))
            return false;
        if (!values.ok()) return false;
        out = std::move(map);
        break;
      }
      case 7: {
        std::string value;
        if (!bytes(field, value)) return false;
        out = to_base64(value);
        break;
      }
      default:
        break;
    }
  }
  return reader.ok();
}

bool read_event(std::string_view message, OtlpEvent& event) {
  wire::Reader reader(message);
  for (Field field; reader.next(field);) {
    if (field.number == 1) event.time = field.value;
    if (field.number == 2 && !text(field, event.name)) return false;
    if (field.number == 3 && (field.type != Type::bytes || !read_key_value(field.bytes, event.attributes, 0)))
      return false;
  }
  return reader.ok();
}

bool read_link(std::string_view message, OtlpLink& link) {
  wire::Reader reader(message);
  for (Field field; reader.next(field);) {
    if (field.number == 1 && !bytes(field, link.trace_id)) return false;
    if (field.number == 2 && !bytes(field, link.span_id)) return false;
    if (field.number == 4 && (field.type != Type::bytes || !read_key_value(field.bytes, link.attributes, 0)))
      return false;
  }
  return reader.ok();
}

bool read_span(std::string_view message, OtlpSpan& span, OtlpRoom& room) {
  wire::Reader reader(message);
  for (Field field; reader.next(field);) {
    bool good = true;
    switch (field.number) {
      case 1:
        good = bytes(field, span.trace_id);
        break;
      case 2:
        good = bytes(field, span.span_id);
        break;
      case 4:
        good = bytes(field, span.parent_id);
        break;
      case 5:
        good = text(field, span.name);
        break;
      case 7:
        span.start = field.value;
        break;
      case 8:
        span.end = field.value;
        break;
      case 9:
        good = field.type == Type::bytes && read_key_value(field.bytes, span.attributes, 0);
        break;
      case 11:
        good = field.type == Type::bytes && room.take_part() && read_event(field.bytes, span.events.emplace_back());
        break;
      case 13:
        good = field.type == Type::bytes && room.take_part() && read_link(field.bytes, span.links.emplace_back());
        break;
      case 15: {
        good = field.type == Type::bytes;
        wire::Reader status(field.bytes);
        for (Field part; good && status.next(part);) {
          if (part.number == 2) good = text(part, span.status_message);
          if (part.number == 3) span.status = static_cast<int>(part.value);
        }
        good = good && status.ok();
        break;
      }
      default:
        break;
    }
    if (!good) return false;
  }
  return reader.ok();
}

bool read_resource_spans(std::string_view message, OtlpResource& resource, OtlpRoom& room) {
  wire::Reader reader(message);
  for (Field field; reader.next(field);) {
    if (field.type != Type::bytes) continue;
    if (field.number == 1) {
      wire::Reader attributes(field.bytes);
      for (Field part; attributes.next(part);)
        if (part.number == 1 && (part.type != Type::bytes || !read_key_value(part.bytes, resource.attributes, 0)))
          return false;
      if (!attributes.ok()) return false;
    } else if (field.number == 2) {
      wire::Reader scope(field.bytes);
      for (Field part; scope.next(part);) {
        if (part.number != 2) continue;
        if (part.type != Type::bytes || !room.take_span() ||
            !read_span(part.bytes, resource.spans.emplace_back(), room))
          return false;
      }
      if (!scope.ok()) return false;
    }
  }
  return reader.ok();
}

}  // namespace

std::optional<std::vector<OtlpResource>> read_otlp_protobuf(std::string_view message, OtlpRoom& room) {
  std::vector<OtlpResource> out;
  wire::Reader reader(message);
  for (Field field; reader.next(field);)
    if (field.number == 1 &&
        (field.type != Type::bytes || !room.take_part() || !read_resource_spans(field.bytes, out.emplace_back(), room)))
      return {};
  if (!reader.ok()) return {};
  return out;
}

}  // namespace assay
