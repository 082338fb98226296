#pragma once
// The header Date, and others that hold a date.
#include <string>
#include <string_view>

#include "ops/runtime/clock.hpp"

namespace assay {

// "Mon, 23 Nov 2026 15:57:21 GMT". Written once a second and thread; valid until this thread's next call.
std::string_view http_date(Instant at);

// Whether it is a date of HTTP's, in one of its three forms (RFC 9110 5.6.7).
bool is_http_date(const std::string& text);

}  // namespace assay
