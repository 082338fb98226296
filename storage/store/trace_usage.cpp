#include "storage/store/trace_usage.hpp"

#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <unordered_map>

#include "storage/records/json_writer.hpp"
#include "storage/records/python_text.hpp"
#include "storage/store/bytes.hpp"

namespace assay {
namespace {

namespace dom = simdjson::dom;

constexpr std::uint8_t usage_format = 1;

struct Sum {
  std::string_view attribute;  // of a span
  std::string path;            // in the row
  std::string SpanUsage::*said;
  std::span<const std::string_view> keys;
  bool whole;  // its numbers
};
const Sum sums[] = {
    {"mlflow.chat.tokenUsage", "trace_metadata.mlflow.trace.tokenUsage", &SpanUsage::tokens, token_columns, true},
    {"mlflow.llm.cost", "trace_metadata.mlflow.trace.cost", &SpanUsage::cost, cost_columns, false}};
constexpr std::size_t always = 3;             // of the keys; the others are there where a span has them
constexpr std::size_t text_bytes_max = 4096;  // several times what its numbers take; a longer one says nothing

// Of each span, whether one above it counts for it; also of one that is above itself.
std::vector<bool> covered(const std::vector<SpanUsage>& spans, const std::vector<bool>& counts) {
  std::unordered_map<std::string_view, std::size_t> places;
  for (std::size_t i = 0; i < spans.size(); ++i) places[spans[i].span_id] = i;
  enum State : char { unknown, no, yes };
  std::vector<State> states(spans.size(), unknown);
  for (std::size_t i = 0; i < spans.size(); ++i) {
    std::vector<std::size_t> path;
    auto here = i;
    State state = states[here];
    while (state == unknown) {
      states[here] = yes;  // should the path come back to it
      path.push_back(here);
      const auto parent = places.find(spans[here].parent_id);
      if (parent != places.end()) here = parent->second;
      state = parent == places.end() ? no : counts[here] ? yes : states[here];
    }
    for (const auto place : path) states[place] = state;
  }
  std::vector<bool> out;
  for (const auto state : states) out.push_back(state == yes);
  return out;
}

std::optional<double> number_at(dom::object from, std::string_view key) {
  dom::element value;
  double number = 0;
  if (from[key].get(value) || value.is_bool() || value.get_double().get(number)) return {};
  return number;
}

// The numbers of one span under a sum's keys; none: the span says nothing that can be read.
using Numbers = std::vector<std::optional<double>>;

std::optional<Numbers> numbers_of(const std::string& text, const Sum& sum) {
  thread_local dom::parser parser;
  dom::object object;
  if (text.empty() || parser.parse(text).get_object().get(object)) return {};
  Numbers out;
  for (const auto key : sum.keys) out.push_back(number_at(object, key));
  return out;
}

// As json.dumps writes it; empty where no span has any.
std::string summed(const std::vector<SpanUsage>& spans, const Sum& sum) {
  std::vector<std::optional<Numbers>> given;
  std::vector<bool> counts;
  for (const auto& span : spans) {
    given.push_back(numbers_of(span.*sum.said, sum));
    counts.push_back(given.back().has_value());
  }
  if (std::find(counts.begin(), counts.end(), true) == counts.end()) return {};
  const auto skipped = covered(spans, counts);
  std::string out;
  for (std::size_t k = 0; k < sum.keys.size(); ++k) {
    double total = 0;
    bool there = k < always;
    for (std::size_t i = 0; i < spans.size(); ++i)
      if (const auto n = counts[i] && !skipped[i] ? (*given[i])[k] : std::nullopt) {
        total += *n;
        there = true;
      }
    const bool fits = sum.whole ? total == std::floor(total) && std::abs(total) < 9e18 : std::isfinite(total);
    if (!there || !fits) continue;
    append_python_string(out += out.empty() ? "" : ", ", sum.keys[k]);
    out += ": " + (sum.whole ? std::to_string(static_cast<std::int64_t>(total)) : python_float(total));
  }
  return out.empty() ? out : "{" + out + "}";
}

}  // namespace

std::string usage_text(std::string_view attribute) {
  dom::parser parser;
  std::string_view inner;
  if (parser.parse(attribute.data(), attribute.size()).get_string().get(inner)) inner = attribute;
  return inner.size() > text_bytes_max ? std::string() : std::string(inner);
}

SpanUsage usage_of_span(std::string_view json) {
  thread_local dom::parser parser;
  dom::element span;
  SpanUsage out;
  if (parser.parse(json.data(), json.size()).get(span)) return out;
  const auto text = [&](const char* pointer) {
    std::string_view view;
    return span.at_pointer(pointer).get_string().get(view) ? std::string() : std::string(view);
  };
  out.span_id = text("/span_id");
  out.parent_id = text("/parent_span_id");
  for (const auto& sum : sums) out.*sum.said = usage_text(text(("/attributes/" + std::string(sum.attribute)).c_str()));
  return out;
}

// DO NOT CHANGE: format(1) parent_id tokens cost, strings preceded by their length(4).
std::string SpanUsage::encode() const {
  std::string out;
  ByteWriter bytes(out);
  bytes.u8(usage_format);
  for (const auto* text : {&parent_id, &tokens, &cost}) bytes.text(*text);
  return out;
}

std::optional<SpanUsage> SpanUsage::decode(std::string span_id, std::string_view encoded) {
  ByteReader bytes(encoded);
  if (bytes.u8() != usage_format) return {};
  SpanUsage out{.span_id = std::move(span_id)};
  for (auto* text : {&out.parent_id, &out.tokens, &out.cost}) *text = bytes.text();
  if (!bytes.at_end()) return {};
  return out;
}

void SpanTally::add(std::size_t span_bytes) {
  ++count;
  bytes += span_bytes;
}

void SpanTally::remove(std::size_t span_bytes) {
  --count;
  bytes -= span_bytes;
}

bool SpanTally::too_much() const { return count > trace_spans_max || bytes > trace_span_bytes_max; }

// DO NOT CHANGE: format(1) count(4) bytes(8).
std::string SpanTally::encode() const {
  std::string out;
  ByteWriter writer(out);
  writer.u8(usage_format);
  writer.u32(count);
  writer.u64(bytes);
  return out;
}

std::optional<SpanTally> SpanTally::decode(std::string_view encoded) {
  ByteReader reader(encoded);
  if (reader.u8() != usage_format) return {};
  SpanTally out;
  out.count = reader.u32();
  out.bytes = reader.u64();
  if (!reader.at_end()) return {};
  return out;
}

bool has_usage(const TraceRow& row, std::string_view spans) {
  for (const auto& sum : sums)
    if (row.may_conclude(sum.path) && (row.has(sum.path) || spans.find(sum.attribute) != spans.npos)) return true;
  return false;
}

// In one order: a sum of doubles depends on it.
void conclude_usage(TraceRow& row, std::vector<SpanUsage> spans) {
  std::sort(spans.begin(), spans.end(), [](const SpanUsage& a, const SpanUsage& b) { return a.span_id < b.span_id; });
  for (const auto& sum : sums) {
    if (!row.may_conclude(sum.path)) continue;
    const auto text = summed(spans, sum);
    std::string json;
    if (!text.empty()) append_json_string(json, text);
    row.conclude(sum.path, json);
  }
}

}  // namespace assay
