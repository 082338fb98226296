#pragma once
// Reads one partition of a source up to an offset, some thousand records at a time.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <span>

#include "ops/runtime/error.hpp"
#include "storage/log/event_source.hpp"

namespace assay {

class ChunkReader {
 public:
  // Gives up with Error::stopped once `stopped` is true, and with Error::timed_out where nothing comes for `patience`.
  ChunkReader(const std::atomic<bool>& stopped, std::chrono::milliseconds patience)
      : stopped_(stopped), patience_(patience) {}

  // Never empty, and nothing at or behind `end`, over which the source's position may reach where the log has gaps. An
  // error of `take` ends it.
  using Take = std::function<Result<void>(std::span<const LogRecord>)>;
  Result<void> read(EventSource& source, StreamPartition where, Offset end, const Take& take);

  std::int64_t records() const { return records_; }  // handed over so far

 private:
  const std::atomic<bool>& stopped_;
  const std::chrono::milliseconds patience_;
  std::int64_t records_ = 0;
};

}  // namespace assay
