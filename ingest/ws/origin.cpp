#include "ingest/ws/origin.hpp"

#include <boost/beast/core/string.hpp>

namespace assay {

bool origin_may_connect(std::string_view origin, std::string_view host, const std::vector<std::string>& allowed) {
  namespace beast = boost::beast;
  if (origin.empty()) return true;
  for (const auto& one : allowed)
    if (one == "*" || beast::iequals(origin, one)) return true;
  for (const std::string_view scheme : {"http://", "https://"})
    if (origin.size() > scheme.size() && beast::iequals(origin.substr(0, scheme.size()), scheme))
      return !host.empty() && beast::iequals(origin.substr(scheme.size()), host);
  return false;
}

}  // namespace assay
