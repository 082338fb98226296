#pragma once
// Keys and values of the embedded log. DO NOT CHANGE.
//
// Key in a stream's family: partition (4 bytes, big-endian), offset (8 bytes, big-endian). Value: key length (4 bytes),
// key, then one byte (1: a value follows, 0: a tombstone) and the value.
#include <optional>
#include <string>
#include <string_view>

#include "storage/records/record.hpp"
#include "storage/state/key_value.hpp"

namespace assay::embedded {

// None for the changelog of the parked: the embedded log keeps the state itself.
inline std::optional<Family> family_of(Stream stream) {
  switch (stream) {
    case Stream::feedback:
      return Family::log_feedback;
    case Stream::requests:
      return Family::log_requests;
    case Stream::traces:
      return Family::log_traces;
    case Stream::assessments:
      return Family::log_assessments;
    case Stream::deadletters:
      return Family::log_deadletters;
    case Stream::catalog:
      return Family::log_catalog;
    case Stream::parked:
      return {};
  }
  return {};
}

inline std::string key_of(Partition partition, Offset offset) {
  return big_endian(static_cast<std::uint32_t>(partition)) + big_endian(static_cast<std::uint64_t>(offset));
}
inline Offset offset_of(std::string_view key) { return static_cast<Offset>(read_big_endian64(key.substr(4))); }

inline std::string value_of(const Record& record) {
  std::string out;
  out.reserve(record.key.size() + (record.value ? record.value->size() : 0) + 5);
  out += big_endian(static_cast<std::uint32_t>(record.key.size()));
  out += record.key;
  out += record.value ? '\1' : '\0';
  if (record.value) out += *record.value;
  return out;
}

struct Parts {
  std::string_view key, value;
  bool tombstone;
};
inline std::optional<Parts> parts_of(std::string_view bytes) {
  if (bytes.size() < 5) return {};
  const auto key_bytes = read_big_endian32(bytes);
  if (bytes.size() < 5 + static_cast<std::size_t>(key_bytes)) return {};
  return Parts{bytes.substr(4, key_bytes), bytes.substr(5 + key_bytes), bytes[4 + key_bytes] == '\0'};
}

inline std::string first_key(StreamPartition where) {
  return "first/" + std::string(name_of(where.stream)) + "/" + std::to_string(where.partition);
}
// Marks of how far a stream had come at a time: "mark/<stream>/<partition>/" + time in ms (8 bytes) -> offset (8
// bytes).
inline std::string mark_prefix(StreamPartition where) {
  return "mark/" + std::string(name_of(where.stream)) + "/" + std::to_string(where.partition) + "/";
}

}  // namespace assay::embedded
