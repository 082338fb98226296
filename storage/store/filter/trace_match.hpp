#pragma once
// Whether a trace of the store is what a filter asks for. Reads what the filter needs and no more: assessments and
// spans only where a clause is about them.
#include <map>
#include <memory>
#include <optional>

#include "storage/store/filter/text_match.hpp"
#include "storage/store/filter/trace_filter.hpp"
#include "storage/store/store.hpp"

namespace assay::filter {

// A trace's tag or metadata, as it is shown.
Result<std::optional<std::string>> entry_of(const Store& store, std::string_view kind, const std::string& key,
                                            const std::string& trace_id, const TraceRow& row);

class TraceMatch {
 public:
  // A refusal: a regular expression that is none. `store` and `kv` outlive it.
  static Result<TraceMatch, Refusal> make(const KeyValue& kv, const Store& store, TraceFilter filter,
                                          std::vector<std::string> experiments);
  Result<bool> operator()(const std::string& trace_id, const TraceRow& row);
  // Why what it has said is no answer: see TextMatch.
  std::optional<Refusal> problem() const;

 private:
  struct Compiled {
    Clause clause;
    TextMatch text;
    std::map<std::string, bool> sessions;  // whether an assessment of a whole session matches
  };
  TraceMatch(const KeyValue& kv, const Store& store, std::vector<std::string> experiments)
      : kv_(&kv), store_(&store), experiments_(std::move(experiments)) {}

  bool attribute(const Compiled& clause, const std::string& trace_id, const TraceRow& row) const;
  Result<bool> entry(const Compiled& clause, const std::string& trace_id, const TraceRow& row) const;
  Result<bool> assessment(Compiled& clause, const std::string& trace_id, const TraceRow& row);
  Result<bool> session(Compiled& clause, const std::string& session);
  Result<bool> spans(const std::string& trace_id) const;

  const KeyValue* kv_;
  const Store* store_;
  std::vector<std::string> experiments_;
  std::vector<Compiled> clauses_;
  bool about_spans_ = false;
};

}  // namespace assay::filter
