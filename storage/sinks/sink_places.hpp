#pragma once
// How far a sink has come that ends records in another order than the log's, and what became of them.
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <vector>

#include "storage/log/event_source.hpp"
#include "storage/sinks/positions.hpp"
#include "storage/sinks/sink_ledger.hpp"

namespace assay {

// Of each partition: what is before its beginning had ended in an earlier life, and is read for the marks alone; from
// there to how far was read everything has ended but for what is unfinished. The position is that of the oldest record
// that is. The ledger counts assessments. One thread changes it, any may ask.
class SinkPlaces {
 public:
  enum class Fate { applied, duplicate, dead };

  // Where to read from. `saved`: the position; `marked`: how far the marks know the log. Begun again it goes on where
  // it was, so that what is kept is not read twice.
  Offset begin(StreamPartition of, Offset saved, Offset marked);

  // Whatever was begun begins at 0: these positions, which are saved ones from now on. Nothing that was read before may
  // end afterwards.
  std::vector<Position> start_over();

  // In this life: it comes again, after an error.
  bool was_read(StreamPartition of, Offset offset) const;
  bool ended_before(StreamPartition of, Offset offset) const;
  // From now on it is unfinished, where it had not ended before.
  void read(StreamPartition of, Offset offset);
  void end(StreamPartition of, Offset offset, Fate fate);

  Offset position(StreamPartition of) const;
  // All that was read has ended or waits.
  void all_tried();
  // One past the last record of which that is so.
  Offset tried(StreamPartition of) const;
  // Whether it has ended.
  bool has(StreamPartition of, Offset offset) const;
  SinkLedger ledger() const;
  std::int64_t unfinished() const;  // assessments

  // The positions that are not those that were saved.
  std::vector<Position> moved() const;
  void saved(std::span<const Position> positions);

 private:
  struct Place {
    Offset begin = 0, read_to = 0, saved = 0, tried_to = 0;
    std::set<Offset> unfinished = {};
    Offset position() const;
  };

  mutable std::mutex mutex_;
  std::map<StreamPartition, Place> places_;
  SinkLedger ledger_;
};

}  // namespace assay
