#pragma once
// What a worker is told to know for longer than the topics keep what it would learn that from: a state that is rebuilt
// knows less than one that was there.
#include <string>
#include <vector>

#include "storage/log/topic_plan.hpp"
#include "workers/resolver.hpp"

namespace assay::cli {

// In a sentence each. Of topics that do not say how long they keep a record there is none.
std::vector<std::string> kept_too_short(const std::vector<TopicState>& topics, const ResolvePolicy& policy);

}  // namespace assay::cli
