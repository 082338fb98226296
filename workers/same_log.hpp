#pragma once
// Whether a partition's feedback is still the log of which the position and the state tell. A topic that was made anew,
// or has lost its tail, is another one, and nothing but the state knows how much of it was decided.
#include "storage/state/partition_state.hpp"
#include "workers/chunk_reader.hpp"
#include "workers/recognised.hpp"
#include "workers/resolver.hpp"

namespace assay {

// Brokers may stamp records themselves, by clocks that differ from the front doors'.
inline constexpr std::chrono::minutes clocks_differ{1};

class SameLog {
 public:
  // So many records before the state's position are looked at.
  static constexpr Offset peeked_records = 8;

  // All outlive it.
  SameLog(EventSources& sources, const KeyValue& state, Partition partition, const ResolvePolicy& policy,
          ChunkReader& chunks)
      : sources_(sources), state_(state), feedback_{Stream::feedback, partition}, policy_(policy), chunks_(chunks) {}

  // Error::log_changed where what was committed lies behind the log's end.
  Result<void> reaches_to(EventSource& source, Offset committed) const;
  // `source` stands up to `peeked_records` before the state's position, `meta`'s, and at it afterwards.
  // Error::log_changed where what stands there is not what the state knows: such a log may be as long by now.
  Result<void> look_back(EventSource& source, const Meta& meta);
  // Both, by a source of its own: where another stream may be the one that has changed.
  Result<void> check(Offset committed, const Meta& meta);
  // Of another log: one past the last record that stands at the very place that the state knows it at. Of an empty
  // state, or where none does, the beginning: what was forwarded before is forwarded once more then, under the same
  // ids.
  Result<Offset> decided(Offset committed, const Meta& meta);

 private:
  Result<Recognised> look(EventSource& source, Offset upto, const Meta& meta);

  EventSources& sources_;
  const KeyValue& state_;
  const StreamPartition feedback_;
  const ResolvePolicy& policy_;
  ChunkReader& chunks_;
};

}  // namespace assay
