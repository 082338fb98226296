#pragma once
// The figures of feedback, summed up as it is written, so that those of a window cost the same however many traces it
// has: of each trace what it adds to them, its share, and of each second, minute and hour in which traces of an
// experiment began the sum of their shares. Both are functions of the rows that they sum up: the order in which
// records came, and repeats, make no difference.
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "storage/state/key_value.hpp"
#include "storage/store/store.hpp"

namespace assay {

// A sum of numbers to nine places, exact, so that taking one away undoes adding it.
struct Rating {
  static constexpr double most = 1e9;  // of either sign: a number beyond is left out
  std::int64_t whole = 0, nanos = 0, count = 0;
  static Rating of(double value);
  double average() const;  // of at least one
  bool operator==(const Rating&) const = default;
};

// What feedbacks say, all together.
struct Said {
  std::int64_t feedbacks = 0;
  std::int64_t positive = 0, negative = 0;  // of those named user_feedback, by Python's idea of truth
  std::int64_t left_out = 0;                // values of user_<dimension> that are no number, or too large a one
  std::map<std::string, Rating, std::less<>> ratings;  // numbers named user_<dimension>, user_feedback left out
  void add(const Said& more, int sign = 1);
  bool operator==(const Said&) const = default;
};
// Of a valid one. Nothing of an expectation: the right answer is nobody's opinion.
Said said_in(const AssessmentRow& row);

// What one trace adds.
struct Share {
  // Its experiment \0 request_time(8), as in trace_index; empty: nobody has told of it, and it adds nothing yet.
  std::string place;
  bool overrides = false;  // one of its assessments overrides another: validity has to be looked for
  Said said;
  bool operator==(const Share&) const = default;
  std::string encode() const;
  static std::optional<Share> decode(std::string_view bytes);
  static std::optional<bool> overrides_in(std::string_view bytes);  // alone: it may have thousands of ratings
};

// Of all assessments of one trace, by their ids.
using RowsById = std::map<std::string_view, const AssessmentRow*>;
RowsById rows_of(const std::vector<Store::Assessment>& assessments);  // which outlive it
Share share_of(std::string place, const RowsById& rows);

// What traces add up to.
struct Figures {
  std::int64_t traces = 0;
  std::int64_t with_feedback = 0;  // that have any valid feedback
  Said said;
  void add(const Share& share);
  bool operator==(const Figures&) const = default;
};

// Of the traces of an experiment, by its id, with from <= request_time. Only once everything is summed up
// (aggregates_upkeep.hpp). Error::stopped once `go_on`, asked now and then, says no.
Result<Figures> figures_since(const KeyValue& kv, std::string_view experiment, Instant from,
                              const std::function<bool()>& go_on);

// Shares that a batch changes, and the sums with them.
class AggregateBatch {
 public:
  explicit AggregateBatch(const KeyValue& kv) : kv_(kv) {}

  Result<void> load(const std::vector<std::string>& trace_ids);
  // A trace of which nothing is in any sum.
  Share& begin(const std::string& trace_id);
  // None: it was not loaded.
  Share* find(const std::string& trace_id);

  Result<void> finish(Changes& out) const;

 private:
  struct Entry {
    std::string kept;  // as in the database; empty: none
    Share before, now;
  };
  const KeyValue& kv_;
  std::unordered_map<std::string, Entry> shares_;
};

}  // namespace assay
