#pragma once
// POST /capabilities: the application's own server asks for a token that a browser of its may rate one answer with.
#include "ingest/access/gate.hpp"

namespace assay {

struct CapabilityConfig {
  std::chrono::seconds ttl = std::chrono::hours(24);  // of those that come with an answer, and by default
  std::chrono::seconds ttl_max = std::chrono::hours(24 * 30);
  // What may be said with one, where nothing else is asked for.
  std::vector<std::string> names = {"user_*", "feedback_categories"};
};

// {"trace_id"|"client_request_id" (or both), "names"?:[…], "user_id"?, "expires_in"?: seconds} →
// {"feedback_token","expires_at"}
void add_capability_routes(Router& router, const Gate& gate, const CapabilityConfig& config, const Clock& clock);

// The token for an answer that this door has just given; empty while there are no keys.
std::string mint_for_answer(const Gate& gate, const CapabilityConfig& config, std::string_view trace_id,
                            std::string_view client_request_id, std::string_view user, Instant now);

// What is wrong with the names of a flag or a request.
std::optional<std::string> problem_with_names(const std::vector<std::string>& names);

}  // namespace assay
