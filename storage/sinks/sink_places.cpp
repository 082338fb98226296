#include "storage/sinks/sink_places.hpp"

#include <algorithm>

namespace assay {

Offset SinkPlaces::Place::position() const {
  return std::max(begin, unfinished.empty() ? read_to : *unfinished.begin());
}

Offset SinkPlaces::begin(StreamPartition of, Offset saved, Offset marked) {
  std::scoped_lock lock(mutex_);
  auto& place = places_[of];
  if (place.read_to > 0) return place.read_to;
  place.begin = place.saved = saved;
  place.read_to = std::min(marked, saved);
  return place.read_to;
}

std::vector<Position> SinkPlaces::start_over() {
  std::scoped_lock lock(mutex_);
  std::vector<Position> begun;
  for (auto& [of, place] : places_) {
    place = {};
    begun.push_back({of, 0});
  }
  return begun;
}

bool SinkPlaces::was_read(StreamPartition of, Offset offset) const {
  std::scoped_lock lock(mutex_);
  const auto at = places_.find(of);
  return at != places_.end() && offset < at->second.read_to;
}

bool SinkPlaces::ended_before(StreamPartition of, Offset offset) const {
  std::scoped_lock lock(mutex_);
  const auto at = places_.find(of);
  return at != places_.end() && offset < at->second.begin;
}

void SinkPlaces::read(StreamPartition of, Offset offset) {
  std::scoped_lock lock(mutex_);
  auto& place = places_[of];
  place.read_to = offset + 1;
  if (offset < place.begin) return;
  place.unfinished.insert(offset);
  if (of.stream == Stream::assessments) ++ledger_.read;
}

void SinkPlaces::end(StreamPartition of, Offset offset, Fate fate) {
  std::scoped_lock lock(mutex_);
  places_[of].unfinished.erase(offset);
  if (of.stream != Stream::assessments) return;
  ++(fate == Fate::applied ? ledger_.applied : fate == Fate::dead ? ledger_.dead : ledger_.duplicate);
}

Offset SinkPlaces::position(StreamPartition of) const {
  std::scoped_lock lock(mutex_);
  const auto at = places_.find(of);
  return at == places_.end() ? 0 : at->second.position();
}

void SinkPlaces::all_tried() {
  std::scoped_lock lock(mutex_);
  for (auto& [of, place] : places_) place.tried_to = place.read_to;
}

Offset SinkPlaces::tried(StreamPartition of) const {
  std::scoped_lock lock(mutex_);
  const auto at = places_.find(of);
  return at == places_.end() ? 0 : std::max(at->second.position(), at->second.tried_to);
}

bool SinkPlaces::has(StreamPartition of, Offset offset) const {
  std::scoped_lock lock(mutex_);
  const auto at = places_.find(of);
  if (at == places_.end()) return false;
  const auto& place = at->second;
  return offset < place.begin || (offset < place.read_to && !place.unfinished.contains(offset));
}

SinkLedger SinkPlaces::ledger() const {
  std::scoped_lock lock(mutex_);
  return ledger_;
}

std::int64_t SinkPlaces::unfinished() const {
  std::scoped_lock lock(mutex_);
  std::int64_t count = 0;
  for (const auto& [of, place] : places_)
    if (of.stream == Stream::assessments) count += std::ssize(place.unfinished);
  return count;
}

std::vector<Position> SinkPlaces::moved() const {
  std::scoped_lock lock(mutex_);
  std::vector<Position> moved;
  for (const auto& [of, place] : places_)
    if (place.position() != place.saved) moved.push_back({of, place.position()});
  return moved;
}

void SinkPlaces::saved(std::span<const Position> positions) {
  std::scoped_lock lock(mutex_);
  for (const auto& [of, next] : positions) places_[of].saved = next;
}

}  // namespace assay
