#pragma once
// How far a sink has come, where it can't keep it itself, in the same act as its effects.
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "storage/log/event_source.hpp"
#include "storage/state/key_value.hpp"

namespace assay {

// One past the last record of this partition that needs not be read again.
struct Position {
  StreamPartition of;
  Offset next;
};

// One thread.
class PositionStore {
 public:
  virtual ~PositionStore() = default;
  // 0 where nothing was saved.
  virtual Result<Offset> load(StreamPartition of) = 0;
  virtual Result<void> save(std::span<const Position> positions) = 0;
  // Of a sink that keeps them itself, told for tools that look here; they decide nothing.
  virtual Result<void> mirror(std::span<const Position> positions) { return save(positions); }
};

// "sink/<name>/<stream>/<partition>" in Family::meta; the value is decimal. DO NOT CHANGE.
std::string positions_prefix(std::string_view sink);
std::string position_key(std::string_view sink, StreamPartition of);
Result<Offset> load_position(const KeyValue& kv, std::string_view sink, StreamPartition of);

class KeyValuePositions final : public PositionStore {
 public:
  KeyValuePositions(KeyValue& kv, std::string sink) : kv_(kv), sink_(std::move(sink)) {}
  Result<Offset> load(StreamPartition of) override { return load_position(kv_, sink_, of); }
  Result<void> save(std::span<const Position> positions) override;

 private:
  KeyValue& kv_;
  std::string sink_;
};

}  // namespace assay
