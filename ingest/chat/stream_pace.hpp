#pragma once
// When a stream may write what has come, and when it looks up although nothing has. Pure.
#include <algorithm>

#include "ingest/chat/chat_config.hpp"

namespace assay {

class StreamPace {
 public:
  using Time = std::chrono::steady_clock::time_point;

  StreamPace(const ChatConfig& config, Time now)
      : config_(config), not_before_(now), heartbeat_at_(now + config.heartbeat_every) {}

  // What comes earlier is gathered.
  Time not_before() const { return not_before_; }
  // To see whether the client is there, or a comment is due.
  Time look_up(Time now) const { return std::min(now + config_.gone_poll, heartbeat_at_); }
  bool heartbeat_due(Time now) const { return now >= heartbeat_at_; }
  void wrote(Time now) {
    not_before_ = now + config_.token_interval;
    heartbeat_at_ = now + config_.heartbeat_every;
  }

 private:
  const ChatConfig& config_;
  Time not_before_, heartbeat_at_;
};

}  // namespace assay
