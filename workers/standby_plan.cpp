#include "workers/standby_plan.hpp"

#include <algorithm>

namespace assay {

std::size_t range_owner(Partition partition, Partition partitions, const std::vector<std::size_t>& members) {
  const auto count = static_cast<Partition>(members.size());
  const auto each = partitions / count, more = partitions % count;  // the first `more` members have one more
  const auto bigger = more * (each + 1);
  const auto place = partition < bigger ? partition / (each + 1) : more + (partition - bigger) / each;
  return members[static_cast<std::size_t>(place)];
}

std::vector<Partition> standby_partitions(Partition partitions, std::size_t members, std::size_t self,
                                          std::size_t copies) {
  std::vector<Partition> out;
  for (Partition p = 0; p < partitions; ++p) {
    std::vector<std::size_t> left;
    for (std::size_t i = 0; i < members; ++i) left.push_back(i);
    for (std::size_t copy = 0; copy <= copies && !left.empty(); ++copy) {
      const auto owner = range_owner(p, partitions, left);
      if (owner == self && copy > 0) out.push_back(p);
      if (owner == self) break;
      std::erase(left, owner);
    }
  }
  return out;
}

}  // namespace assay
