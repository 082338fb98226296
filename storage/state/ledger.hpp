#pragma once
// What became of the items of a partition's feedback (a record that can't be read counts as one), counted inside the
// atomic step: logged = forwarded + duplicate + parked + dead, always, because an item in flight has not been counted.
//
// On disk: five numbers (8 bytes, big-endian, each) in the order of the members. DO NOT CHANGE.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace assay {

struct Ledger {
  std::int64_t logged = 0;
  std::int64_t forwarded = 0;
  std::int64_t duplicate = 0;
  std::int64_t dead = 0;
  std::int64_t parked = 0;  // now

  std::int64_t unaccounted() const { return logged - forwarded - duplicate - dead - parked; }
  bool operator==(const Ledger&) const = default;
};

std::string encode(const Ledger& ledger);
std::optional<Ledger> decode_ledger(std::string_view bytes);

}  // namespace assay
