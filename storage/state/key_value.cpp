#include "storage/state/key_value.hpp"

#include <cassert>

namespace assay {

std::string_view name_of(Family family) {
  switch (family) {
    case Family::log_feedback:
      return "log_feedback";
    case Family::log_requests:
      return "log_requests";
    case Family::log_traces:
      return "log_traces";
    case Family::log_assessments:
      return "log_assessments";
    case Family::log_deadletters:
      return "log_deadletters";
    case Family::log_catalog:
      return "log_catalog";
    case Family::index:
      return "index";
    case Family::seen:
      return "seen";
    case Family::parked:
      return "parked";
    case Family::meta:
      return "meta";
    case Family::traces:
      return "traces";
    case Family::assessments:
      return "assessments";
    case Family::assessment_ids:
      return "assessment_ids";
    case Family::trace_index:
      return "trace_index";
    case Family::dead:
      return "dead";
    case Family::held:
      return "held";
    case Family::journal:
      return "journal";
    case Family::catalog:
      return "catalog";
  }
  return "unknown";
}

Result<void> KeyValue::each_of(Family family, std::span<const std::string> keys, const Found& found) const {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto value = get(family, keys[i]);
    if (!value) return value.error();
    if (!*value) continue;
    if (const auto went = found(i, **value); !went) return went;
  }
  return {};
}

Result<void> KeyValue::load(Family family, std::span<const Entry> sorted) {
  Changes changes;
  for (const auto& [key, value] : sorted) {
    if (value)
      changes.put(family, std::string(key), std::string(*value));
    else
      changes.erase(family, std::string(key));
  }
  return changes.empty() ? Result<void>() : write(changes);
}

std::string big_endian(std::uint32_t n) {
  return {static_cast<char>(n >> 24), static_cast<char>(n >> 16), static_cast<char>(n >> 8), static_cast<char>(n)};
}

std::string big_endian(std::uint64_t n) {
  std::string out(8, '\0');
  for (std::size_t i = 8; i-- > 0; n >>= 8) out[i] = static_cast<char>(n);
  return out;
}

std::uint32_t read_big_endian32(std::string_view bytes) {
  assert(bytes.size() >= 4);
  std::uint32_t n = 0;
  for (std::size_t i = 0; i < 4; ++i) n = n << 8 | static_cast<unsigned char>(bytes[i]);
  return n;
}

std::uint64_t read_big_endian64(std::string_view bytes) {
  assert(bytes.size() >= 8);
  std::uint64_t n = 0;
  for (std::size_t i = 0; i < 8; ++i) n = n << 8 | static_cast<unsigned char>(bytes[i]);
  return n;
}

std::string after_prefix(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

}  // namespace assay
