#pragma once
// Ids that a client gives, checked: in the query, in a header, in a body. `field` is where it stands. Pure.
#include <optional>
#include <string_view>

#include "ingest/http/error_response.hpp"

namespace assay {

// 1 to 250 bytes of UTF-8 without control characters; none: it is.
std::optional<Rejection> problem_with_id(std::string_view field, std::string_view id);
// The same of what feedback is about, and 422 of what a page sends that has no id: "undefined", "null", white space.
std::optional<Rejection> problem_with_target_id(std::string_view field, std::string_view id);
// The same of a client_request_id that a chat is given; `trace_id` is the chat's own, where that is known. 422 of
// another trace's own id: it names nothing here (see request_record), and feedback by it could never arrive.
std::optional<Rejection> problem_with_name(std::string_view field, std::string_view id, std::string_view trace_id);
// "Idempotency-Key": 1 to 255 visible ASCII characters.
std::optional<Rejection> problem_with_key(std::string_view field, std::string_view key);

bool has_control_character(std::string_view text);

}  // namespace assay
