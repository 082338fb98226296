#include "storage/records/remains_record.hpp"

#include "storage/records/fields.hpp"

namespace assay {
namespace {

constexpr std::string_view key_prefix = "remains/";

bool read_letters(simdjson::ondemand::value v, std::vector<std::string>& letters, FieldProblem& problem) {
  simdjson::ondemand::array array;
  if (v.get_array().get(array)) return problem("letters", "is not an array");
  for (auto element : array) {
    simdjson::ondemand::value letter;
    if (element.get(letter)) return problem("letters", "can't be read");
    if (!read_text("letters", letter, letters.emplace_back(), problem)) return false;
  }
  return true;
}

}  // namespace

std::optional<std::string_view> remains_of(std::string_view key) {
  if (!key.starts_with(key_prefix)) return {};
  return key.substr(key_prefix.size());
}

std::string remains_value(const Remains& remains) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("v", 1).field("assessment_id", remains.assessment_id);
  json.field("until", format_time(remains.until));
  if (remains.taken_back) json.field("taken_back", true);
  if (!remains.letters.empty()) {
    json.key("letters").begin_array();
    for (const auto& id : remains.letters) json.value(id);
    json.end_array();
  }
  json.end_object();
  return out;
}

Record to_record(const Remains& remains, Partition partition) {
  Record record{.stream = Stream::parked,
                .key = std::string(key_prefix) + remains.assessment_id,
                .value = std::nullopt,
                .partition = partition};
  if (!remains.empty()) record.value = remains_value(remains);
  return record;
}

Result<Remains, Malformed> parse_remains_record(std::string_view value) {
  thread_local JsonReader reader;
  auto object = reader.parse(value);
  if (!object) return Malformed{object.error()};
  Remains out;
  FieldProblem problem;
  bool has_until = false;
  const bool ok = for_each_field(*object, [&](std::string_view name, simdjson::ondemand::value v) {
    if (name == "v") return read_version(v, problem);
    if (name == "assessment_id") return read_text(name, v, out.assessment_id, problem);
    if (name == "until") return has_until = read_time(name, v, out.until, problem);
    if (name == "taken_back") return !v.get_bool().get(out.taken_back) || problem(name, "is not a boolean");
    if (name == "letters") return read_letters(v, out.letters, problem);
    return true;
  });
  if (!ok) return problem.malformed();
  if (out.assessment_id.empty() || !has_until) return Malformed{"a field is missing"};
  return out;
}

}  // namespace assay
