#pragma once
// What waits for its trace, as `assay deadletters list --parked` shows it.
#include <string>

#include "storage/state/key_value.hpp"

namespace assay::cli {

// `output`: text or json. The exit code.
int list_parked(const KeyValue& state, const std::string& output);

}  // namespace assay::cli
