#pragma once
// Who keeps a warm copy of what: a plain function of the group's members, which each worker computes for itself.
//
// A copy is kept where the partition would go if its owner died; a second one where it would go if that worker died,
// too. The group's strategy is `range`, so this is known beforehand.
#include <vector>

#include "storage/records/record.hpp"

namespace assay {

// Which of `members` (their numbers, in the group's order) strategy `range` gives the partition to.
std::size_t range_owner(Partition partition, Partition partitions, const std::vector<std::size_t>& members);

// The partitions that member `self` of `members` keeps copies of.
std::vector<Partition> standby_partitions(Partition partitions, std::size_t members, std::size_t self,
                                          std::size_t copies);

}  // namespace assay
