#pragma once
// A duration as protobuf's JSON writes it: "0.048s", "12s".
#include <cstdint>
#include <string>

namespace assay {

inline std::string duration_text(std::int64_t milliseconds) {
  if (milliseconds < 0) return "0s";
  std::string out = std::to_string(milliseconds / 1000);
  if (const auto rest = milliseconds % 1000; rest != 0) {
    const auto digits = std::to_string(rest);
    out += "." + std::string(3 - digits.size(), '0') + digits;
  }
  return out += "s";
}

}  // namespace assay
