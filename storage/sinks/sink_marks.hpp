#pragma once
// What a sink must remember itself because the server it writes to does not: what was deleted, and what was last said,
// as registers, so that the result does not depend on the order in which records come. A function of the log: where it
// is not there (another worker had the partition) it is made anew from the records before the sink's position.
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "storage/log/event_source.hpp"
#include "storage/records/assessment_record.hpp"
#include "storage/records/trace_record.hpp"
#include "storage/state/key_value.hpp"
#include "storage/store/assessment_row.hpp"
#include "storage/store/trace_row.hpp"

namespace assay {

// In Family::meta, all below "sink/<name>/": "ended/<id>": a trace or assessment that was deleted. "changes/<id>": an
// AssessmentRow without a base; "changed/<trace_id>/<assessment_id>": there is one. "trace/<id>": a TraceRow;
// "spans/<trace_id>/<span_id>": a SpanRow.
// "known/<stream>/<partition>": how far the log was read into these, in decimal. DO NOT CHANGE.
//
// One thread. What was taken is seen at once and is on disk after flush().
class SinkMarks {
 public:
  SinkMarks(KeyValue& kv, const std::string& sink) : kv_(kv), prefix_("sink/" + sink + "/") {}

  Result<Offset> known(StreamPartition of) const;
  void set_known(StreamPartition of, Offset next);

  // A malformed record, or one that would make more of a row than it may hold, leaves no mark.
  using Taken = Result<void, Malformed>;
  Result<Taken> take(const AssessmentRecord& record, Partition partition, Offset offset);
  Result<Taken> take(const TraceRecord& record);

  Result<bool> ended(const std::string& id) const;
  Result<AssessmentRow> changes(const std::string& assessment_id) const;
  Result<TraceRow> trace(const std::string& trace_id) const;
  // JSON of each, one after the other: all of them may be too much. False: no more.
  Result<void> each_span(const std::string& trace_id, const std::function<bool(const std::string& json)>& visit) const;
  // After flush(): by their ids, those behind this one.
  Result<void> each_span_after(
      const std::string& trace_id, const std::string& span_id,
      const std::function<bool(std::string_view span_id, const std::string& json)>& visit) const;

  Result<void> flush();

  // Forgets traces of which the last was said before `until`, but for those that are in use: the log holds nothing of
  // them any more that could come late. Looks at some of them at a time, at the next ones when it is called again. When
  // nothing waits for flush().
  Result<void> prune(Instant until, std::size_t looked_at, const std::function<bool(const std::string&)>& in_use);

 private:
  std::string key(std::string_view kind, std::string_view id) const;
  Result<std::optional<std::string>> get(const std::string& key) const;
  // Of all that begins with it, on disk or pending.
  Result<std::set<std::string>> keys(const std::string& prefix) const;
  // Erases what is known of the trace, its spans and changes.
  Result<void> forget(const std::string& trace_id);

  KeyValue& kv_;
  const std::string prefix_;
  std::map<std::string, std::optional<std::string>> pending_;  // none: erased
  std::string pruned_to_;                                      // the key of a trace
};

}  // namespace assay
