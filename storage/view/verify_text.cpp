#include <fmt/format.h>

#include "storage/records/json_writer.hpp"
#include "storage/view/verify.hpp"

namespace assay {

std::string to_text(const Verification& found) {
  std::string out;
  for (const auto& [p, n] : found.feedback) {
    out += fmt::format("feedback/{}: {} logged = {} forwarded + {} duplicate + {} parked + {} dead + {} in flight", p,
                       n.logged, n.forwarded, n.duplicate, n.parked, n.dead, n.in_flight);
    if (n.forgotten) out += fmt::format(" + {} older than assay.assessments", n.forgotten);
    out += fmt::format("; {} unaccounted\n", n.unaccounted);
  }
  for (const auto& [p, n] : found.assessments)
    if (!found.with_store)
      out += fmt::format("assessments/{}: {} logged\n", p, n.logged);
    else
      out += fmt::format("assessments/{}: {} logged = {} stored + {} held + {} dead + {} in flight; {} unaccounted\n",
                         p, n.logged, n.stored, n.held, n.dead, n.in_flight, n.unaccounted);
  if (found.forwarded_too_often) out += fmt::format("forwarded too often: {}\n", found.forwarded_too_often);
  if (found.stored_twice) out += fmt::format("rows that no index names: {}\n", found.stored_twice);
  for (const auto& example : found.examples) out += "  " + example + "\n";
  return out + fmt::format("unaccounted: {}\n", found.unaccounted());
}

std::string to_json(const Verification& found) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("feedback").begin_array();
  for (const auto& [p, n] : found.feedback) {
    json.begin_object().field("partition", p).field("logged", n.logged).field("forwarded", n.forwarded);
    json.field("duplicate", n.duplicate).field("parked", n.parked).field("dead", n.dead);
    json.field("in_flight", n.in_flight).field("forgotten", n.forgotten);
    json.field("unaccounted", n.unaccounted).end_object();
  }
  json.end_array().key("assessments").begin_array();
  for (const auto& [p, n] : found.assessments) {
    json.begin_object().field("partition", p).field("logged", n.logged);
    if (!found.with_store) {
      json.end_object();
      continue;
    }
    json.field("stored", n.stored).field("held", n.held).field("dead", n.dead).field("in_flight", n.in_flight);
    json.field("unaccounted", n.unaccounted).end_object();
  }
  json.end_array().field("forwarded_too_often", found.forwarded_too_often).field("stored_twice", found.stored_twice);
  json.key("examples").begin_array();
  for (const auto& example : found.examples) json.value(example);
  json.end_array().field("unaccounted", found.unaccounted()).end_object();
  return out;
}

}  // namespace assay
