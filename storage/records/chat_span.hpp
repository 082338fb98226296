#pragma once
// The root span of a chat, which two may write: the front door that answers it, and a worker where that door does not
// come back (workers/chat_closer.hpp). Its id follows from the trace's, so that both mean one span.
#include <string>
#include <string_view>

#include "ops/runtime/ids.hpp"

namespace assay {

// 16 hex digits.
inline std::string root_span_id(std::string_view trace_id) {
  return derived_id("", {"root span", trace_id}).substr(0, 16);
}

}  // namespace assay
