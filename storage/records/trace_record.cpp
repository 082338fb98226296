#include "storage/records/trace_record.hpp"

#include "storage/records/fields.hpp"

namespace assay {
namespace {

namespace dom = simdjson::dom;

bool is_there(dom::object fields, std::string_view name, dom::element& value) {
  return !fields[name].get(value) && !value.is_null();
}

// What nobody can place, in time or in an experiment, is poison here and not at each of those who read it.
bool is_sound(std::string_view info, FieldProblem& problem) {
  thread_local dom::parser parser;
  dom::object fields;
  dom::element value;
  std::string_view text;
  if (parser.parse(info.data(), info.size()).get_object().get(fields))
    return problem("trace_info", "is not valid JSON");
  for (const std::string_view name : {"request_time", "end_time"})
    if (is_there(fields, name, value) && (value.get_string().get(text) || !parse_time(text)))
      return problem("trace_info." + std::string(name), "is not a time");
  if (is_there(fields, "trace_location", value) &&
      value.at_pointer("/mlflow_experiment/experiment_id").get_string().get(text))
    return problem("trace_info.trace_location", "has no experiment_id");
  return true;
}

}  // namespace

Record to_record(const TraceRecord& trace) {
  Record record{
      .stream = Stream::traces, .key = trace.trace_id, .value = std::string(), .accepted_at = trace.accepted_at};
  JsonWriter json(*record.value);
  json.begin_object().field("v", 1).field("op", trace.deleted ? "delete" : "upsert");
  json.field("accepted_at", format_time(trace.accepted_at));
  if (trace.deleted) {
    json.field("trace_id", trace.trace_id);
  } else {
    json.raw_field("trace_info", trace.info);
    if (!trace.spans.empty()) json.raw_field("spans", trace.spans);
    if (trace.from_spans) json.field("from", "spans");
    if (trace.ends_by) json.field("ends_by", format_time(*trace.ends_by));
  }
  json.end_object();
  return record;
}

Result<TraceRecord, Malformed> parse_trace_record(std::string_view value) {
  JsonReader reader;
  auto object = reader.parse(value);
  if (!object) return Malformed{object.error()};
  TraceRecord out;
  FieldProblem problem;
  const bool ok = for_each_field(*object, [&](std::string_view name, simdjson::ondemand::value v) {
    std::string_view text;
    if (name == "v") return read_version(v, problem);
    if (name == "op") {
      if (v.get_string().get(text) || (text != "upsert" && text != "delete"))
        return problem(name, "is not upsert or delete");
      out.deleted = text == "delete";
    } else if (name == "accepted_at") {
      return read_time(name, v, out.accepted_at, problem);
    } else if (name == "from") {
      if (v.get_string().get(text) || text != "spans") return problem(name, "is not spans");
      out.from_spans = true;
    } else if (name == "ends_by") {
      return read_time(name, v, out.ends_by.emplace(), problem);
    } else if (name == "trace_id") {
      return read_text(name, v, out.trace_id, problem);
    } else if (name == "trace_info") {
      simdjson::ondemand::object info;
      if (v.get_object().get(info)) return problem(name, "is not an object");
      if (info.find_field_unordered("trace_id").get_string().get(text) || text.empty())
        return problem(name, "has no trace_id");
      out.trace_id = text;
      if (info.reset().error() || info.raw_json().get(text)) return problem(name, "is not valid JSON");
      if (!is_sound(text, problem)) return false;
      out.info = text;
    } else if (name == "spans") {
      simdjson::ondemand::array spans;
      if (v.get_array().get(spans) || spans.raw_json().get(text)) return problem(name, "is not a list");
      out.spans = text;
    }
    return true;
  });
  if (!ok) return problem.malformed();
  if (out.trace_id.empty()) return Malformed{"trace_id is missing"};
  if (!out.deleted && out.info.empty()) return Malformed{"trace_info is missing"};
  return out;
}

}  // namespace assay
