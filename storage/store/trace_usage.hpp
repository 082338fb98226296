#pragma once
// What MLflow's server concludes of a trace's tokens and costs from its spans: their sum. A span that has its own
// counts for all below it, so that a sum of a parent and its parts are not added up. Pure.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/store/trace_row.hpp"

namespace assay {

inline constexpr std::string_view token_columns[] = {"input_tokens",
                                                     "output_tokens",
                                                     "total_tokens",
                                                     "cache_read_input_tokens",
                                                     "cache_creation_input_tokens",
                                                     "cache_creation_input_tokens_above_1hr"};
inline constexpr std::string_view cost_columns[] = {"input_cost", "output_cost", "total_cost"};

struct SpanUsage {
  std::string span_id, parent_id;
  std::string tokens, cost;                                                           // JSON; empty: none
  bool empty() const { return parent_id.empty() && tokens.empty() && cost.empty(); }  // then it needs no row
  // Without span_id, which the key has.
  std::string encode() const;
  static std::optional<SpanUsage> decode(std::string span_id, std::string_view bytes);
};
SpanUsage usage_of_span(std::string_view span);
// The JSON of an attribute: where its tracer has made a text of an object, the text's. Empty where it is longer than
// anything that counts tokens.
std::string usage_text(std::string_view attribute);

// How many spans of a trace there are, and how long their JSON is. Both are bounded: a trace is read as a whole.
struct SpanTally {
  std::uint32_t count = 0;
  std::uint64_t bytes = 0;
  void add(std::size_t span_bytes);
  void remove(std::size_t span_bytes);
  bool too_much() const;
  std::string encode() const;
  static std::optional<SpanTally> decode(std::string_view bytes);
};
inline constexpr std::uint32_t trace_spans_max = 20'000;
inline constexpr std::uint64_t trace_span_bytes_max = 64u << 20;

// Whether these spans, a JSON list, change what is concluded: then it is concluded anew, from all spans of the trace.
bool has_usage(const TraceRow& row, std::string_view spans);
void conclude_usage(TraceRow& row, std::vector<SpanUsage> spans);

}  // namespace assay
