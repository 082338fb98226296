#pragma once
// What became of every record of one partition of assay.assessments in one sink: promise 4.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace assay {

// read = applied + duplicate + held + dead (+ what waits or is in flight, in a sink that keeps such).
struct SinkLedger {
  std::int64_t read = 0;
  std::int64_t applied = 0;
  std::int64_t duplicate = 0;  // changed nothing: a repeat, older than what is there, or about something deleted
  std::int64_t held = 0;       // changes that came before their create, and were kept for it
  std::int64_t dead = 0;
  std::int64_t unaccounted() const { return read - applied - duplicate - held - dead; }
  SinkLedger& operator+=(const SinkLedger& more);
  bool operator==(const SinkLedger&) const = default;
};

// Five decimal numbers in the order above, with blanks between. DO NOT CHANGE: it stands on disk.
std::string encode(const SinkLedger& ledger);
std::optional<SinkLedger> decode_sink_ledger(std::string_view text);

}  // namespace assay
