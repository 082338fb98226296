// Bodies of POST and PATCH /feedback: what is accepted becomes a record that reads back the same; a refusal can be
// said.
#include <simdjson.h>

#include "ingest/feedback/changes_body.hpp"
#include "ingest/feedback/new_feedback.hpp"
#include "tests/fuzz/target.hpp"

namespace assay::fuzz {
namespace {

void must_be_sayable(const Rejection& rejection) {
  must(rejection.status >= 400 && rejection.status < 500, "bad input is 4xx");
  must(!rejection.reason.empty(), "a refusal has a reason");
  must(simdjson::validate_utf8(rejection.field) && simdjson::validate_utf8(rejection.reason), "a refusal is UTF-8");
}

}  // namespace

void one(std::string_view bytes) {
  const Target target{Target::Kind::trace_id, "tr-1"};
  const std::optional<std::string> key = "key";
  const auto now = *parse_time("2026-11-23T15:57:31.547Z");
  if (const auto body = parse_assessment_body(bytes, false); !body) {
    must_be_sayable(body.error());
  } else {
    const FeedbackSource source{.door = "feedback", .target = target, .key = key, .user = "ana", .now = now};
    const auto feedback = new_feedback(source, {&*body, 1});
    const auto record = to_record(feedback);
    const auto again = parse_feedback_record(*record.value);
    must(again.has_value(), "what is accepted reads back");
    must(*to_record(*again).value == *record.value, "and is the same");
  }
  if (const auto changes = parse_changes_body(bytes, false); !changes) must_be_sayable(changes.error());
}

}  // namespace assay::fuzz
