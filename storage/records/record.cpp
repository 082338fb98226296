#include "storage/records/record.hpp"

#include <cstring>

namespace assay {
namespace {

// Austin Appleby's MurmurHash2 as org.apache.kafka.common.utils.Utils.murmur2 computes it.
std::uint32_t murmur2(std::string_view data) {
  constexpr std::uint32_t m = 0x5bd1e995;
  std::uint32_t h = 0x9747b28cu ^ static_cast<std::uint32_t>(data.size());
  while (data.size() >= 4) {
    std::uint32_t k;
    std::memcpy(&k, data.data(), 4);  // little-endian, as the reference
    k *= m;
    k ^= k >> 24;
    k *= m;
    h = (h * m) ^ k;
    data.remove_prefix(4);
  }
  const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(data[i])); };
  switch (data.size()) {
    case 3:
      h ^= byte(2) << 16;
      [[fallthrough]];
    case 2:
      h ^= byte(1) << 8;
      [[fallthrough]];
    case 1:
      h ^= byte(0);
      h *= m;
  }
  h ^= h >> 13;
  h *= m;
  return h ^ h >> 15;
}

}  // namespace

std::string_view name_of(Stream stream) {
  switch (stream) {
    case Stream::feedback:
      return "feedback";
    case Stream::requests:
      return "requests";
    case Stream::traces:
      return "traces";
    case Stream::parked:
      return "parked";
    case Stream::assessments:
      return "assessments";
    case Stream::deadletters:
      return "deadletters";
    case Stream::catalog:
      return "catalog";
  }
  return "unknown";
}

Partition partition_of(std::string_view key, Partition partitions) {
  return static_cast<Partition>((murmur2(key) & 0x7fffffff) % static_cast<std::uint32_t>(partitions));
}

}  // namespace assay
