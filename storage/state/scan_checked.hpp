#pragma once
// A scan that ends where a value can't be read.
#include "storage/state/key_value.hpp"

namespace assay {

// `visit(key, value)` returns Result<bool>, whether to go on; its error ends the scan, and is the answer.
template <class Visit>
Result<void> scan_checked(const KeyValue& kv, Family family, std::string_view from, std::string_view to, Visit visit) {
  error_code failure;
  const auto scanned = kv.scan(family, from, to, [&](std::string_view key, std::string_view value) {
    const Result<bool> more = visit(key, value);
    if (more.has_error()) failure = more.error();
    return more.has_value() && *more;
  });
  if (!scanned) return scanned;
  if (failure) return failure;
  return {};
}

// What a visitor returns of a value that is none of ours.
inline Result<bool> corrupt() { return {boost::system::in_place_error, make_error_code(Error::corrupt)}; }

}  // namespace assay
