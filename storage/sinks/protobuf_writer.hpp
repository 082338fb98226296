#pragma once
// Protobuf's wire format, written: a message is a run of fields. As much of it as OTLP needs.
#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

namespace assay::wire {

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  void varint(std::uint32_t field, std::uint64_t value) {
    tag(field, 0);
    append(value);
  }
  void fixed64(std::uint32_t field, std::uint64_t value) {
    tag(field, 1);
    for (int i = 0; i < 8; ++i) out_ += static_cast<char>(value >> (8 * i));
  }
  void real(std::uint32_t field, double value) { fixed64(field, std::bit_cast<std::uint64_t>(value)); }
  // A string, bytes or a message.
  void bytes(std::uint32_t field, std::string_view value) {
    tag(field, 2);
    append(value.size());
    out_ += value;
  }

 private:
  void tag(std::uint32_t field, std::uint32_t type) { append(field << 3 | type); }
  void append(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_ += static_cast<char>(value | 0x80);
    out_ += static_cast<char>(value);
  }

  std::string& out_;
};

}  // namespace assay::wire
