#pragma once
#include "ops/runtime/metrics.hpp"

namespace assay {

struct ChatMetrics {
  explicit ChatMetrics(Metrics& metrics);
  Counter &answered, &failed, &abandoned, &refused;  // how chats ended
  Counter& unrecorded;                               // whose end could not be appended at once: left to the journal
  Counter& tokens;
  Gauge& open;
  Histogram &first_token, &whole;
};

}  // namespace assay
