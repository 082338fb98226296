#include "storage/records/item_shape.hpp"

#include <simdjson.h>

#include <algorithm>
#include <array>

#include "ops/runtime/clock.hpp"

namespace assay {
namespace {

using simdjson::dom::element;
using Kind = simdjson::dom::element_type;

constexpr std::array<std::string_view, 5> source_types = {"HUMAN", "LLM_JUDGE", "AI_JUDGE", "CODE",
                                                          "SOURCE_TYPE_UNSPECIFIED"};

bool is_text(element value) { return value.type() == Kind::STRING; }

// As protobuf reads one: of the years 1 to 9999, in capitals.
bool is_time(element value) {
  std::string_view text;
  if (value.get_string().get(text) || text.starts_with("0000") || text.find_first_of("tz") != text.npos) return false;
  return parse_time(text).has_value();
}

// A change takes an entry away by a null.
bool holds_texts(element value, bool or_nulls) {
  simdjson::dom::object members;
  if (value.get_object().get(members)) return false;
  for (const auto member : members)
    if (!is_text(member.value) && !(or_nulls && member.value.is_null())) return false;
  return true;
}

bool is_source(element value) {
  simdjson::dom::object source;
  if (value.get_object().get(source)) return false;
  element id;
  if (!source["source_id"].get(id) && !is_text(id) && !id.is_null()) return false;
  std::string_view type;
  if (source["source_type"].get_string().get(type)) return false;
  return std::find(source_types.begin(), source_types.end(), type) != source_types.end();
}

bool says_something(element value) {
  simdjson::dom::object said;
  if (value.get_object().get(said)) return false;
  element serialized;
  if (!said["serialized_value"].get(serialized)) return holds_texts(serialized, false);
  return !said["value"].error() || !said["error"].error();
}

// What is wrong with a field that is there; empty: nothing.
std::string_view wrong(std::string_view name, element value, Op op) {
  if (name == "assessment_name" || name == "rationale" || name == "span_id" || name == "overrides")
    return is_text(value) ? "" : "is not a string";
  if (name == "create_time" || name == "last_update_time") return is_time(value) ? "" : "is not a time";
  if (name == "metadata") return holds_texts(value, op != Op::create) ? "" : "is not an object of strings";
  if (name == "source") return is_source(value) ? "" : "is not {source_type, source_id?} with a type that MLflow knows";
  if (name == "feedback" || name == "expectation") return says_something(value) ? "" : "is not an object with a value";
  if (name == "valid") return value.is_bool() ? "" : "is not a boolean";
  if (name == "trace_id") return "stands beside the items, and in none of them";
  return "";
}

}  // namespace

std::optional<std::string> problem_with_item(std::string_view json, Op op) {
  thread_local simdjson::dom::parser parser;
  simdjson::dom::object item;
  if (parser.parse(json.data(), json.size()).get_object().get(item)) return "item is not valid JSON";
  if (op == Op::erase && item["trace_id"].error()) return {};
  bool named = false;
  int said = 0;
  for (const auto field : item) {
    if (field.value.is_null()) continue;
    if (const auto what = wrong(field.key, field.value, op); !what.empty())
      return std::string(field.key) + " " + std::string(what);
    named |= field.key == "assessment_name";
    said += field.key == "feedback" || field.key == "expectation";
  }
  if (said > 1) return "feedback and expectation are both there";
  if (op == Op::create && !named) return "assessment_name is missing";
  if (op == Op::create && said == 0) return "feedback or expectation is missing";
  return {};
}

}  // namespace assay
