#pragma once
// Traces that a filter may want, newest first (request_time descending, trace_id ascending), from the narrowest index
// that has them all: by id, client_request_id, session, a rare assessment's name, tag, state, or the experiment itself.
#include <deque>

#include "storage/store/filter/trace_filter.hpp"
#include "storage/store/store.hpp"

namespace assay::filter {

struct Candidate {
  Instant time{};
  std::string trace_id;
  // Newest first.
  bool operator<(const Candidate& other) const {
    return time != other.time ? time > other.time : trace_id < other.trace_id;
  }
};

class Candidates {
 public:
  // Behind `after`, where it is given. `kv` outlives it.
  static Result<Candidates> plan(const KeyValue& kv, const TraceFilter& filter,
                                 const std::vector<std::string>& experiments, const std::optional<Candidate>& after);

  // The next ones, at most `count`; empty: there are no more.
  Result<std::vector<Candidate>> next(std::size_t count);
  // Which index it is: "experiment", "session", …
  std::string_view index() const { return index_; }

 private:
  // One range of one index, read in blocks.
  struct Range {
    std::string prefix;
    std::deque<Candidate> block;
    std::optional<Candidate> after;
    bool at_end = false;
  };
  explicit Candidates(const KeyValue& kv) : kv_(&kv) {}
  Result<void> fill(Range& range, std::size_t count) const;
  Result<void> fix(std::vector<std::string> ids, const std::optional<Candidate>& after);

  const KeyValue* kv_;
  std::string_view index_ = "experiment";
  Instant from_{}, to_{};  // from_ <= time < to_
  std::vector<Range> ranges_;
  std::optional<Candidate> last_;  // that was handed out
};

}  // namespace assay::filter
