#include "storage/log/spool_format.hpp"

#include <algorithm>

#include "storage/state/key_value.hpp"

namespace assay {
namespace {

constexpr char version = 1;
constexpr char has_value = 1, has_partition = 2;
constexpr std::size_t head_bytes = 11;

void append_text(std::string& out, std::string_view text) {
  out += big_endian(static_cast<std::uint32_t>(text.size()));
  out += text;
}

// What is left of the bytes; every read checks that there is enough.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}
  std::string_view take(std::size_t count) {
    if (count > left_.size()) {
      good_ = false;
      count = 0;
    }
    const auto taken = left_.substr(0, count);
    left_.remove_prefix(count);
    return taken;
  }
  std::uint32_t number() {
    const auto bytes = take(4);
    return good_ ? read_big_endian32(bytes) : 0;
  }
  std::string text() { return std::string(take(number())); }
  std::string_view rest() { return take(left_.size()); }
  bool good() const { return good_; }

 private:
  std::string_view left_;
  bool good_ = true;
};

}  // namespace

std::string encode_spooled(const Record& record) {
  std::string out;
  out.reserve(head_bytes + 16 + record.key.size() + (record.value ? record.value->size() : 0));
  out += version;
  out += static_cast<char>(record.stream);
  out += static_cast<char>((record.value ? has_value : 0) | (record.partition ? has_partition : 0));
  out +=
      big_endian(static_cast<std::uint64_t>(std::max<std::int64_t>(0, record.accepted_at.time_since_epoch().count())));
  if (record.partition) out += big_endian(static_cast<std::uint32_t>(*record.partition));
  out += static_cast<char>(record.headers.size() >> 8);
  out += static_cast<char>(record.headers.size());
  for (const auto& header : record.headers) {
    append_text(out, header.name);
    append_text(out, header.value);
  }
  append_text(out, record.key);
  if (record.value) out += *record.value;
  return out;
}

std::optional<Record> decode_spooled(std::string_view bytes) {
  const auto at = spooled_at(bytes);
  if (!at) return {};
  const auto stream = static_cast<Stream>(bytes[1]);
  if (std::find(std::begin(all_streams), std::end(all_streams), stream) == std::end(all_streams)) return {};
  const char flags = bytes[2];
  if (flags & ~(has_value | has_partition)) return {};
  Reader reader(bytes.substr(head_bytes));
  Record record{.stream = stream, .key = {}, .value = std::nullopt, .accepted_at = *at};
  if (flags & has_partition) record.partition = static_cast<Partition>(reader.number());
  const auto count = reader.take(2);
  if (!reader.good()) return {};
  const auto headers = static_cast<unsigned char>(count[0]) << 8 | static_cast<unsigned char>(count[1]);
  for (int i = 0; i < headers && reader.good(); ++i) {
    auto name = reader.text();
    record.headers.push_back({std::move(name), reader.text()});
  }
  record.key = reader.text();
  const auto value = reader.rest();
  if (!reader.good() || (!(flags & has_value) && !value.empty())) return {};
  if (flags & has_value) record.value = value;
  return record;
}

std::optional<Instant> spooled_at(std::string_view bytes) {
  if (bytes.size() < head_bytes || bytes[0] != version) return {};
  return Instant(std::chrono::milliseconds(static_cast<std::int64_t>(read_big_endian64(bytes.substr(3)))));
}

}  // namespace assay
