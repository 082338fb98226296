#pragma once
// How far the store is summed up (aggregates.hpp). A store that an older version has written is summed up a little at a
// time, in the order of trace ids: what a trace adds is kept up from when its turn has come. The same where one has
// written in between: then the positions of the store's sink are not those that were noted with the sums. (Of one that
// has only let old traces expire in between nothing is noticed: they stay in the sums of their time.)
//
// Family meta, "store/aggregates": the sum of those positions, a space, and "done", "clearing" or "until " and a
// trace_id. DO NOT CHANGE.
#include <map>
#include <string>
#include <string_view>

#include "storage/records/record.hpp"
#include "storage/state/key_value.hpp"

namespace assay {

// Whether figures_since() may be asked.
Result<bool> is_summed_up(const KeyValue& kv);

// One thread, that of the sink.
class AggregatesUpkeep {
 public:
  // `positions`: what the keys of the sink's positions in Family::meta begin with.
  AggregatesUpkeep(KeyValue& kv, std::string positions) : kv_(kv), prefix_(std::move(positions)) {}

  // First, and again where a write has failed.
  Result<void> load();
  bool loaded() const { return loaded_; }
  void write_failed() { loaded_ = false; }
  // Whether a trace is in the sums.
  bool covers(std::string_view trace_id) const { return phase_ == Phase::done || trace_id <= until_; }
  // Sums up some more, at most so many traces.
  Result<void> go_on(std::size_t traces);
  // What a write that puts this position must hold, too; once all are noted.
  void note(const std::string& position_key, Offset next) { positions_[position_key] = next; }
  void write(Changes& changes) const;

 private:
  enum class Phase { clearing, summing, done };
  Result<void> clear(Changes& changes);
  Result<void> sum_up(std::size_t traces, Changes& changes);
  std::string noted() const;

  KeyValue& kv_;
  const std::string prefix_;
  bool loaded_ = false;
  Phase phase_ = Phase::clearing;
  std::string until_;                        // while summing: the last trace that is in the sums
  std::string cleared_;                      // while clearing: all up to this key is gone
  std::map<std::string, Offset> positions_;  // of the sink, by their keys
};

}  // namespace assay
