#pragma once
// Which requests and traces of a run belong to a share of them, 0 to 1: spread over the run, so that the share holds of
// one that ends anywhere. Each in a way of its own: repeats must not all be of the early traces, or none.
#include <cmath>
#include <cstdint>

namespace assay::load {

// Of the first n just as many as the share is, rounded down.
inline bool is_repeated(std::uint64_t n, double share) {
  const auto up_to = [share](std::uint64_t count) { return std::floor(static_cast<double>(count) * share); };
  return up_to(n + 1) > up_to(n);
}

// By the golden ratio's multiples, which lie evenly between 0 and 1 however many there are: of any run of traces the
// share, give or take a few.
inline bool is_early(std::uint64_t trace, double share) {
  constexpr std::uint64_t golden = 0x9E37'79B9'7F4A'7C15;
  return std::ldexp(static_cast<double>((trace + 1) * golden >> 11), -53) < share;
}

}  // namespace assay::load
