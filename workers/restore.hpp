#pragma once
// The state of a partition from the log, where the state is a cache of it (Kafka). Emits nothing.
//
// The state may be as of any earlier step, or empty. What the log has committed since is applied: the parked from their
// changelog, the index from the requests stream, the seen ids from the feedback stream up to the committed position.
// The order of the three does not matter, because nothing is decided. A state beyond the committed position (it belongs
// to another log, or to a step that never was) is wiped, and built from the start.
//
// The changelog is read again from where the last restore ended, so what the worker itself wrote since comes twice:
// harmless, because the last record of a key decides.
//
// Of the ledger the log does not hold enough to rebuild it: an empty state begins a new one with what is parked; one
// that lags counts the repeats it can see, what is parked, and takes the rest of what was logged for forwarded.
#include <chrono>

#include "storage/log/event_source.hpp"
#include "storage/state/partition_state.hpp"
#include "workers/resolver.hpp"

namespace assay {

// `committed`: the feedback position that the log has committed, read after every predecessor was fenced. Afterwards
// the state's meta holds it. Error::timed_out when a stream that is not at its end brings nothing for `patience`.
Result<void> restore(EventSources& sources, KeyValue& state, Partition partition, Offset committed,
                     const ResolvePolicy& policy, std::chrono::milliseconds patience = std::chrono::seconds(30));

}  // namespace assay
