#pragma once
// What the resolver is given in its tests, and what it leaves.
#include <map>

#include "workers/resolver.hpp"

namespace assay {

inline const Instant t0{std::chrono::milliseconds(1'700'000'000'000)};
inline const ResolvePolicy policy{.park_max = std::chrono::hours(24), .dedupe_window = std::chrono::hours(1)};

inline FeedbackRecord create(const std::string& id, const std::string& target = "req-1", std::uint64_t body = 1) {
  return {.op = Op::create,
          .target = {Target::Kind::client_request_id, target},
          .accepted_at = t0,
          .body_hash = body,
          .idempotent = true,
          .items = {{id, id, R"({"assessment_id":")" + id + R"(","assessment_name":"n","feedback":{"value":1}})"}}};
}

inline FeedbackRecord change(const std::string& record_id, const std::string& id, const std::string& target = "req-1") {
  return {
      .op = Op::update,
      .target = {Target::Kind::client_request_id, target},
      .accepted_at = t0,
      .body_hash = 2,
      .items = {{record_id, id, R"({"assessment_id":")" + id + R"(","assessment_name":"n","feedback":{"value":1}})"}}};
}

inline FeedbackRecord deletion(const std::string& record_id, const std::string& id,
                               const std::string& target = "req-1") {
  auto record = change(record_id, id, target);
  record.op = Op::erase;
  return record;
}

// As a client says it.
inline FeedbackRecord with_words(FeedbackRecord record) {
  record.items[0].json = R"({"assessment_id":")" + record.items[0].assessment_id +
                         R"(","assessment_name":"n","source":{"source_type":"HUMAN","source_id":"words"},)"
                         R"("feedback":{"value":"words"},"rationale":"words","metadata":{"k":"words"}})";
  return record;
}

inline bool has_words(const Record& record) { return record.value && record.value->find("words") != std::string::npos; }

// What stands on the changelog of the parked behind the step, by record_id.
inline std::map<std::string, ParkedRecord> parked_by(const Step& step) {
  std::map<std::string, ParkedRecord> out;
  for (const auto& record : step.outputs)
    if (record.stream == Stream::parked && record.value && !remains_of(record.key))
      out[record.key] = *parse_parked_record(*record.value);
  return out;
}

// What stands there of an assessment that died, or was taken back.
inline std::optional<Remains> remains_after(const Step& step, const std::string& id) {
  std::optional<Remains> out;
  for (const auto& record : step.outputs)
    if (record.stream == Stream::parked && remains_of(record.key) == id && record.value)
      out = *parse_remains_record(*record.value);
  return out;
}

// The keys of the letters that end in the step.
inline std::vector<std::string> letters_ended(const Step& step) {
  std::vector<std::string> out;
  for (const auto& record : step.outputs)
    if (record.stream == Stream::deadletters && !record.value) out.push_back(record.key);
  return out;
}

inline IncomingFeedback at(Offset offset, FeedbackRecord record) { return {offset, std::move(record), {}}; }

}  // namespace assay
