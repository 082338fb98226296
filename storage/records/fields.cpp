#include "storage/records/fields.hpp"

#include "ops/runtime/parse_number.hpp"
#include "storage/records/valid_json.hpp"

namespace assay {

std::string hash_text(std::uint64_t hash) {
  std::string digits(16, '0');
  for (std::size_t i = 16; i-- > 0; hash >>= 4) digits[i] = "0123456789abcdef"[hash & 15];
  return digits;
}

std::string record_id_of(std::string_view assessment_id, int attempt) {
  std::string id(assessment_id);
  if (attempt > 0) id += "#" + std::to_string(attempt);
  return id;
}

bool read_version(simdjson::ondemand::value v, FieldProblem& problem) {
  std::int64_t version;
  if (v.get_int64().get(version) || version != 1) return problem("v", "is not a version this program knows");
  return true;
}

bool read_op(simdjson::ondemand::value v, Op& op, FieldProblem& problem) {
  std::string_view text;
  if (v.get_string().get(text)) return problem("op", "is not a string");
  if (text == "create")
    op = Op::create;
  else if (text == "update")
    op = Op::update;
  else if (text == "delete")
    op = Op::erase;
  else
    return problem("op", "is not create, update or delete");
  return true;
}

bool read_time(std::string_view name, simdjson::ondemand::value v, Instant& at, FieldProblem& problem) {
  std::string_view text;
  if (v.get_string().get(text)) return problem(name, "is not a string");
  const auto time = parse_time(text);
  if (!time) return problem(name, "is not a time");
  at = *time;
  return true;
}

bool read_text(std::string_view name, simdjson::ondemand::value v, std::string& text, FieldProblem& problem) {
  std::string_view view;
  if (v.get_string().get(view) || view.empty()) return problem(name, "is not a string with something in it");
  text = view;
  return true;
}

bool read_hash(std::string_view name, simdjson::ondemand::value v, std::uint64_t& hash, FieldProblem& problem) {
  std::string_view hex;
  if (v.get_string().get(hex)) return problem(name, "is not a string");
  const auto number = parse_hex_number<std::uint64_t>(hex);
  if (!number) return problem(name, "is not a hash");
  hash = *number;
  return true;
}

bool read_attempt(simdjson::ondemand::value v, int& attempt, FieldProblem& problem) {
  std::int64_t number;
  if (v.get_int64().get(number) || number < 0 || number > 1'000'000) return problem("attempt", "is not a count");
  attempt = static_cast<int>(number);
  return true;
}

bool read_kept_item(simdjson::ondemand::object object, FeedbackItem& item, FieldProblem& problem) {
  std::string_view id, raw;
  if (object.find_field_unordered("assessment_id").get_string().get(id) || id.empty())
    return problem("item", "has no assessment_id");
  item.assessment_id = id;
  if (object.reset().error() || object.raw_json().get(raw)) return problem("item", "can't be read");
  item.json = raw;
  while (!item.json.empty() && item.json.back() != '}') item.json.pop_back();  // white space before the next token
  return true;
}

bool read_item(simdjson::ondemand::object object, FeedbackItem& item, FieldProblem& problem) {
  return read_kept_item(object, item, problem) && (is_json(item.json) || problem("item", "is not valid JSON"));
}

}  // namespace assay
