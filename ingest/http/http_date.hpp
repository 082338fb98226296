#pragma once
// The header Date.
#include <string_view>

#include "ops/runtime/clock.hpp"

namespace assay {

// "Mon, 23 Nov 2026 15:57:21 GMT". Written once a second and thread; valid until this thread's next call.
std::string_view http_date(Instant at);

}  // namespace assay
