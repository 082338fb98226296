#pragma once
// Log lines: one structured line (logfmt, to standard error) where a decision is made. Normal traffic is silent:
// counters count it. Never bodies, comments, tokens or keys.
#include <spdlog/spdlog.h>

#include <string>

namespace assay {

// `level`: trace | debug | info | warn | error. Call once, before threads start. False for an unknown level.
bool set_up_log(const std::string& level);

}  // namespace assay
