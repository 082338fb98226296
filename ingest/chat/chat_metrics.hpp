#pragma once
#include "ops/runtime/metrics.hpp"

namespace assay {

struct ChatMetrics {
  explicit ChatMetrics(Metrics& metrics);
  Counter &answered, &stopped, &failed, &abandoned, &refused;  // how chats ended
  Counter& unrecorded;  // whose end could not be appended at once: left to the journal
  Counter& resumed;     // readers that came back to a stream
  Counter& tokens;
  Gauge& open;
  Gauge& held_bytes;  // of answers under way, and of those that have ended and are still held for their readers
  Histogram &first_token, &whole;
};

}  // namespace assay
