#include "storage/records/assessment_record.hpp"

#include "storage/records/fields.hpp"

namespace assay {

Record forward(const FeedbackItem& item, Op op, const Target& target, Instant accepted_at, std::string_view trace_id,
               bool withdrawn) {
  Record record{
      .stream = Stream::assessments, .key = std::string(trace_id), .value = std::string(), .accepted_at = accepted_at};
  record.headers.push_back({"assessment_id", item.assessment_id});
  std::string& out = *record.value;
  out.reserve(item.json.size() + 192);
  JsonWriter json(out);
  json.begin_object().field("v", 1).field("op", name_of(op));
  // The item is one object: its fields follow the trace_id.
  json.key("assessment").raw(R"({"trace_id":)");
  append_json_string(out, trace_id);
  const auto fields = std::string_view(item.json).substr(1);
  if (fields.find_first_not_of(" \t\r\n") != fields.npos && fields[fields.find_first_not_of(" \t\r\n")] != '}')
    out += ',';
  out += fields;
  if (target.kind == Target::Kind::client_request_id) json.field("client_request_id", target.id);
  if (item.record_id != item.assessment_id) json.field("record_id", item.record_id);
  if (withdrawn) json.field("withdrawn", true);
  json.field("accepted_at", format_time(accepted_at)).end_object();
  return record;
}

Result<AssessmentRecord, Malformed> parse_assessment_record(std::string_view value) {
  thread_local JsonReader reader;
  auto object = reader.parse(value);
  if (!object) return Malformed{object.error()};
  AssessmentRecord out;
  FieldProblem problem;
  bool has_op = false, has_time = false;
  const bool ok = for_each_field(*object, [&](std::string_view name, simdjson::ondemand::value v) {
    if (name == "v") return read_version(v, problem);
    if (name == "op") return has_op = read_op(v, out.op, problem);
    if (name == "accepted_at") return has_time = read_time(name, v, out.accepted_at, problem);
    if (name == "client_request_id") return read_text(name, v, out.client_request_id, problem);
    if (name == "record_id") return read_text(name, v, out.record_id, problem);
    if (name == "assessment") {
      FeedbackItem item;
      simdjson::ondemand::object fields;
      std::string_view trace_id;
      if (v.get_object().get(fields)) return problem(name, "is not an object");
      if (fields.find_field_unordered("trace_id").get_string().get(trace_id) || trace_id.empty())
        return problem(name, "has no trace_id");
      out.trace_id = trace_id;
      if (fields.reset().error() || !read_item(fields, item, problem)) return false;
      out.assessment_id = std::move(item.assessment_id);
      out.json = std::move(item.json);
    }
    return true;
  });
  if (!ok) return problem.malformed();
  if (!has_op) return Malformed{"op is missing"};
  if (out.json.empty()) return Malformed{"assessment is missing"};
  if (!has_time) return Malformed{"accepted_at is missing"};
  if (out.record_id.empty()) out.record_id = out.assessment_id;
  return out;
}

}  // namespace assay
