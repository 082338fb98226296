// Feedback tokens: nothing that was not signed here is one, and what is signed reads back.
#include "ingest/access/capability.hpp"

#include "ingest/access/api_keys.hpp"
#include "tests/fuzz/target.hpp"

namespace assay::fuzz {

void one(std::string_view bytes) {
  static const auto now = *parse_time("2026-11-23T15:57:31Z");
  static const auto keys = CapabilityKeys::create(now);
  must(!keys.check(bytes, now), "a token can't be guessed");
  (void)CapabilityKeys::parse(std::string(bytes));
  (void)ApiKeys::parse(std::string(bytes));
  (void)keys.owns({.trace_id = "tr-1"}, bytes);

  // The bytes as fields, and the token with one of its characters replaced.
  const auto field = [&bytes](std::size_t max) {
    const auto size =
        bytes.empty() ? 0 : std::min<std::size_t>({bytes.size() - 1, static_cast<unsigned char>(bytes[0]), max});
    if (!bytes.empty()) bytes.remove_prefix(1);
    const auto taken = bytes.substr(0, size);
    bytes.remove_prefix(size);
    return std::string(taken);
  };
  Capability capability{.trace_id = field(250), .client_request_id = field(250), .user = field(250)};
  capability.names = {field(100), field(100)};
  capability.expires_at = now + std::chrono::hours(1);
  auto token = keys.mint(capability);
  const auto checked = keys.check(token, now);
  must(checked.has_value() && *checked == capability, "what is signed reads back");
  if (bytes.size() < 3) return;
  const auto at =
      static_cast<std::size_t>(static_cast<unsigned char>(bytes[0]) << 8 | static_cast<unsigned char>(bytes[1]));
  auto& sign = token[at % token.size()];
  if (sign == bytes[2]) return;
  sign = bytes[2];
  must(!keys.check(token, now), "a changed token is none");
}

}  // namespace assay::fuzz
