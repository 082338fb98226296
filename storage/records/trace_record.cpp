#include "storage/records/trace_record.hpp"

#include "storage/records/fields.hpp"
#include "storage/records/valid_json.hpp"

namespace assay {

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
      if (info.reset().error() || info.raw_json().get(text) || !is_json(text))
        return problem(name, "is not valid JSON");
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
