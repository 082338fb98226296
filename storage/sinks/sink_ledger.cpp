#include "storage/sinks/sink_ledger.hpp"

#include <charconv>

namespace assay {

SinkLedger& SinkLedger::operator+=(const SinkLedger& more) {
  read += more.read;
  applied += more.applied;
  duplicate += more.duplicate;
  held += more.held;
  dead += more.dead;
  return *this;
}

std::string encode(const SinkLedger& ledger) {
  std::string out;
  for (const auto n : {ledger.read, ledger.applied, ledger.duplicate, ledger.held, ledger.dead})
    out += (out.empty() ? "" : " ") + std::to_string(n);
  return out;
}

std::optional<SinkLedger> decode_sink_ledger(std::string_view text) {
  SinkLedger out;
  const auto* at = text.data();
  const auto* end = at + text.size();
  for (auto* n : {&out.read, &out.applied, &out.duplicate, &out.held, &out.dead}) {
    while (at != end && *at == ' ') ++at;
    const auto [next, ec] = std::from_chars(at, end, *n);
    if (ec != std::errc()) return {};
    at = next;
  }
  return out;
}

}  // namespace assay
