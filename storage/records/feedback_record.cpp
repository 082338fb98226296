#include "storage/records/feedback_record.hpp"

#include "storage/records/fields.hpp"

namespace assay {
std::string_view name_of(Op op) {
  switch (op) {
    case Op::create:
      return "create";
    case Op::update:
      return "update";
    case Op::erase:
      return "delete";
  }
  return "unknown";
}

FeedbackRecord replay_of(FeedbackRecord dead, Instant now) {
  for (auto& item : dead.items) {
    const auto& id = dead.op == Op::create ? item.assessment_id : item.record_id;
    const auto mark = dead.op != Op::create && dead.attempt > 0 ? id.rfind('#') : id.npos;
    item.record_id = record_id_of(std::string_view(id).substr(0, mark), dead.attempt + 1);
  }
  ++dead.attempt;
  dead.replayed_at = now;
  return dead;
}

Record to_record(const FeedbackRecord& feedback) {
  Record record{.stream = Stream::feedback,
                .key = feedback.target.id,
                .value = std::string(),
                .accepted_at = feedback.logged_at()};
  std::string& out = *record.value;
  out.reserve(256 + feedback.items.size() * 384);
  JsonWriter json(out);
  json.begin_object().field("v", 1).field("op", name_of(feedback.op));
  if (feedback.op != Op::create) json.field("record_id", feedback.items.front().record_id);
  json.field("accepted_at", format_time(feedback.accepted_at)).field(feedback.target.field(), feedback.target.id);
  json.field("body_hash", hash_text(feedback.body_hash));
  if (feedback.idempotent) json.field("idempotent", true);
  if (feedback.attempt > 0) json.field("attempt", feedback.attempt);
  if (feedback.replayed_at > Instant{}) json.field("replayed_at", format_time(feedback.replayed_at));
  json.key("items").begin_array();
  for (const auto& item : feedback.items) json.raw(item.json);
  json.end_array().end_object();
  if (feedback.idempotent || feedback.attempt > 0)
    for (const auto& item : feedback.items) record.identities.push_back({item.record_id, feedback.body_hash});
  return record;
}

Result<FeedbackRecord, Malformed> parse_feedback_record(std::string_view value) {
  thread_local JsonReader reader;
  auto object = reader.parse(value);
  if (!object) return Malformed{object.error()};
  FeedbackRecord out;
  std::string record_id;
  bool has_op = false, has_time = false;
  FieldProblem problem;
  const bool ok = for_each_field(*object, [&](std::string_view name, simdjson::ondemand::value v) {
    if (name == "v") return read_version(v, problem);
    if (name == "op") return has_op = read_op(v, out.op, problem);
    if (name == "accepted_at") return has_time = read_time(name, v, out.accepted_at, problem);
    if (name == "client_request_id" || name == "trace_id") {
      if (!out.target.id.empty()) return problem(name, "is a second target");
      out.target.kind = name == "trace_id" ? Target::Kind::trace_id : Target::Kind::client_request_id;
      return read_text(name, v, out.target.id, problem);
    }
    if (name == "body_hash") return read_hash(name, v, out.body_hash, problem);
    if (name == "record_id") return read_text(name, v, record_id, problem);
    if (name == "idempotent") return !v.get_bool().get(out.idempotent) || problem(name, "is not a boolean");
    if (name == "attempt") return read_attempt(v, out.attempt, problem);
    if (name == "replayed_at") return read_time(name, v, out.replayed_at, problem);
    if (name == "items") {
      simdjson::ondemand::array items;
      if (v.get_array().get(items)) return problem(name, "is not a list");
      for (auto element : items) {
        simdjson::ondemand::object item;
        if (element.get_object().get(item)) return problem(name, "holds what is not an object");
        if (!read_item(item, out.items.emplace_back(), problem)) return false;
        if (std::ssize(out.items) > items_per_record_max) return problem(name, "holds too many");
      }
    }
    return true;
  });
  if (!ok) return problem.malformed();
  if (!has_op) return Malformed{"op is missing"};
  if (!has_time) return Malformed{"accepted_at is missing"};
  if (out.target.id.empty()) return Malformed{"client_request_id or trace_id is missing"};
  if (out.items.empty()) return Malformed{"items is missing or empty"};
  if (out.op != Op::create && record_id.empty()) return Malformed{"record_id is missing"};
  for (auto& item : out.items)
    item.record_id = out.op == Op::create ? record_id_of(item.assessment_id, out.attempt) : record_id_of(record_id, 0);
  return out;
}

}  // namespace assay
