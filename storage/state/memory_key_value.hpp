#pragma once
// The KeyValue of tests and the simulator: maps under one lock.
#include <array>
#include <map>
#include <mutex>

#include "storage/state/key_value.hpp"

namespace assay {

class MemoryKeyValue final : public KeyValue {
 public:
  Result<std::optional<std::string>> get(Family family, std::string_view key) const override;
  Result<std::vector<std::optional<std::string>>> multi_get(Family family,
                                                            std::span<const std::string> keys) const override;
  Result<void> scan(Family family, std::string_view from, std::string_view to, const Visit& visit) const override;
  Result<void> scan_back(Family family, std::string_view from, std::string_view to, const Visit& visit) const override;
  Result<void> write(const Changes& changes) override;
  // As a disk that was lost.
  void clear();

 private:
  using Map = std::map<std::string, std::string, std::less<>>;
  const Map& map(Family family) const { return maps_[static_cast<std::size_t>(family)]; }
  mutable std::recursive_mutex mutex_;  // a visit may read
  std::array<Map, family_count> maps_;
};

}  // namespace assay
