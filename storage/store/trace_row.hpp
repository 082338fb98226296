#pragma once
// What the store keeps of a trace: its info as registers, one for each field and each key of tags and metadata, and its
// spans. Like an assessment's row, the same whatever the order in which its records came: of two that set the same
// register the one that ranks higher wins, by (level, accepted_at, content). A record that says IN_PROGRESS is not
// final, so a placeholder or a late start never takes away what the end of a trace has said; tags go by time alone.
// What was only concluded from spans gives way to what was said of the trace itself, but for a root span that has
// ended: it ends a trace that is in progress. Of several such conclusions the earliest start, the latest end, the first
// location and the first metadata (session, user) count.
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "storage/records/trace_record.hpp"

namespace assay {

struct TraceRank {
  enum class Level : std::uint8_t { inferred, provisional, ended, final };
  Level level = Level::provisional;
  std::int64_t accepted_at = 0;  // milliseconds since the epoch
  std::uint64_t content = 0;     // a hash, to choose between two of the same time
  auto operator<=>(const TraceRank&) const = default;
};

inline constexpr std::string_view spans_location_tag = "mlflow.trace.spansLocation",
                                  artifact_location_tag = "mlflow.artifactLocation";

// Of tags and metadata together, and of all that a row says: each record about a trace reads and writes all of it.
inline constexpr std::size_t trace_entries_max = 2'000;
inline constexpr std::size_t trace_info_bytes_max = 4u << 20;

class TraceRow {
 public:
  // Whether it changed anything. Malformed: the record is poison, or the row would say too much; the row is of no use
  // then.
  Result<bool, Malformed> apply(const TraceRecord& record);

  bool empty() const { return fields_.empty(); }
  // Nobody has said anything of the trace itself, but for tags.
  bool is_concluded() const;
  // Empty where it is not known.
  std::string experiment_id() const;
  std::string client_request_id() const;
  // request_time, or when its first known location was accepted.
  Instant time() const;
  std::optional<std::int64_t> duration_ms() const;
  // A string by its path ("state", "tags.k", "trace_metadata.k"); none: not there.
  std::optional<std::string> text_at(const std::string& path) const;
  // A tag as info_json shows it: MLflow's client is told where artifacts would be, and that the spans are here.
  std::optional<std::string> tag(std::string_view key, std::string_view trace_id, bool has_spans) const;
  // Calls visit(key, value) for each that is there: of "tags." or "trace_metadata.".
  void each(std::string_view prefix, const std::function<void(std::string_view, const std::string&)>& visit) const;
  // What follows from all of its spans, where nobody has said it of the trace; empty: nothing does.
  bool may_conclude(const std::string& path) const;
  void conclude(const std::string& path, std::string_view json);
  bool has(const std::string& path) const { return fields_.contains(path); }
  // When what is set now must have been accepted so that it counts: after everything that is here.
  Instant after() const;
  // MLflow's trace_info; `feedback_tag`, where not empty, is the value of the tag assay.feedback unless somebody has
  // set it, and `assessments` a JSON list. With `has_spans` a tag says that they are here. MLflow keeps tags and
  // metadata of any length, and shows no more of them than its client sends (Texts::shown; nor is the experiment's name
  // shown, which is for the sinks).
  enum class Texts { whole, shown };
  std::string info_json(std::string_view trace_id, std::string_view feedback_tag, std::string_view assessments,
                        bool has_spans = true, Texts texts = Texts::whole) const;

  std::string encode() const;
  static std::optional<TraceRow> decode(std::string_view bytes);

 private:
  struct Register {
    TraceRank rank;
    std::string json;  // "null": not there
  };
  struct Size {
    std::size_t entries = 0, bytes = 0;
  };
  Size size() const;
  bool names_location(const Register& experiment_name) const;
  bool set(std::string path, const TraceRank& rank, std::string_view json);
  bool set_inferred(std::string path, const TraceRank& rank, std::string_view json);
  std::string text(const std::string& path) const;

  std::map<std::string, Register> fields_;  // by field, or "tags." / "trace_metadata." and the key
};

// What is to be known of a span that is kept, where another one comes for its place.
struct SpanHead {
  TraceRank rank;
  std::size_t bytes = 0;  // of its JSON
};

struct SpanRow {
  TraceRank rank;
  std::string json;
  std::string encode() const;
  static std::optional<SpanRow> decode(std::string_view bytes);
  static std::optional<SpanHead> decode_head(std::string_view bytes);
};

// The spans of a record by span_id.
Result<std::map<std::string, SpanRow>, Malformed> spans_of(const TraceRecord& record);

}  // namespace assay
