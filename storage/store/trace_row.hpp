#pragma once
// What the store keeps of a trace: its info as registers, one for each field and each key of tags and metadata, and its
// spans. Like an assessment's row, the same whatever the order in which its records came: of two that set the same
// register the one that ranks higher wins, by (final, accepted_at, content). A record that says IN_PROGRESS is not
// final, so a placeholder or a late start never takes away what the end of a trace has said; tags go by time alone.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "storage/records/trace_record.hpp"

namespace assay {

struct TraceRank {
  bool final = false;
  std::int64_t accepted_at = 0;  // milliseconds since the epoch
  std::uint64_t content = 0;     // a hash, to choose between two of the same time
  auto operator<=>(const TraceRank&) const = default;
};

class TraceRow {
 public:
  // Whether it changed anything. Malformed: the record is poison.
  Result<bool, Malformed> apply(const TraceRecord& record);

  bool empty() const { return fields_.empty(); }
  // Empty where it is not known.
  std::string experiment_id() const;
  std::string client_request_id() const;
  // request_time, or when its first known location was accepted.
  Instant time() const;
  // MLflow's trace_info, without assessments; `feedback_tag`, where not empty, is the value of the tag assay.feedback,
  // and `assessments` a JSON list.
  std::string info_json(std::string_view trace_id, std::string_view feedback_tag, std::string_view assessments) const;

  std::string encode() const;
  static std::optional<TraceRow> decode(std::string_view bytes);

 private:
  struct Register {
    TraceRank rank;
    std::string json;  // "null": not there
  };
  bool set(std::string path, const TraceRank& rank, std::string_view json);
  std::string text(const std::string& path) const;

  std::map<std::string, Register> fields_;  // by field, or "tags." / "trace_metadata." and the key
};

struct SpanRow {
  TraceRank rank;
  std::string json;
  std::string encode() const;
  static std::optional<SpanRow> decode(std::string_view bytes);
};

// The spans of a record by span_id.
Result<std::map<std::string, SpanRow>, Malformed> spans_of(const TraceRecord& record);

}  // namespace assay
