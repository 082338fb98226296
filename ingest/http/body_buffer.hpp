#pragma once
// The bytes of one body, with room behind them that simdjson may read. Memory is not cleared and is given back when a
// large body is done with.
#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>

namespace assay {

class BodyBuffer {
 public:
  static constexpr std::size_t padding = 64;  // at least SIMDJSON_PADDING
  static constexpr std::size_t kept_bytes_max = 64u << 10;

  // Makes room for `size` bytes; what is there stays.
  void reserve(std::size_t size) {
    if (size <= capacity_) return;
    const auto capacity = std::max(size, capacity_ * 2);
    auto bytes = std::make_unique_for_overwrite<char[]>(capacity + padding);
    if (size_) std::memcpy(bytes.get(), bytes_.get(), size_);
    bytes_ = std::move(bytes);
    capacity_ = capacity;
  }
  void append(std::string_view more) {
    reserve(size_ + more.size());
    if (!more.empty()) std::memcpy(bytes_.get() + size_, more.data(), more.size());
    size_ += more.size();
  }
  // Reading from a socket: into [tail(), tail() + n), then added(n). Within what was reserved.
  char* tail() { return bytes_.get() + size_; }
  void added(std::size_t n) { size_ += n; }

  void clear() {
    size_ = 0;
    if (capacity_ > kept_bytes_max) {
      bytes_.reset();
      capacity_ = 0;
    }
  }
  std::size_t size() const { return size_; }
  std::string_view view() const { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_ = 0, capacity_ = 0;
};

}  // namespace assay
