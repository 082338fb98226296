// OpenSSL 3 wants its EVP interface used, which allocates for each digest; this way a capability is checked on the hot
// path without.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "ingest/access/secret.hpp"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <cstring>
#include <stdexcept>

namespace assay {
namespace {

constexpr std::size_t block_bytes = 64;
constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr std::array<signed char, 256> values_of(std::string_view last_two) {
  std::array<signed char, 256> values{};
  for (auto& value : values) value = -1;
  for (std::size_t i = 0; i < 62; ++i) values[static_cast<unsigned char>(alphabet[i])] = static_cast<signed char>(i);
  values[static_cast<unsigned char>(last_two[0])] = 62;
  values[static_cast<unsigned char>(last_two[1])] = 63;
  return values;
}
constexpr auto url_values = values_of("-_");
constexpr auto plain_values = values_of("+/");

std::optional<std::string> decoded(std::string_view text, const std::array<signed char, 256>& values) {
  std::string out;
  out.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  int count = 0;
  for (const auto c : text) {
    const auto value = values[static_cast<unsigned char>(c)];
    if (value < 0) return {};
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count);
    bits &= (1u << count) - 1;
  }
  // One way to write each secret: no lone sign, no bits that are not of a byte.
  if (count == 6 || bits != 0) return {};
  return out;
}

}  // namespace

std::string random_secret(std::size_t bytes) {
  std::string out(bytes, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(bytes)) != 1)
    throw std::runtime_error("no random bytes from the system");
  return out;
}

Digest sha256(std::string_view text) {
  Digest out;
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Update(&context, text.data(), text.size());
  SHA256_Final(out.data(), &context);
  return out;
}

Hmac::Hmac(std::string_view key) {
  std::array<unsigned char, block_bytes> block{};
  if (key.size() > block.size()) {
    const auto shorter = sha256(key);
    std::memcpy(block.data(), shorter.data(), shorter.size());
  } else {
    std::memcpy(block.data(), key.data(), key.size());
  }
  for (auto& byte : block) byte ^= 0x36;
  SHA256_Init(&inner_);
  SHA256_Update(&inner_, block.data(), block.size());
  for (auto& byte : block) byte ^= 0x36 ^ 0x5c;
  SHA256_Init(&outer_);
  SHA256_Update(&outer_, block.data(), block.size());
  OPENSSL_cleanse(block.data(), block.size());
}

Digest Hmac::of(std::string_view message) const {
  Digest out;
  auto context = inner_;
  SHA256_Update(&context, message.data(), message.size());
  SHA256_Final(out.data(), &context);
  context = outer_;
  SHA256_Update(&context, out.data(), out.size());
  SHA256_Final(out.data(), &context);
  return out;
}

bool equal_secrets(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void append_base64url(std::string& out, std::string_view bytes) {
  std::uint32_t bits = 0;
  int count = 0;
  for (const auto c : bytes) {
    bits = bits << 8 | static_cast<unsigned char>(c);
    count += 8;
    while (count >= 6) {
      count -= 6;
      out += alphabet[bits >> count & 63];
    }
  }
  if (count > 0) out += alphabet[bits << (6 - count) & 63];
}

std::optional<std::string> base64url_decoded(std::string_view text) { return decoded(text, url_values); }

std::optional<std::string> base64_decoded(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  return decoded(text, plain_values);
}

}  // namespace assay
