#pragma once
// Whether a partition's feedback is that which its state was made from. A topic that is made anew under the same name
// tells of it nothing but what stands in it. Of what the dedupe window reaches a state has an entry of each record that
// can be read, whatever became of it; of another log's records, or of those that took a lost tail's place, it has none.
#include <span>

#include "storage/state/partition_state.hpp"
#include "workers/resolver.hpp"

namespace assay {

class Recognised {
 public:
  // `records` of the feedback, from before the state's position; `meta`: the state's. An entry from behind that
  // position (a restore died that had come further) stands in the place of one that had left the window, and says
  // nothing.
  Result<void> look_at(std::span<const LogRecord> records, const KeyValue& state, Partition partition,
                       const ResolvePolicy& policy, const Meta& meta);
  // The last one that the state should know it does not.
  bool is_another_log() const { return is_another_log_; }
  // One past the last record that stands at the very place that the state knows it at; 0: there was none.
  Offset decided() const { return decided_; }

 private:
  bool is_another_log_ = false;
  Offset decided_ = 0;
};

}  // namespace assay
