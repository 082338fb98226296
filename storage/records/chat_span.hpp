#pragma once
// The span of a chat, which two may write: the front door that answers it, and a worker where that door does not come
// back (workers/chat_closer.hpp). The id of a root span follows from the trace's, so that both mean one span.
#include <string>
#include <string_view>

#include "ops/runtime/clock.hpp"
#include "ops/runtime/ids.hpp"
#include "storage/records/json_writer.hpp"

namespace assay {

// 16 hex digits.
inline std::string root_span_id(std::string_view trace_id) {
  return derived_id("", {"root span", trace_id}).substr(0, 16);
}

struct ChatSpan {
  std::string_view trace_id;             // tr- and 32 hex digits
  std::string_view span_id;              // 16 hex digits
  std::string_view parent_span_id = {};  // empty: it is the root
  std::string_view name;
  Instant started, ended;
  std::string_view events = {};  // JSON; empty: nothing is said of them
  std::string_view error = {};   // in words; empty: its status is OK
  std::string_view inputs;       // JSON
};

// Its object in MLflow's traces.json, up to and into its attributes: whoever calls it adds its own, and ends both.
void begin_chat_span(JsonWriter& json, const ChatSpan& span);

// A text as an attribute's value: each is a string that holds JSON.
std::string attribute_text(std::string_view text);

}  // namespace assay
