#pragma once
// From what a client said to the record of it. Pure, but for random ids.
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ingest/access/capability.hpp"
#include "ingest/feedback/assessment_body.hpp"
#include "ops/runtime/clock.hpp"

namespace assay {

// With whose keys what is said is marked as the capability's own.
struct CapabilityMark {
  const CapabilityKeys& keys;
  const Capability& capability;
};

// What a create has beside what is said. It refers to what its request holds.
struct FeedbackSource {
  std::string_view door;  // with the key it derives the ids; without a key they are random
  const Target& target;
  const std::optional<std::string>& key;
  std::string_view user;  // of what names nobody
  Instant now;
  std::optional<CapabilityMark> mark = {};
};

// One create of one or more assessments. The body hash covers what was said, not when.
FeedbackRecord new_feedback(const FeedbackSource& from, std::span<const AssessmentBody> bodies);

}  // namespace assay
