#include <fmt/format.h>

#include "storage/records/json_writer.hpp"
#include "storage/store/verify.hpp"

namespace assay {

std::string to_text(const Verification& found) {
  std::string out;
  for (const auto& [p, n] : found.feedback)
    out += fmt::format(
        "feedback/{}: {} logged = {} forwarded + {} duplicate + {} parked + {} dead + {} in flight; {} unaccounted\n",
        p, n.logged, n.forwarded, n.duplicate, n.parked, n.dead, n.in_flight, n.unaccounted);
  for (const auto& [p, n] : found.assessments)
    out += fmt::format("assessments/{}: {} logged = {} stored + {} held + {} dead + {} in flight; {} unaccounted\n", p,
                       n.logged, n.stored, n.held, n.dead, n.in_flight, n.unaccounted);
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
    json.field("in_flight", n.in_flight).field("unaccounted", n.unaccounted).end_object();
  }
  json.end_array().key("assessments").begin_array();
  for (const auto& [p, n] : found.assessments) {
    json.begin_object().field("partition", p).field("logged", n.logged).field("stored", n.stored);
    json.field("held", n.held).field("dead", n.dead).field("in_flight", n.in_flight);
    json.field("unaccounted", n.unaccounted).end_object();
  }
  json.end_array().field("forwarded_too_often", found.forwarded_too_often).field("stored_twice", found.stored_twice);
  json.key("examples").begin_array();
  for (const auto& example : found.examples) json.value(example);
  json.end_array().field("unaccounted", found.unaccounted()).end_object();
  return out;
}

}  // namespace assay
