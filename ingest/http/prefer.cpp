#include "ingest/http/prefer.hpp"

#include <algorithm>
#include <boost/beast/core/string.hpp>

#include "ops/runtime/parse_number.hpp"
#include "ops/runtime/trimmed.hpp"

namespace assay {
namespace {

constexpr std::chrono::seconds wait_max{10};

// wait=5
std::optional<std::chrono::seconds> wait_in(std::string_view preference) {
  const auto equals = preference.find('=');
  if (!boost::beast::iequals(trimmed(preference.substr(0, equals)), "wait") || equals == preference.npos) return {};
  const auto seconds = parse_number<std::uint32_t>(trimmed(preference.substr(equals + 1)));
  if (!seconds) return {};
  return std::min(wait_max, std::chrono::seconds(*seconds));
}

}  // namespace

std::optional<std::chrono::seconds> preferred_wait(const Request& request) {
  for (const auto& field : request.headers) {
    if (!boost::beast::iequals(field.name, "Prefer")) continue;
    for (std::string_view rest = field.value; !rest.empty();) {
      const auto item = rest.substr(0, rest.find(','));
      rest.remove_prefix(std::min(rest.size(), item.size() + 1));
      if (const auto wait = wait_in(item)) return wait;
    }
  }
  return {};
}

}  // namespace assay
