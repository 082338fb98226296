#pragma once
// Time is a value that is passed in. Records carry milliseconds since the epoch, UTC.
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace assay {

using Instant = std::chrono::sys_time<std::chrono::milliseconds>;

// Thread-safe. Tests and the simulator move their own.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Instant now() const = 0;
};

class SystemClock final : public Clock {
 public:
  Instant now() const override;
};

// RFC 3339 in UTC with milliseconds, as MLflow writes it: 2026-11-23T15:57:31.547Z; whole seconds have no fraction.
std::string format_time(Instant at);
// Appends the same to `out`, without an allocation of its own.
void append_time(std::string& out, Instant at);
// Takes 0 to 9 fractional digits (cut to milliseconds) and Z or a numeric offset.
std::optional<Instant> parse_time(std::string_view text);

}  // namespace assay
