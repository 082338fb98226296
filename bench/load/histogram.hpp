#pragma once
// Latencies in microseconds, log-linear: 32 buckets to each power of two, so a quantile is at most 3 % off. Not
// thread-safe.
#include <array>
#include <bit>
#include <cstdint>

namespace assay::load {

class LatencyHistogram {
 public:
  void record(std::uint64_t micros) {
    ++counts_[bucket_of(micros)];
    ++count_;
    if (micros > max_) max_ = micros;
  }
  void merge(const LatencyHistogram& other) {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    count_ += other.count_;
    if (other.max_ > max_) max_ = other.max_;
  }
  std::uint64_t count() const { return count_; }
  std::uint64_t max() const { return max_; }
  // The upper edge of the bucket that holds the q-th part; 0 when nothing was recorded.
  std::uint64_t quantile(double q) const {
    const auto rank = static_cast<std::uint64_t>(q * static_cast<double>(count_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (counts_[i] && seen > rank) return upper_of(i) < max_ ? upper_of(i) : max_;
    }
    return max_;
  }

 private:
  static constexpr unsigned linear_bits = 5;  // values below 2^5 have a bucket each
  static std::size_t bucket_of(std::uint64_t v) {
    if (v < (1u << linear_bits)) return static_cast<std::size_t>(v);
    const auto shift = static_cast<unsigned>(std::bit_width(v)) - linear_bits - 1;
    const auto i = ((shift + 1) << linear_bits) + ((v >> shift) & ((1u << linear_bits) - 1));
    return i < buckets ? static_cast<std::size_t>(i) : buckets - 1;
  }
  static std::uint64_t upper_of(std::size_t i) {
    if (i < (1u << linear_bits)) return i;
    const auto shift = (i >> linear_bits) - 1;
    return (((i & ((1u << linear_bits) - 1)) + (1u << linear_bits) + 1) << shift) - 1;
  }
  static constexpr std::size_t buckets = 34u << linear_bits;
  std::array<std::uint64_t, buckets> counts_{};
  std::uint64_t count_ = 0, max_ = 0;
};

}  // namespace assay::load
