#pragma once
// A feedback capability: what a browser may say about one answer, until when, and as whom. Signed by the front door,
// given away with the answer, checked without a look-up by every front door that has the same keys.
//
// Its text is acap_ and base64url of (do not change; a golden test holds it):
//
//   1 byte version (1), 4 bytes number of the key, 8 bytes expiry (seconds since the epoch), both big-endian,
//   trace_id, client_request_id, user: 1 byte length and bytes each; 1 byte count of names, each as these;
//   32 bytes HMAC-SHA256 over all before.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ingest/access/secret.hpp"
#include "ops/runtime/clock.hpp"
#include "ops/runtime/result.hpp"

namespace assay {

inline constexpr std::string_view capability_prefix = "acap_";
inline constexpr std::size_t capability_names_bytes_max = 880;  // all names of one
inline constexpr std::size_t capability_bytes_max = 2048;       // of the text
inline constexpr std::size_t capability_names_max = 16;

struct Capability {
  std::string trace_id;  // one of these two may be empty
  std::string client_request_id;
  std::string user;                // empty: nobody in particular
  std::vector<std::string> names;  // of assessments; "user_*": all that begin so
  Instant expires_at;              // whole seconds

  bool allows(std::string_view name) const;
  bool operator==(const Capability&) const = default;
};

// The secrets, one set for all front doors of a deployment:
//
//   {"v":1,"binding":B,"keys":[{"number":1,"secret":S,"created_at":T}…]}   B, S: base64url of 32 bytes
//
// The newest key signs, all of them check. `binding` marks the ids of what was said with a capability; it stays, since
// a repeat must get the same id whatever key has signed it.
class CapabilityKeys {
 public:
  static CapabilityKeys create(Instant now);
  static Result<CapabilityKeys, std::string> parse(const std::string& json);
  std::string to_json() const;
  // A new key; of the old ones the newest `keep` go on checking.
  void rotate(std::size_t keep, Instant now);
  std::size_t size() const { return keys_.size(); }
  std::uint32_t newest() const { return keys_.back().number; }

  std::string mint(const Capability& capability) const;
  // Or why not, in words.
  Result<Capability, std::string_view> check(std::string_view token, Instant now) const;

  // An assessment_id (without "a-": 32 hex digits) for what `capability` said. Its second half follows from the first
  // and from who speaks about what, so that a later change shows by itself that it is the speaker's own. The first half
  // is that of `id`, 32 hex digits, too.
  std::string own_id(const Capability& capability, std::string_view id) const;
  bool owns(const Capability& capability, std::string_view assessment_id) const;

 private:
  struct Key {
    std::uint32_t number = 0;
    std::string secret;
    Instant created_at;
    std::shared_ptr<const Hmac> hmac;
  };
  std::string mark(const Capability& capability, std::string_view first_half) const;
  std::string binding_;
  std::shared_ptr<const Hmac> binding_hmac_;
  std::vector<Key> keys_;  // oldest first
};

}  // namespace assay
