#include "storage/records/parked_record.hpp"

#include <simdjson.h>

#include "storage/records/fields.hpp"

namespace assay {
namespace {

// A create that every sink takes: some refuse one without a name, or one that has no value, not even an empty one.
std::string create_without_words(const FeedbackItem& item) {
  simdjson::dom::parser parser;
  simdjson::dom::element said;
  const bool read = parser.parse(item.json).get(said) == simdjson::SUCCESS;
  std::string out;
  JsonWriter json(out);
  const auto keep = [&](std::string_view name, std::string_view pointer) {
    std::string_view text;
    if (read && said.at_pointer(pointer).get_string().get(text) == simdjson::SUCCESS) json.field(name, text);
  };
  json.begin_object().field("assessment_id", item.assessment_id);
  keep("assessment_name", "/assessment_name");
  json.key("source").begin_object();
  keep("source_type", "/source/source_type");
  json.end_object();
  keep("create_time", "/create_time");
  keep("last_update_time", "/last_update_time");
  json.key("feedback").begin_object().field("value", "").end_object().end_object();
  return out;
}

}  // namespace

void withdraw(ParkedRecord& parked) {
  parked.withdrawn = true;
  if (parked.op == Op::create) {
    parked.item.json = create_without_words(parked.item);
    return;
  }
  parked.item.json.clear();
  JsonWriter(parked.item.json).begin_object().field("assessment_id", parked.item.assessment_id).end_object();
}

std::string parked_value(const ParkedRecord& parked) {
  std::string out;
  out.reserve(parked.item.json.size() + 320);
  JsonWriter json(out);
  json.begin_object().field("v", 1).field("op", name_of(parked.op)).field("record_id", parked.item.record_id);
  json.field("accepted_at", format_time(parked.accepted_at)).field("expires_at", format_time(parked.expires_at));
  json.field("order", parked.order).field(parked.target.field(), parked.target.id);
  if (!parked.behind.empty()) json.field("behind", parked.behind);
  json.field("body_hash", hash_text(parked.body_hash));
  if (parked.idempotent) json.field("idempotent", true);
  if (parked.attempt > 0) json.field("attempt", parked.attempt);
  if (parked.withdrawn) json.field("withdrawn", true);
  json.raw_field("item", parked.item.json).end_object();
  return out;
}

Record to_record(const ParkedRecord& parked, Partition partition) {
  return {.stream = Stream::parked,
          .key = parked.item.record_id,
          .value = parked_value(parked),
          .partition = partition,
          .accepted_at = parked.accepted_at};
}

Record parked_tombstone(std::string_view record_id, Partition partition) {
  return {.stream = Stream::parked, .key = std::string(record_id), .value = std::nullopt, .partition = partition};
}

Result<ParkedRecord, Malformed> parse_parked_record(std::string_view value) {
  thread_local JsonReader reader;
  auto object = reader.parse(value);
  if (!object) return Malformed{object.error()};
  ParkedRecord out;
  FieldProblem problem;
  bool has_accepted = false, has_expiry = false;
  const bool ok = for_each_field(*object, [&](std::string_view name, simdjson::ondemand::value v) {
    if (name == "v") return read_version(v, problem);
    if (name == "op") return read_op(v, out.op, problem);
    if (name == "record_id") return read_text(name, v, out.item.record_id, problem);
    if (name == "accepted_at") return has_accepted = read_time(name, v, out.accepted_at, problem);
    if (name == "expires_at") return has_expiry = read_time(name, v, out.expires_at, problem);
    if (name == "order") return !v.get_int64().get(out.order) || problem(name, "is not a number");
    if (name == "client_request_id" || name == "trace_id") {
      out.target.kind = name == "trace_id" ? Target::Kind::trace_id : Target::Kind::client_request_id;
      return read_text(name, v, out.target.id, problem);
    }
    if (name == "behind") return read_text(name, v, out.behind, problem);
    if (name == "body_hash") return read_hash(name, v, out.body_hash, problem);
    if (name == "idempotent") return !v.get_bool().get(out.idempotent) || problem(name, "is not a boolean");
    if (name == "attempt") return read_attempt(v, out.attempt, problem);
    if (name == "withdrawn") return !v.get_bool().get(out.withdrawn) || problem(name, "is not a boolean");
    if (name == "item") {
      simdjson::ondemand::object item;
      if (v.get_object().get(item)) return problem(name, "is not an object");
      return read_kept_item(item, out.item, problem);
    }
    return true;
  });
  if (!ok) return problem.malformed();
  if (out.item.record_id.empty() || out.item.json.empty() || out.target.id.empty() || !has_accepted || !has_expiry)
    return Malformed{"a field is missing"};
  return out;
}

}  // namespace assay
