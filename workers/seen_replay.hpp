#pragma once
// What feedback that was decided before leaves in a partition's state: the seen ids, the dedupe window's end and, of
// the ledger, what can be counted again. See restore.hpp.
#include <optional>
#include <span>
#include <string>
#include <unordered_map>

#include "storage/records/logged_feedback.hpp"
#include "storage/state/partition_state.hpp"
#include "storage/state/seen.hpp"
#include "workers/resolver.hpp"
#include "workers/sorted_load.hpp"

namespace assay {

class SeenReplay {
 public:
  // All outlive it.
  SeenReplay(KeyValue& state, Partition partition, const ResolvePolicy& policy);

  // The records in the order of the log. `counts`: whether the ledger goes on. Takes `meta` to behind them.
  Result<void> take(std::span<const LogRecord> records, Meta& meta, bool counts);
  // More is gathered than one run should hold.
  bool full() const;
  // Writes what is gathered, as a sorted run.
  Result<void> flush();
  // Forgets it.
  void drop();

 private:
  using Parsed = Result<FeedbackRecord, Malformed>;
  Result<std::vector<Parsed>> parse(std::span<const LogRecord> records);
  void take(const FeedbackRecord& feedback, Offset offset, Meta& meta, bool counts);

  KeyValue& state_;
  const Partition partition_;
  const ResolvePolicy& policy_;
  SortedLoad run_;
  std::unordered_map<std::string, std::optional<Seen>> fresh_;  // of the ids that this run has met
};

}  // namespace assay
