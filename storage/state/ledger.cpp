#include "storage/state/ledger.hpp"

#include "storage/state/key_value.hpp"

namespace assay {

std::string encode(const Ledger& ledger) {
  std::string out;
  for (const auto n : {ledger.logged, ledger.forwarded, ledger.duplicate, ledger.dead, ledger.parked})
    out += big_endian(static_cast<std::uint64_t>(n));
  return out;
}

std::optional<Ledger> decode_ledger(std::string_view bytes) {
  if (bytes.size() != 40) return {};
  const auto number = [&](std::size_t i) { return static_cast<std::int64_t>(read_big_endian64(bytes.substr(8 * i))); };
  return Ledger{number(0), number(1), number(2), number(3), number(4)};
}

}  // namespace assay
