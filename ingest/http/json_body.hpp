#pragma once
// What our own doors take: JSON as it is, whatever a client calls it. A form, or bytes that something has packed, is
// said to be that, and not "no JSON".
#include <optional>

#include "ingest/http/error_response.hpp"
#include "ingest/http/request.hpp"

namespace assay {

std::optional<Rejection> problem_with_form(const Request& request);

}  // namespace assay
