#pragma once
// What a worker knows of one partition beside the parked (parked_state.hpp) and the seen ids (seen.hpp): the index, and
// how far it has come. A function of the log: see workers/restore.hpp.
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "storage/state/key_value.hpp"
#include "storage/state/ledger.hpp"
#include "storage/state/seen.hpp"

namespace assay {

// How far the state has come in the log, and what must be remembered with it.
struct Meta {
  Offset requests = 0;   // the next record of the requests stream
  Offset feedback = 0;   // of the feedback stream
  Offset parked = 0;     // of the changelog, as of the last restore: see workers/restore.hpp
  Instant accepted_max;  // the largest accepted_at seen in the partition: the dedupe window ends there
  Ledger ledger;
  bool operator==(const Meta&) const = default;
};

// Zeros where nothing is kept. Error::corrupt when what is kept can't be read.
Result<Meta> load_meta(const KeyValue& state, Partition partition);
// Writes what differs from `before`.
void save_meta(Changes& changes, Partition partition, const Meta& meta, const Meta& before);

// The traces that the ids name, in their order. What was told before `since` counts as unknown; what was told at no
// known time never does.
Result<std::vector<std::optional<std::string>>> find_traces(const KeyValue& state, Partition partition,
                                                            std::span<const std::string> ids,
                                                            Instant since = Instant::min());
void put_trace(Changes& changes, Partition partition, std::string_view id, std::string_view trace_id,
               Instant told_at = {});
std::string index_value(std::string_view trace_id, Instant told_at);
// Whether a value of Family::index may be dropped: all lookups since then ignore it. For a compaction filter.
bool index_may_go(std::string_view value, Instant since);
void erase_trace(Changes& changes, Partition partition, std::string_view id);

// The entries of the record_ids, in their order, whatever their age.
Result<std::vector<std::optional<Seen>>> find_seen(const KeyValue& state, Partition partition,
                                                   std::span<const std::string> record_ids);

// Forgets the partition. In pieces: an interrupted wipe is finished by the next finish_wipe(), which must come before
// any other use of the state.
Result<void> wipe(KeyValue& state, Partition partition);
Result<void> finish_wipe(KeyValue& state, Partition partition);

}  // namespace assay
