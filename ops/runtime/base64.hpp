#pragma once
// The plain alphabet, padded (RFC 4648, 4). For what is signed, see base64url in ingest/access/secret.hpp.
#include <openssl/evp.h>

#include <optional>
#include <string>
#include <string_view>

namespace assay {

inline std::string to_base64(std::string_view bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const auto size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

// As Python's b64decode: what is not of the alphabet is passed over.
inline std::optional<std::string> from_base64(std::string_view given) {
  const auto is_data = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
  };
  std::string text;
  std::size_t given_padding = 0;
  for (const char c : given) {
    if (is_data(c))
      text += c;
    else if (c == '=')
      ++given_padding;
  }
  const auto wanted_padding = (4 - text.size() % 4) % 4;
  if (wanted_padding == 3 || given_padding < wanted_padding) return {};
  text.append(wanted_padding, '=');
  std::string out(text.size() / 4 * 3 + 1, '\0');
  const auto size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                    reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (size < 0) return {};
  out.resize(static_cast<std::size_t>(size) - wanted_padding);
  return out;
}

}  // namespace assay
