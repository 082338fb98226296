#pragma once
// The few shapes that the store's rows are made of: fixed-width big-endian numbers and strings preceded by their
// length.
#include <cstdint>
#include <string>
#include <string_view>

namespace assay {

class ByteWriter {
 public:
  explicit ByteWriter(std::string& out) : out_(out) {}
  void u8(std::uint8_t n) { out_ += static_cast<char>(n); }
  void u32(std::uint32_t n) { big(n, 4); }
  void u64(std::uint64_t n) { big(n, 8); }
  void text(std::string_view bytes) {
    u32(static_cast<std::uint32_t>(bytes.size()));
    out_ += bytes;
  }

 private:
  void big(std::uint64_t n, int width) {
    for (int i = width; i-- > 0;) out_ += static_cast<char>(n >> (8 * i));
  }
  std::string& out_;
};

// Once it has run over the end everything reads as zero or empty, and ok() stays false.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}
  std::uint8_t u8() { return static_cast<std::uint8_t>(big(1)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(big(4)); }
  std::uint64_t u64() { return big(8); }
  std::string_view text() { return take(u32()); }
  bool ok() const { return ok_; }
  bool at_end() const { return ok_ && rest_.empty(); }

 private:
  std::uint64_t big(std::size_t width) {
    std::uint64_t n = 0;
    for (const char c : take(width)) n = n << 8 | static_cast<unsigned char>(c);
    return n;
  }
  std::string_view take(std::size_t n) {
    if (n > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const auto head = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return head;
  }
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace assay
