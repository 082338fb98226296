#include "storage/sinks/positions.hpp"

#include "ops/runtime/parse_number.hpp"

namespace assay {

std::string positions_prefix(std::string_view sink) { return "sink/" + std::string(sink) + "/"; }

std::string position_key(std::string_view sink, StreamPartition of) {
  return positions_prefix(sink) + std::string(name_of(of.stream)) + "/" + std::to_string(of.partition);
}

Result<Offset> load_position(const KeyValue& kv, std::string_view sink, StreamPartition of) {
  const auto value = kv.get(Family::meta, position_key(sink, of));
  if (!value) return value.error();
  if (!*value) return Offset(0);
  const auto next = parse_number<Offset>(**value);
  if (!next) return make_error_code(Error::corrupt);
  return *next;
}

Result<void> KeyValuePositions::save(std::span<const Position> positions) {
  Changes changes;
  for (const auto& [of, next] : positions) changes.put(Family::meta, position_key(sink_, of), std::to_string(next));
  return kv_.write(changes);
}

}  // namespace assay
