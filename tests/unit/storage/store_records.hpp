#pragma once
// Records of the three streams that sinks follow, as tests write them.
#include <deque>
#include <string>
#include <vector>

#include "storage/records/assessment_record.hpp"
#include "storage/records/dead_letter_record.hpp"
#include "storage/records/trace_record.hpp"

namespace assay::testing_records {

inline const Instant t0 = *parse_time("2026-11-23T15:57:31.547Z");
inline Instant at(int seconds) { return t0 + std::chrono::seconds(seconds); }

// Owns what LogRecords look at; each partition numbers from 0.
class Log {
 public:
  const LogRecord& add(Record record, Partition partition = 0) {
    auto& owned = owned_.emplace_back(std::move(record));
    auto& next = ends_[{owned.stream, partition}];
    records_.push_back(
        {owned.stream, partition, next++, owned.key, owned.value ? std::string_view(*owned.value) : "", !owned.value});
    return records_.back();
  }
  const std::vector<LogRecord>& records() const { return records_; }

 private:
  std::deque<Record> owned_;
  std::vector<LogRecord> records_;
  std::map<StreamPartition, Offset> ends_;
};

inline Record create(const std::string& id, const std::string& trace, Instant accepted, const std::string& fields) {
  FeedbackItem item{id, id, R"({"assessment_id":")" + id + R"(",)" + fields + "}"};
  return forward(item, Op::create, {Target::Kind::client_request_id, "req-" + trace}, accepted, trace);
}
inline Record feedback(const std::string& id, const std::string& trace, Instant accepted, const std::string& name,
                       const std::string& value, const std::string& more = "") {
  return create(id, trace, accepted,
                R"("assessment_name":")" + name + R"(","source":{"source_type":"HUMAN"},"feedback":{"value":)" + value +
                    "}" + more);
}
inline Record update(const std::string& id, const std::string& record_id, const std::string& trace, Instant accepted,
                     const std::string& fields) {
  FeedbackItem item{record_id, id, R"({"assessment_id":")" + id + R"(",)" + fields + "}"};
  return forward(item, Op::update, {Target::Kind::trace_id, trace}, accepted, trace);
}
inline Record erase(const std::string& id, const std::string& record_id, const std::string& trace, Instant accepted) {
  FeedbackItem item{record_id, id, R"({"assessment_id":")" + id + R"("})"};
  return forward(item, Op::erase, {Target::Kind::trace_id, trace}, accepted, trace);
}
inline Record trace(const std::string& id, Instant accepted, const std::string& fields, const std::string& spans = "") {
  return to_record(TraceRecord{.trace_id = id,
                               .accepted_at = accepted,
                               .info = R"({"trace_id":")" + id + R"(",)" + fields + "}",
                               .spans = spans});
}
inline Record erase_trace(const std::string& id, Instant accepted) {
  return to_record(TraceRecord{.deleted = true, .trace_id = id, .accepted_at = accepted});
}
inline std::string located(const std::string& experiment, Instant request_time) {
  return R"("trace_location":{"type":"MLFLOW_EXPERIMENT","mlflow_experiment":{"experiment_id":")" + experiment +
         R"("}},"request_time":")" + format_time(request_time) + "\"";
}

// Its tokens, as MLflow's integrations say them.
inline std::string span_that_used(const std::string& id, const std::string& parent, const std::string& tokens,
                                  const std::string& more = "") {
  return R"({"span_id":")" + id + R"(","parent_span_id":")" + parent +
         R"(","attributes":{"mlflow.chat.tokenUsage":"{\"input_tokens\": )" + tokens + R"(, \"total_tokens\": )" +
         tokens + more + R"(}"}})";
}

}  // namespace assay::testing_records
