#pragma once
// The working set of one batch of records: loads what the batch touches in a few MultiGets, applies the records in
// order, and says what has changed. A fresh create costs one lookup (assessment_ids) and three puts.
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "storage/state/key_value.hpp"
#include "storage/store/assessment_row.hpp"
#include "storage/store/keys.hpp"
#include "storage/store/trace_row.hpp"
#include "storage/store/trace_usage.hpp"

namespace assay {

// What became of a record.
enum class Applied : std::uint8_t {
  applied,
  duplicate,  // changed nothing: a repeat, older than what is there, or about something deleted
  held,       // a change to an assessment that is not there yet
};

class StoreBatch {
 public:
  // `tombstones`: whether any trace was ever deleted; where none was they need not be looked for.
  StoreBatch(const KeyValue& kv, bool tombstones) : kv_(kv), tombstones_(tombstones) {}

  // Before the first apply(): everything that these records need.
  Result<void> load(std::span<const AssessmentRecord> assessments, std::span<const TraceRecord> traces);

  // The record must have been loaded. An outer error: the database; an inner one: the record is poison.
  Result<Applied, Malformed> apply(const AssessmentRecord& record, Partition partition, Offset offset);
  Result<Result<Applied, Malformed>> apply(const TraceRecord& record);

  // Call once, at the end.
  Changes finish();
  bool deleted_a_trace() const { return deleted_a_trace_; }

 private:
  using Kind = store_keys::Located::Kind;
  struct Assessment {
    std::optional<Kind> kind;  // as in the database
    std::string trace_id;      // the same
    std::string index_key;     // the same; empty: none
    AssessmentRow row;
    std::string new_trace_id;
    bool changed = false;
  };
  struct Trace {
    bool was_there = false;
    Instant deleted_at;
    std::vector<std::string> index_keys;  // as in the database
    TraceRow row;
    std::unordered_map<std::string, SpanRow> spans;     // those that the batch names, by key
    std::unordered_map<std::string, SpanUsage> usages;  // of those that changed, by span_id; of all where it concludes
    SpanTally tally;
    bool concludes = false;                 // something follows from all of its spans
    std::vector<std::string> erased_spans;  // keys, also those of their usage
    std::vector<std::string> changed_spans, changed_usages;
    bool deleted = false;
    bool changed = false;
  };

  Result<void> load_ids(std::vector<std::string> ids);
  Result<void> load_traces(std::span<const TraceRecord> traces);
  Result<void> load_spans(std::span<const TraceRecord> traces);
  Result<void> load_usages(const std::string& trace_id, Trace& trace);
  Result<void> count_spans(const std::string& trace_id, Trace& trace);
  static void conclude(Trace& trace);
  Result<void> erase_trace(const std::string& trace_id, Trace& trace);
  bool trace_deleted(const std::string& trace_id) const;
  void write_assessment(const std::string& id, Assessment& assessment, Changes& out) const;
  void write_trace(const std::string& id, Trace& trace, Changes& out) const;

  const KeyValue& kv_;
  const bool tombstones_;
  bool deleted_a_trace_ = false;
  std::unordered_map<std::string, Assessment> assessments_;
  std::unordered_map<std::string, Trace> traces_;  // those with records in the batch, and deleted ones
};

}  // namespace assay
