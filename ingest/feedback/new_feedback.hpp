#pragma once
// From what a client said to the record of it. Pure, but for random ids.
#include <span>

#include "ingest/access/capability.hpp"
#include "ingest/feedback/assessment_body.hpp"
#include "ops/runtime/clock.hpp"

namespace assay {

// One create of one or more assessments. `door` and `key` derive the ids; without a key they are random. The body hash
// covers what was said, not when. With a capability they are marked as its own.
FeedbackRecord new_feedback(std::string_view door, const Target& target, const std::optional<std::string>& key,
                            std::string_view user, std::span<const AssessmentBody> bodies, Instant now,
                            const CapabilityKeys* keys = nullptr, const Capability* capability = nullptr);

}  // namespace assay
