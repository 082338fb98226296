#pragma once
// The tag assay.feedback of a trace: what was said about it, for easier querying.
#include <string>
#include <utility>
#include <vector>

#include "ops/runtime/clock.hpp"
#include "storage/store/feedback_value.hpp"

namespace assay {

inline constexpr std::string_view feedback_tag_name = "assay.feedback";

// A valid feedback of the trace.
struct TaggedValue {
  std::string name;
  std::pair<Instant, Instant> last;  // of two of a name the later is the last one; then the greater id
  std::string id;
  FeedbackValue value;
};

// Each name with its last value, by name, as user_accuracy=0.8,user_feedback=true. Names and strings stand as they are
// where they hold none of `,="` and no control character, otherwise as JSON; a list or an object stands as […] or {…}.
// At most 4000 bytes: whole names, the rest is left out. Empty: there is no feedback.
std::string feedback_tag(std::vector<TaggedValue> values);

}  // namespace assay
