// That /openapi.json says of the doors for feedback what they do.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <regex>

#include "ingest/feedback/assessment_body.hpp"
#include "ingest/feedback/changes_body.hpp"
#include "ingest/openapi/openapi_route.hpp"
#include "storage/records/exact_json.hpp"

namespace assay {
namespace {

namespace json = boost::json;

const json::object& described() {
  static const json::object all = openapi_fragments();
  return all;
}

// "#/components/schemas/Id".
const json::object& resolve(const json::object& given) {
  const auto* ref = given.if_contains("$ref");
  if (!ref) return given;
  auto path = std::string_view(ref->as_string());
  path.remove_prefix(std::string_view("#/components/").size());
  const auto slash = path.find('/');
  return described()
      .at("components")
      .as_object()
      .at(path.substr(0, slash))
      .as_object()
      .at(path.substr(slash + 1))
      .as_object();
}

bool fits(const json::object& schema, const json::value& value);

bool is_of(std::string_view type, const json::value& value) {
  return type == "object"    ? value.is_object()
         : type == "array"   ? value.is_array()
         : type == "string"  ? value.is_string()
         : type == "number"  ? value.is_number()
         : type == "boolean" ? value.is_bool()
                             : value.is_null();
}
bool is_any_of(const json::value& types, const json::value& value) {
  if (types.is_string()) return is_of(types.as_string(), value);
  return std::any_of(types.as_array().begin(), types.as_array().end(),
                     [&](const json::value& one) { return is_of(one.as_string(), value); });
}

bool fits_text(const json::object& schema, std::string_view text) {
  if (const auto* least = schema.if_contains("minLength"); least && text.size() < least->to_number<std::size_t>())
    return false;
  if (const auto* most = schema.if_contains("maxLength"); most && text.size() > most->to_number<std::size_t>())
    return false;
  const auto* pattern = schema.if_contains("pattern");
  return !pattern || std::regex_search(std::string(text), std::regex(pattern->as_string().c_str()));
}

bool fits_object(const json::object& schema, const json::object& object) {
  if (const auto* required = schema.if_contains("required"))
    for (const auto& name : required->as_array())
      if (!object.contains(name.as_string())) return false;
  const auto* names = schema.if_contains("propertyNames");
  const auto* others = schema.if_contains("additionalProperties");
  const auto* properties = schema.if_contains("properties");
  for (const auto& [name, value] : object) {
    if (names && !fits(names->as_object(), json::value(name))) return false;
    if (const auto* known = properties ? properties->as_object().if_contains(name) : nullptr) {
      if (!fits(known->as_object(), value)) return false;
    } else if (others && (others->is_bool() ? !others->as_bool() : !fits(others->as_object(), value))) {
      return false;
    }
  }
  return true;
}

// As much of JSON Schema as the descriptions of bodies use.
bool fits(const json::object& given, const json::value& value) {
  const auto& schema = resolve(given);
  if (const auto* type = schema.if_contains("type"); type && !is_any_of(*type, value)) return false;
  if (value.is_string() && !fits_text(schema, value.as_string())) return false;
  if (value.is_object() && !fits_object(schema, value.as_object())) return false;
  if (const auto* no = schema.if_contains("not"); no && fits(no->as_object(), value)) return false;
  const auto* any = schema.if_contains("anyOf");
  return !any || std::any_of(any->as_array().begin(), any->as_array().end(),
                             [&](const json::value& one) { return fits(one.as_object(), value); });
}

bool fits(std::string_view schema, std::string_view body) {
  boost::system::error_code ec;
  const auto value = parse_json(body, ec);
  EXPECT_FALSE(ec) << body;
  return fits(described().at("components").as_object().at("schemas").as_object().at(schema).as_object(), value);
}

TEST(FeedbackDescribed, ABodyOfAChangeFitsTheDescriptionWhereTheDoorTakesIt) {
  for (const std::string_view body : {R"({"is_correct":true})",
                                      R"({"is_correct":true,"comment":"c"})",
                                      R"({"is_correct":true,"rationale":"r"})",
                                      R"({"value":1})",
                                      R"({"value":1,"rationale":null})",
                                      R"({"value":1,"comment":"c"})",
                                      R"({"rationale":null})",
                                      R"({"comment":"c","metadata":null})",
                                      R"({"metadata":{}})",
                                      R"({"metadata":{"a":"b"}})",
                                      R"({"metadata":{"a":"b"},"comment":"c","value":[1]})",
                                      R"({})",
                                      R"([])",
                                      R"({"metadata":null})",
                                      R"({"value":null})",
                                      R"({"value":null,"comment":"c"})",
                                      R"({"is_correct":true,"value":true})",
                                      R"({"rationale":"r","comment":"c"})",
                                      R"({"rationale":null,"comment":null,"value":1})",
                                      R"({"score":1})",
                                      R"({"value":1,"name":"n"})",
                                      R"({"is_correct":1})",
                                      R"({"comment":1})",
                                      R"({"comment":"\u0000"})",
                                      R"({"metadata":{"a":"\u0000"}})",
                                      R"({"metadata":{"\u0000":"a"}})",
                                      R"({"metadata":{"":"a"}})",
                                      R"({"metadata":{"a":1}})",
                                      R"({"value":"\u0000"})"}) {
    const auto read = parse_changes_body(body, false);
    EXPECT_EQ(fits("ChangesBody", body), bool(read)) << body << (read ? "" : ": " + read.error().reason);
  }
}

TEST(FeedbackDescribed, ABodyOfACreateToo) {
  for (const std::string_view body :
       {R"({"is_correct":true})", R"({"is_correct":true,"comment":null})", R"({"is_correct":true,"rationale":"r"})",
        R"({"is_correct":true,"metadata":{}})", R"({"name":"n","value":1})", R"({"name":"n","value":null})",
        R"({"name":"","value":1})", R"({"name":"n","value":1,"rationale":"r","metadata":null,"span_id":null})",
        R"({"name":"n","value":1,"comment":"c"})", R"({"name":"n","value":1,"span_id":""})", R"({"name":"n"})",
        R"({"name":"n","value":1,"source":null})", R"({"name":"n","value":1,"source":{}})", R"({})", R"(1)"})
    EXPECT_EQ(fits("FeedbackBody", body), bool(parse_assessment_body(body, false))) << body;
}

// read_feedback_request() judges it at each of them.
TEST(FeedbackDescribed, TheHeaderThatSaysWhoIsAParameterOfEachDoorForFeedback) {
  const auto judged = [](const json::object& of) {
    const auto* parameters = of.if_contains("parameters");
    if (!parameters) return false;
    for (const auto& one : parameters->as_array()) {
      const auto& parameter = resolve(one.as_object());
      if (parameter.at("name") != "X-User-ID") continue;
      const auto& schema = parameter.at("schema").as_object();
      return fits(schema, json::value("ana")) && !fits(schema, json::value("")) &&
             !fits(schema, json::value(std::string(251, 'a')));
    }
    return false;
  };
  for (const auto& [path, methods] : described().at("paths").as_object()) {
    if (!path.starts_with("/feedback") && !path.starts_with("/detailed-feedback")) continue;
    for (const auto& [method, operation] : methods.as_object())
      if (method != "parameters") {
        EXPECT_TRUE(judged(methods.as_object()) || judged(operation.as_object())) << method << " " << path;
      }
  }
}

}  // namespace
}  // namespace assay
