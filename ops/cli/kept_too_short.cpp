#include "ops/cli/kept_too_short.hpp"

#include "ops/cli/options.hpp"

namespace assay::cli {
namespace {

using std::chrono::milliseconds;

struct Wish {
  const char* flag;
  milliseconds wanted;
  const char* consequence;
};

bool deletes_by_age(const TopicState& topic) {
  const auto policy = topic.settings.find("cleanup.policy");
  return policy != topic.settings.end() && policy->second.find("delete") != std::string::npos;
}

std::vector<Wish> wishes_of(Stream stream, const ResolvePolicy& policy) {
  if (stream == Stream::feedback)
    return {{"--dedupe-window", policy.dedupe_window, "repeats of older feedback may be forwarded once more"},
            {"--park-max", policy.park_max, "feedback may be deleted while it waits for its trace"}};
  if (stream != Stream::requests) return {};
  const bool for_ever = policy.request_retention.count() == 0;
  return {{"--request-retention", for_ever ? milliseconds::max() : policy.request_retention,
           "a worker without a state does not know older ids"}};
}

std::string text_of(milliseconds duration) {
  return duration == milliseconds::max() ? "0s (for ever)" : duration_text(duration);
}

}  // namespace

std::vector<std::string> kept_too_short(const std::vector<TopicState>& topics, const ResolvePolicy& policy) {
  std::vector<std::string> out;
  for (const auto& topic : topics) {
    const auto kept = retention_of(topic);
    if (!kept || !deletes_by_age(topic)) continue;
    for (const auto& [flag, wanted, consequence] : wishes_of(topic.stream, policy))
      if (*kept < wanted)
        out.push_back(topic.name + " keeps records for " + duration_text(*kept) + ", and " + flag + " is " +
                      text_of(wanted) + ": " + consequence);
  }
  return out;
}

}  // namespace assay::cli
