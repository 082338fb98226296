#include "ops/runtime/ids.hpp"

#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>

namespace assay {
namespace {

void append_hex(std::string& out, const unsigned char* bytes, std::size_t count) {
  static constexpr char digits[] = "0123456789abcdef";
  for (std::size_t i = 0; i < count; ++i) {
    out += digits[bytes[i] >> 4];
    out += digits[bytes[i] & 15];
  }
}

// One call to the generator serves 256 ids.
const unsigned char* random_bytes(std::size_t count) {
  thread_local std::array<unsigned char, 4096> buffer;
  thread_local std::size_t used = buffer.size();
  if (used + count > buffer.size()) {
    if (RAND_bytes(buffer.data(), static_cast<int>(buffer.size())) != 1)
      throw std::runtime_error("no random bytes from the system");
    used = 0;
  }
  const auto* at = buffer.data() + used;
  used += count;
  return at;
}

std::array<unsigned char, SHA256_DIGEST_LENGTH> digest(std::initializer_list<std::string_view> parts) {
  std::string bytes;
  for (const auto part : parts) {
    const std::uint64_t size = part.size();
    for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>(size >> shift);
    bytes += part;
  }
  std::array<unsigned char, SHA256_DIGEST_LENGTH> out;
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), out.data());
  return out;
}

}  // namespace

bool is_trace_id(std::string_view id) {
  return id.size() == trace_prefix.size() + 32 && id.starts_with(trace_prefix) &&
         id.find_first_not_of("0123456789abcdef", trace_prefix.size()) == id.npos;
}

std::string random_id(std::string_view prefix) {
  std::string id(prefix);
  append_hex(id, random_bytes(16), 16);
  return id;
}

std::string time_ordered_id(std::string_view prefix, Instant now) {
  std::array<unsigned char, 16> bytes;
  std::memcpy(bytes.data(), random_bytes(bytes.size()), bytes.size());
  const auto ms = static_cast<std::uint64_t>(std::max<std::int64_t>(0, now.time_since_epoch().count()));
  for (std::size_t i = 0; i < 6; ++i) bytes[i] = static_cast<unsigned char>(ms >> (40 - 8 * i));
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0f) | 0x70);  // the version
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3f) | 0x80);  // the variant
  std::string id(prefix);
  append_hex(id, bytes.data(), bytes.size());
  return id;
}

std::string random_span_id() {
  std::string id;
  append_hex(id, random_bytes(8), 8);
  return id;
}

std::string derived_id(std::string_view prefix, std::initializer_list<std::string_view> parts) {
  std::string id(prefix);
  append_hex(id, digest(parts).data(), 16);
  return id;
}

std::uint64_t content_hash(std::initializer_list<std::string_view> parts) {
  const auto bytes = digest(parts);
  std::uint64_t hash = 0;
  for (int i = 0; i < 8; ++i) hash = hash << 8 | bytes[static_cast<std::size_t>(i)];
  return hash;
}

}  // namespace assay
