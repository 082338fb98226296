#include "storage/sinks/mlflow_spans.hpp"

#include <algorithm>

#include "ops/runtime/log.hpp"
#include "storage/sinks/mlflow_otlp.hpp"

namespace assay {
namespace {

constexpr std::size_t megabyte = 1 << 20;
constexpr std::size_t summed_spans_max = 20'000;  // with more nothing is concluded of what they used
constexpr std::size_t gathering_max = 1'000;      // traces; with more those that are over are forgotten

}  // namespace

MlflowSpans::MlflowSpans(MlflowSpansLimits limits, const SinkMarks& marks, Metrics& metrics)
    : limits_(limits),
      marks_(marks),
      left_out_total_(metrics.counter("assay_mlflow_spans_left_out_total",
                                      "Spans of too long a trace that MLflow was not told, each time it was")) {}

Result<MlflowSpans::Artifact> MlflowSpans::read(const std::string& trace_id) const {
  Artifact out;
  const auto read = marks_.each_span(trace_id, [&](const std::string& span) {
    auto usage = usage_of_span(span);
    const auto room = usage.parent_id.empty() ? limits_.bytes_max : limits_.bytes_max / 8 * 7;
    out.bytes += span.size();
    out.has_root |= usage.parent_id.empty();
    if (out.json.size() + span.size() > room) {
      ++out.left_out;
    } else {
      out.json += (++out.said == 1 ? "{\"spans\":[" : ",") + span;
    }
    if (out.usage.size() <= summed_spans_max) out.usage.push_back(std::move(usage));
    return true;
  });
  if (!read) return read.error();
  if (out.said > 0) out.json += "]}";
  if (out.usage.size() > summed_spans_max) out.usage.clear();
  return out;
}

void MlflowSpans::was_said(const std::string& trace_id, const Artifact& artifact, Instant now) {
  if (artifact.left_out > 0) {
    left_out_total_.Increment(static_cast<double>(artifact.left_out));
    spdlog::warn("event=mlflow_spans_left_out trace_bytes={} said={} left_out={}", artifact.bytes, artifact.said,
                 artifact.left_out);
  }
  was_lost(trace_id);  // to its table of spans
  gather(trace_id, artifact.bytes, limits_.again_per_mb, now);
}

Result<MlflowSpans::Request> MlflowSpans::request(const std::string& trace_id, const std::string& otlp_trace_id,
                                                  const std::string& after, const std::set<std::string>& news) {
  Request out;
  std::string fields, last;
  const bool all = !sent_.contains(trace_id);
  const auto read = marks_.each_span_after(trace_id, after, [&](std::string_view id, const std::string& json) {
    if (!all && !news.contains(std::string(id))) return true;
    const auto span = mlflow::otlp_span(json, otlp_trace_id);
    if (!span) {
      left_out_total_.Increment();
      return true;
    }
    if (!fields.empty() && fields.size() + span->field.size() > limits_.request_bytes_max) {
      out.last = last;
      return false;
    }
    fields += span->field;
    last = id;
    out.first_ms = std::min(out.first_ms.value_or(span->start_ms), span->start_ms);
    out.last_ms = std::max(out.last_ms.value_or(span->end_ms), span->end_ms);
    return true;
  });
  if (!read) return read.error();
  if (!fields.empty()) out.body = mlflow::otlp_request(fields);
  return out;
}

void MlflowSpans::was_sent(const std::string& trace_id, std::size_t bytes, Instant now) {
  if (bytes < megabyte) return;
  if (sent_.size() >= gathering_max) sent_.clear();  // then they are said again
  sent_.insert(trace_id);
  gather(trace_id, bytes, limits_.sent_again_per_mb, now);
}

void MlflowSpans::gather(const std::string& trace_id, std::size_t bytes, std::chrono::milliseconds per_mb,
                         Instant now) {
  if (again_at_.size() >= gathering_max) std::erase_if(again_at_, [now](const auto& at) { return at.second <= now; });
  if (bytes < megabyte) return;
  const auto megabytes = static_cast<std::int64_t>(bytes / megabyte);
  again_at_[trace_id] = now + std::min(limits_.again_max, megabytes * per_mb);
}

std::optional<Instant> MlflowSpans::gathers(const std::string& trace_id, Instant now) const {
  const auto at = again_at_.find(trace_id);
  if (at == again_at_.end() || at->second <= now) return {};
  const bool clock_was_set_back = at->second > now + limits_.again_max;
  return clock_was_set_back ? std::nullopt : std::optional(at->second);
}

}  // namespace assay
