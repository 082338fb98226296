#pragma once
// Protobuf's wire format, read in place: a message is a run of fields. Enough for OTLP; libprotobuf would bring its
// compiler, generated code and a copy of everything. Pure; every view points into the message.
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace assay::wire {

enum class Type : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

struct Field {
  std::uint32_t number = 0;
  Type type = Type::varint;
  std::uint64_t value = 0;  // of a varint or a fixed one; else 0
  std::string_view bytes;   // of a string, bytes or a message; else empty
  double real() const { return std::bit_cast<double>(value); }
};

class Reader {
 public:
  explicit Reader(std::string_view message) : rest_(message) {}

  // False: the end, or malformed: then ok() is false.
  bool next(Field& field) {
    if (rest_.empty() || !ok_) return false;
    field = {};  // who looks at no type must not see what the field before had
    std::uint64_t tag = 0;
    if (!varint(tag)) return fail();
    field.number = static_cast<std::uint32_t>(tag >> 3);
    field.type = static_cast<Type>(tag & 7);
    if (field.number == 0) return fail();
    switch (field.type) {
      case Type::varint:
        return varint(field.value) || fail();
      case Type::fixed64:
        return fixed(field.value, 8) || fail();
      case Type::fixed32:
        return fixed(field.value, 4) || fail();
      case Type::bytes: {
        std::uint64_t size = 0;
        if (!varint(size) || size > rest_.size()) return fail();
        field.bytes = rest_.substr(0, static_cast<std::size_t>(size));
        rest_.remove_prefix(static_cast<std::size_t>(size));
        return true;
      }
    }
    return fail();
  }
  bool ok() const { return ok_; }

 private:
  bool fail() {
    ok_ = false;
    return false;
  }
  bool varint(std::uint64_t& out) {
    out = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) return false;
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      out |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (!(byte & 0x80)) return true;
    }
    return false;
  }
  bool fixed(std::uint64_t& out, std::size_t size) {
    if (rest_.size() < size) return false;
    out = 0;
    std::memcpy(&out, rest_.data(), size);  // little-endian, as the format
    rest_.remove_prefix(size);
    return true;
  }

  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace assay::wire
