#include "storage/state/memory_key_value.hpp"

namespace assay {

Result<std::optional<std::string>> MemoryKeyValue::get(Family family, std::string_view key) const {
  std::scoped_lock lock(mutex_);
  const auto at = map(family).find(key);
  if (at == map(family).end()) return std::optional<std::string>();
  return std::optional(at->second);
}

Result<std::vector<std::optional<std::string>>> MemoryKeyValue::multi_get(Family family,
                                                                          std::span<const std::string> keys) const {
  std::scoped_lock lock(mutex_);
  std::vector<std::optional<std::string>> out;
  out.reserve(keys.size());
  for (const auto& key : keys) {
    const auto at = map(family).find(key);
    out.push_back(at == map(family).end() ? std::nullopt : std::optional(at->second));
  }
  return out;
}

Result<void> MemoryKeyValue::scan(Family family, std::string_view from, std::string_view to, const Visit& visit) const {
  std::scoped_lock lock(mutex_);
  const auto& entries = map(family);
  const auto end = to.empty() ? entries.end() : entries.lower_bound(to);
  for (auto at = entries.lower_bound(from); at != end; ++at)
    if (!visit(at->first, at->second)) break;
  return {};
}

Result<void> MemoryKeyValue::scan_back(Family family, std::string_view from, std::string_view to,
                                       const Visit& visit) const {
  std::scoped_lock lock(mutex_);
  const auto& entries = map(family);
  const auto begin = entries.lower_bound(from);
  for (auto at = to.empty() ? entries.end() : entries.lower_bound(to); at != begin;) {
    --at;
    if (!visit(at->first, at->second)) break;
  }
  return {};
}

Result<void> MemoryKeyValue::write(const Changes& changes) {
  std::scoped_lock lock(mutex_);
  for (const auto& change : changes.list()) {
    auto& entries = maps_[static_cast<std::size_t>(change.family)];
    if (change.value)
      entries[change.key] = *change.value;
    else
      entries.erase(change.key);
  }
  return {};
}

void MemoryKeyValue::clear() {
  std::scoped_lock lock(mutex_);
  for (auto& entries : maps_) entries.clear();
}

}  // namespace assay
