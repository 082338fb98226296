#pragma once
// The working set of one batch of records: loads what the batch touches in a few MultiGets, applies the records in
// order, and says what has changed. A fresh create costs two lookups (its id, its trace's share) and four puts; the
// sums of a batch are looked up and put once each.
#include <functional>
#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "storage/state/key_value.hpp"
#include "storage/store/aggregates.hpp"
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
  // `tombstones`: whether any trace was ever deleted; where none was they need not be looked for. `summed_up`: whether
  // a trace is in the figures; one that is not is left to who sums it up as a whole (aggregates_upkeep.hpp).
  using SummedUp = std::function<bool(const std::string& trace_id)>;
  StoreBatch(const KeyValue& kv, bool tombstones, SummedUp summed_up)
      : kv_(kv), tombstones_(tombstones), summed_up_(std::move(summed_up)), aggregates_(kv) {}

  // Before the first apply(): everything that these records need.
  Result<void> load(std::span<const AssessmentRecord> assessments, std::span<const TraceRecord> traces);

  // The record must have been loaded. An outer error: the database; an inner one: the record is poison.
  Result<Applied, Malformed> apply(const AssessmentRecord& record, Partition partition, Offset offset);
  Result<Result<Applied, Malformed>> apply(const TraceRecord& record);

  // Call once, at the end.
  Result<Changes> finish();
  bool deleted_a_trace() const { return deleted_a_trace_; }

 private:
  using Kind = store_keys::Located::Kind;
  struct Assessment {
    std::optional<Kind> kind;  // as in the database
    std::string trace_id;      // the same
    std::string index_key;     // the same; empty: none
    Said said;                 // the same, where it is in the figures
    AssessmentRow row;
    std::string new_trace_id;
    bool changed = false;
  };
  struct Trace {
    bool was_there = false;
    Instant deleted_at;
    std::vector<std::string> index_keys;  // as in the database
    std::vector<std::string> new_index_keys;
    TraceRow row;
    std::unordered_map<std::string, SpanHead> spans;    // those that the batch names, by key
    std::map<std::string, SpanRow> changed_spans;       // by key
    std::unordered_map<std::string, SpanUsage> usages;  // of those that changed, by span_id
    SpanTally tally;
    bool concludes = false;                 // something follows from all of its spans
    std::vector<std::string> erased_spans;  // keys, also those of their usage
    std::vector<std::string> changed_usages;
    bool deleted = false;
    bool changed = false;
  };

  Result<void> load_ids(std::vector<std::string> ids);
  Result<void> load_traces(std::span<const TraceRecord> traces);
  Result<void> load_spans(std::span<const TraceRecord> traces);
  Result<void> load_shares(std::span<const AssessmentRecord> assessments, std::span<const TraceRecord> traces);
  Result<void> count_spans(const std::string& trace_id, Trace& trace) const;
  Result<void> conclude(const std::string& trace_id, Trace& trace) const;
  Result<void> erase_trace(const std::string& trace_id, Trace& trace);
  Result<void> sum_up(Changes& out);
  Result<void> sum_up_anew(const std::string& trace_id, Share& share) const;
  bool trace_deleted(const std::string& trace_id) const;
  void write_assessment(const std::string& id, Assessment& assessment, Changes& out) const;
  static void write_trace(const std::string& id, Trace& trace, Changes& out);

  const KeyValue& kv_;
  const bool tombstones_;
  const SummedUp summed_up_;
  AggregateBatch aggregates_;
  bool deleted_a_trace_ = false;
  std::unordered_map<std::string, Assessment> assessments_;
  std::unordered_map<std::string, Trace> traces_;  // those with records in the batch, and deleted ones
};

}  // namespace assay
