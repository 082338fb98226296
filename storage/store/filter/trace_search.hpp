#pragma once
// One page of a search for traces, in steps that a front door can take between other work. The newest page of an
// experiment costs the same however many traces it has. What has to look at many traces is bounded: newest first, a
// page may end early, with a token to go on; in any other order, too many traces are a refusal.
#include "storage/store/filter/candidates.hpp"
#include "storage/store/filter/trace_match.hpp"

namespace assay::filter {

struct TraceQuery {
  std::vector<std::string> experiments;
  TraceFilter filter;
  std::vector<TraceOrder> order;
  std::size_t max_results = 100;
  PageToken page;
  std::size_t examined_max = 100'000;
};

class TraceSearch {
 public:
  static Result<Result<TraceSearch, Refusal>> make(const KeyValue& kv, const Store& store, TraceQuery query);

  // Looks at about `count` traces more. The inner error: the query asks for too much.
  enum class State { more, complete };
  Result<Result<State, Refusal>> step(std::size_t count);

  // Once it is complete.
  const std::vector<std::string>& trace_ids() const { return page_; }
  const std::string& next_page_token() const { return token_; }
  std::size_t examined() const { return examined_; }
  std::string_view index() const { return candidates_.index(); }

 private:
  struct SearchHit {
    Candidate at;
    std::vector<Value> keys;
  };
  TraceSearch(const KeyValue& kv, TraceQuery query, TraceMatch match, Candidates candidates);
  void take(const Candidate& candidate, const TraceRow& row);
  void finish_sorted();

  const KeyValue* kv_;
  TraceQuery query_;
  TraceMatch match_;
  Candidates candidates_;
  bool newest_first_;
  std::int64_t to_skip_;
  std::size_t examined_ = 0;
  std::vector<SearchHit> found_;
  std::vector<std::string> page_;
  std::string token_;
};

}  // namespace assay::filter
