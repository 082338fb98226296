#include "workers/sorted_load.hpp"

#include <algorithm>

namespace assay {
namespace {

constexpr std::size_t block_bytes = 1u << 20;
constexpr std::size_t entry_bytes = 64;  // of an entry beside its key and value, about

}  // namespace

std::string_view SortedLoad::keep(std::string_view bytes) {
  if (arena_.empty() || arena_.back().capacity() - arena_.back().size() < bytes.size()) {
    arena_.emplace_back();
    arena_.back().reserve(std::max(block_bytes, bytes.size()));
  }
  auto& block = arena_.back();
  const auto at = block.size();
  block.append(bytes);
  return std::string_view(block).substr(at);
}

void SortedLoad::add(std::string_view key, std::optional<std::string_view> value) {
  bytes_ += key.size() + (value ? value->size() : 0) + entry_bytes;
  entries_.push_back({keep(key), value ? std::optional(keep(*value)) : std::nullopt});
}

Result<void> SortedLoad::flush() {
  if (entries_.empty()) return {};
  // Stable: of one key the last stays the last.
  std::stable_sort(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  std::size_t kept = 0;
  for (std::size_t i = 0; i < entries_.size(); ++i)
    if (i + 1 == entries_.size() || entries_[i + 1].key != entries_[i].key) entries_[kept++] = entries_[i];
  entries_.resize(kept);
  if (auto loaded = state_.load(family_, entries_); !loaded) return loaded;
  drop();
  return {};
}

void SortedLoad::drop() {
  entries_.clear();
  arena_.clear();
  bytes_ = 0;
}

}  // namespace assay
