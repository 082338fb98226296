#include "ingest/http/json_body.hpp"

#include <boost/beast/core/string.hpp>

#include <new>
#include <string>

#include "ingest/http/body_limits.hpp"

namespace assay {
namespace {

namespace dom = simdjson::dom;

// One a thread; refuses what is nested deeper than the limit.
dom::parser& parser() {
  thread_local dom::parser instance = [] {
    dom::parser fresh;
    if (fresh.allocate(64u << 10, BodyLimits::depth)) throw std::bad_alloc();
    return fresh;
  }();
  return instance;
}

// The field whose number no parser takes; "body" where it lies deeper.
std::string field_of_bad_number(std::string_view json) {
  const simdjson::padded_string padded(json);
  simdjson::ondemand::parser parser;
  simdjson::ondemand::document document;
  simdjson::ondemand::object object;
  if (parser.iterate(padded).get(document) || document.get_object().get(object)) return "body";
  for (auto field : object) {
    std::string_view name;
    simdjson::ondemand::number number;
    simdjson::ondemand::json_type type;
    if (field.unescaped_key().get(name) || field.value().type().get(type)) break;
    if (type == simdjson::ondemand::json_type::number && field.value().get_number().get(number))
      return std::string(name.substr(0, BodyLimits::name_bytes));
  }
  return "body";
}

}  // namespace

using boost::beast::iequals;

std::optional<Rejection> problem_with_form(const Request& request) {
  const auto coding = request.header("Content-Encoding").value_or("");
  if (!coding.empty() && !iequals(coding, "identity") && !iequals(coding, "utf-8"))
    return Rejection{415, "Content-Encoding", "JSON is needed as it is, not packed"};
  auto type = request.header("Content-Type").value_or("");
  type = type.substr(0, type.find_first_of("; "));
  const bool is_form = iequals(type, "application/x-www-form-urlencoded");
  if (!is_form && !iequals(type.substr(0, 10), "multipart/")) return {};
  // curl calls so whatever it is given.
  const auto first = request.body.find_first_not_of(" \t\r\n");
  if (first == request.body.npos || request.body[first] == '{' || request.body[first] == '[') return {};
  return Rejection{415, "Content-Type", is_form ? "JSON is needed, not a form" : "JSON is needed, not multipart"};
}

Result<dom::element, Rejection> parse_json_body(std::string_view json, bool padded) {
  dom::element element;
  auto& p = parser();
  if (p.capacity() < json.size() && p.allocate(json.size(), BodyLimits::depth))
    return Rejection{413, "body", "it is too large"};
  if (json.empty()) return Rejection{400, "body", "it is empty, but JSON is needed"};
  const auto error = p.parse(json.data(), json.size(), !padded).get(element);
  if (!error) return element;
  switch (error) {
    case simdjson::EMPTY:  // blanks
      return Rejection{400, "body", "it is empty, but JSON is needed"};
    case simdjson::DEPTH_ERROR:
      return Rejection{400, "body", "it is nested deeper than " + std::to_string(BodyLimits::depth) + " levels"};
    case simdjson::NUMBER_ERROR:
      return Rejection{400, field_of_bad_number(json), "a number in it is malformed or too large"};
    case simdjson::UTF8_ERROR:
      return Rejection{400, "body", "it is not UTF-8"};
    default:
      return Rejection{400, "body", std::string("it is not JSON: ") + simdjson::error_message(error)};
  }
}

Rejection why_no_object(std::string_view json) {
  const auto element = parse_json_body(json, false);
  if (!element) return element.error();
  if (!element->is_object()) return Rejection{422, "body", "it is not an object"};
  return Rejection{400, "body", "it is not JSON"};
}

Result<dom::array, Rejection> parse_list(std::string_view json, bool padded) {
  const auto element = parse_json_body(json, padded);
  if (!element) return element.error();
  dom::array list;
  if (element->get_array().get(list)) return Rejection{422, "body", "it is not a list"};
  return list;
}

}  // namespace assay
