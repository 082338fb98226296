#pragma once
// What secrets are made of and checked with: random bytes, SHA-256, HMAC, base64url, constant-time comparison.
#include <openssl/sha.h>

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace assay {

using Digest = std::array<unsigned char, 32>;

// From the operating system's generator. Throws where it gives none.
std::string random_secret(std::size_t bytes = 32);

Digest sha256(std::string_view text);

// HMAC-SHA256 under one key. The key's blocks are hashed once, here, not for each message: half the cost of a short
// one.
class Hmac {
 public:
  explicit Hmac(std::string_view key);
  Digest of(std::string_view message) const;  // thread-safe

 private:
  SHA256_CTX inner_, outer_;
};

// Time depends on the sizes only.
bool equal_secrets(std::string_view a, std::string_view b);
inline std::string_view view_of(const Digest& d) { return {reinterpret_cast<const char*>(d.data()), d.size()}; }

// Without padding (RFC 4648, 5). None: a sign that is not of the alphabet, or bits left over.
void append_base64url(std::string& out, std::string_view bytes);
std::optional<std::string> base64url_decoded(std::string_view text);
// The plain alphabet too, padded or not: what basic authentication is written in.
std::optional<std::string> base64_decoded(std::string_view text);

}  // namespace assay
