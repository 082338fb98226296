#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace assay {

// Whether a page of `origin` may open a WebSocket here: one of this very host (the header Host), or one that is
// allowed by name ("https://app.example", or "*" for any). A browser always says its origin; who says none is no
// browser.
bool origin_may_connect(std::string_view origin, std::string_view host, const std::vector<std::string>& allowed);

}  // namespace assay
