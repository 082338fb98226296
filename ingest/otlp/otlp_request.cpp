#include "ingest/otlp/otlp_request.hpp"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <map>
#include <optional>

#include "ingest/mlflow/tag_routes.hpp"
#include "ingest/otlp/otlp_protobuf.hpp"
#include "ops/runtime/base64.hpp"
#include "ops/runtime/hex.hpp"
#include "ops/runtime/ids.hpp"
#include "storage/records/exact_json.hpp"
#include "storage/records/python_numbers.hpp"
#include "storage/records/python_text.hpp"
#include "storage/records/utf8.hpp"
#include "storage/store/trace_row.hpp"

namespace assay {
namespace {

namespace json = boost::json;

constexpr std::size_t preview_characters_max = 1000;
constexpr std::string_view tag_prefix = "mlflow.traceTag.";

std::string dumped(const json::value& value) { return python_json(value, {.ascii = false}); }

// What an exporter that can't say an object has written as JSON in a text: MLflow takes an object, a list or a text so,
// and leaves a lone number or word the text that it is.
std::optional<json::value> json_in(const json::value& value) {
  const auto* text = value.if_string();
  if (!text) return {};
  const auto start = text->subview(std::min(text->find_first_not_of(" \t\r\n"), text->size()));
  if (start.empty() || std::string_view("{[\"").find(start.front()) == std::string_view::npos) return {};
  json::parse_options options;
  options.max_depth = stored_depth_max;
  boost::system::error_code ec;
  auto inner = parse_python_json({text->data(), text->size()}, ec, options);
  if (ec) return {};
  return inner;
}

// An attribute's value as MLflow keeps it: JSON in a string.
std::string attribute_text(const json::value& value) {
  return json_in(value) ? std::string(value.get_string().data(), value.get_string().size()) : dumped(value);
}

std::string our_trace_id(std::string_view id) { return std::string(trace_prefix) + to_hex(id); }

std::string kept_text(const json::value& value) {
  const auto* text = value.if_string();
  return text ? std::string(text->data(), text->size()) : dumped(value);
}

// As much of it as MLflow keeps of a tag.
std::string tag_text(const json::value& value) { return std::string(utf8_first(kept_text(value), tag_characters_max)); }

Instant milliseconds(std::uint64_t nanoseconds) {
  return Instant(std::chrono::milliseconds(static_cast<std::int64_t>(nanoseconds / 1'000'000)));
}

std::string_view code_of(int status) {
  return status == 1 ? "STATUS_CODE_OK" : status == 2 ? "STATUS_CODE_ERROR" : "STATUS_CODE_UNSET";
}

json::object span_json(const OtlpSpan& span, const std::string& trace_id) {
  json::object out;
  out["trace_id"] = to_base64(span.trace_id);
  out["span_id"] = to_base64(span.span_id);
  if (span.parent_id.empty())
    out["parent_span_id"] = nullptr;
  else
    out["parent_span_id"] = to_base64(span.parent_id);
  out["name"] = span.name;
  out["start_time_unix_nano"] = span.start;
  if (span.end)
    out["end_time_unix_nano"] = span.end;
  else
    out["end_time_unix_nano"] = nullptr;
  json::array events;
  for (const auto& event : span.events) {
    json::object to{{"name", event.name}, {"time_unix_nano", event.time}};
    to["attributes"] = event.attributes;
    events.push_back(std::move(to));
  }
  out["events"] = std::move(events);
  json::object status{{"code", code_of(span.status)}};
  status["message"] = span.status_message;
  out["status"] = std::move(status);
  json::object attributes;
  for (const auto& [key, value] : span.attributes) attributes[key] = attribute_text(value);
  attributes["mlflow.traceRequestId"] = "\"" + trace_id + "\"";
  out["attributes"] = std::move(attributes);
  json::array links;
  for (const auto& link : span.links) {
    json::object to{{"trace_id", our_trace_id(link.trace_id)}, {"span_id", to_hex(link.span_id)}};
    if (link.attributes.empty())
      to["attributes"] = nullptr;
    else
      to["attributes"] = link.attributes;
    links.push_back(std::move(to));
  }
  out["links"] = std::move(links);
  return out;
}

// The last message of a role, where this is a conversation as OpenAI writes it.
const json::value* last_message(const json::object& from, std::string_view role) {
  const auto is_message = [](const json::value& value) {
    return value.is_object() && value.get_object().contains("role") && value.get_object().contains("content");
  };
  for (const std::string_view field : {"messages", "input", "output"}) {
    const auto* list = from.if_contains(field);
    if (!list || !list->is_array() || list->get_array().empty()) continue;
    const json::value *last = nullptr, *any = nullptr;
    for (const auto& message : list->get_array()) {
      if (!is_message(message)) continue;
      any = &message;
      const auto* of = message.get_object().at("role").if_string();
      if (of && std::string_view(of->data(), of->size()) == role) last = &message;
    }
    return last ? last : any;
  }
  if (const auto* choices = from.if_contains("choices");
      choices && choices->is_array() && !choices->get_array().empty())
    if (const auto& first = choices->get_array()[0]; first.is_object())
      if (const auto* message = first.get_object().if_contains("message"); message && is_message(*message))
        return message;
  if (const auto* request = from.if_contains("request"); request && request->is_object())
    return last_message(request->get_object(), role);
  return nullptr;
}

// What a message says: its content, or the first text among its parts; empty: it says none.
std::string text_of(const json::value& message) {
  const auto text_in = [](const json::value* value) {
    const auto* text = value ? value->if_string() : nullptr;
    return text ? std::string(text->data(), text->size()) : std::string();
  };
  const auto& content = message.get_object().at("content");
  if (!content.is_array()) return text_in(&content);
  for (const auto& part : content.get_array()) {
    if (part.is_string()) return text_in(&part);
    const auto* fields = part.if_object();
    const auto type = fields ? text_in(fields->if_contains("type")) : std::string();
    if (type == "text" || type == "output_text") return text_in(fields->if_contains("text"));
  }
  return {};
}

std::string preview_of(const json::value& value, std::string_view role) {
  std::string text;
  const auto inner = json_in(value);
  if (const auto& said = inner ? *inner : value; said.is_object())
    if (const auto* message = last_message(said.get_object(), role)) text = text_of(*message);
  if (text.empty()) text = attribute_text(value);
  if (utf8_characters(text) <= preview_characters_max) return text;
  return std::string(utf8_first(text, preview_characters_max - 3)) + "...";
}

struct Gathered {
  std::vector<json::object> spans;
  std::uint64_t start = ~std::uint64_t{0}, end = 0;
  const OtlpSpan* root = nullptr;
  json::object tags, metadata;
};

struct Tags {
  json::object entries;
  std::size_t bytes = 0;  // about what a copy of them takes
};

Tags tags_of(const OtlpResource& resource) {
  Tags tags;
  for (const auto& [key, value] : resource.attributes) {
    const std::string_view name(key.data(), key.size());
    if (name.starts_with("telemetry.sdk.") || name.starts_with("mlflow.") || problem_with_tag_name(name)) continue;
    const auto text = tag_text(value);
    tags.bytes += name.size() + text.size() + 32;
    tags.entries[key] = text;
  }
  return tags;
}

void gather(const OtlpSpan& span, const std::string& trace_id, Gathered& into) {
  into.spans.push_back(span_json(span, trace_id));
  into.start = std::min(into.start, span.start);
  into.end = std::max(into.end, span.end);
  for (const std::string_view key : {"session.id", "gen_ai.conversation.id"})
    if (const auto* session = span.attributes.if_contains(key);
        session && !into.metadata.contains("mlflow.trace.session"))
      into.metadata["mlflow.trace.session"] = kept_text(*session);
  if (const auto* user = span.attributes.if_contains("user.id"); user && !into.metadata.contains("mlflow.trace.user"))
    into.metadata["mlflow.trace.user"] = kept_text(*user);
  if (!span.parent_id.empty()) return;
  into.root = &span;
  for (const auto& [key, value] : span.attributes) {
    std::string_view name(key.data(), key.size());
    if (!name.starts_with(tag_prefix)) continue;
    name.remove_prefix(tag_prefix.size());
    if (!problem_with_tag_name(name)) into.tags[name] = tag_text(value);
  }
}

std::string info_of(const std::string& trace_id, const OtlpExperiment& experiment, const Gathered& trace) {
  json::object info{{"trace_id", trace_id}};
  json::object with_id{{"experiment_id", experiment.id}}, location{{"type", "MLFLOW_EXPERIMENT"}};
  location["mlflow_experiment"] = std::move(with_id);
  info["trace_location"] = std::move(location);
  info["request_time"] = format_time(milliseconds(trace.start));
  if (trace.end) info["end_time"] = format_time(milliseconds(trace.end));
  info["state"] = !trace.root ? "IN_PROGRESS" : trace.root->status == 2 ? "ERROR" : "OK";
  if (trace.root) {
    if (const auto* inputs = trace.root->attributes.if_contains("mlflow.spanInputs"))
      info["request_preview"] = preview_of(*inputs, "user");
    if (const auto* outputs = trace.root->attributes.if_contains("mlflow.spanOutputs"))
      info["response_preview"] = preview_of(*outputs, "assistant");
  }
  if (!trace.tags.empty()) info["tags"] = trace.tags;
  auto metadata = trace.metadata;
  if (!experiment.name.empty()) metadata[experiment_name_key] = experiment.name;
  if (!metadata.empty()) info["trace_metadata"] = std::move(metadata);
  return json::serialize(info);
}

OtlpProblem why_not_read(const OtlpRoom& room, const OtlpLimits& limits) {
  if (!room.is_full) return {400, "Invalid OpenTelemetry format"};
  return {413, "one request has at most " + std::to_string(limits.spans_max) + " spans, and " +
                   std::to_string(limits.parts_max) + " events, links and resources"};
}

OtlpProblem too_much_of_a_trace() {
  return {413, "the attributes that one of its traces keeps as tags are more than " +
                   std::to_string(trace_entries_max) + ", or larger than " +
                   std::to_string(trace_info_bytes_max >> 20) + " MB"};
}

OtlpProblem too_many_tags(std::size_t bytes_max) {
  return {413, "the attributes of its resources, which each of its traces keeps as tags, are together larger than " +
                   std::to_string(bytes_max) + " bytes"};
}

// Which of its times is none that we, or MLflow's tables, can hold.
std::string_view unreadable_time_of(const OtlpSpan& span) {
  constexpr auto last = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (span.start > last) return "startTimeUnixNano";
  if (span.end > last) return "endTimeUnixNano";
  return std::ranges::any_of(span.events, [](const auto& event) { return event.time > last; }) ? "timeUnixNano" : "";
}

Result<std::vector<TraceRecord>, OtlpProblem> records_of(const std::vector<OtlpResource>& resources,
                                                         const OtlpExperiment& experiment, Instant now,
                                                         const OtlpLimits& limits) {
  if (resources.empty()) return OtlpProblem{400, "Invalid OpenTelemetry format - no spans found"};
  std::map<std::string, Gathered> traces;
  std::vector<std::string> order;
  std::size_t tag_bytes = 0;
  for (const auto& resource : resources) {
    const auto tags = tags_of(resource);
    for (const auto& span : resource.spans) {
      if (span.trace_id.size() != 16 || span.span_id.size() != 8 ||
          (!span.parent_id.empty() && span.parent_id.size() != 8))
        return OtlpProblem{422, "Cannot convert OpenTelemetry span to MLflow span"};
      if (const auto field = unreadable_time_of(span); !field.empty())
        return OtlpProblem{400, "Invalid OpenTelemetry format: " + std::string(field) +
                                    " is not a number of nanoseconds since 1970 below 2^63"};
      const auto id = our_trace_id(span.trace_id);
      const auto [at, fresh] = traces.try_emplace(id);
      if (fresh) order.push_back(id);
      if (auto& own = at->second.tags; own.empty() && !tags.entries.empty()) {
        tag_bytes += tags.bytes;
        if (tag_bytes > limits.tag_bytes_max) return too_many_tags(limits.tag_bytes_max);
        own = tags.entries;
      }
      gather(span, id, at->second);
    }
  }
  std::vector<TraceRecord> out;
  for (const auto& id : order) {
    const auto& trace = traces.at(id);
    const auto info = info_of(id, experiment, trace);
    const auto entries = trace.tags.size() + trace.metadata.size();
    constexpr std::size_t prefix_bytes = 16;  // of the name that an entry has in its trace's row
    if (entries >= trace_entries_max || info.size() + entries * prefix_bytes > trace_info_bytes_max)
      return too_much_of_a_trace();
    std::string spans;
    const auto flush = [&] {
      if (spans.empty()) return;
      out.push_back({.from_spans = true, .trace_id = id, .accepted_at = now, .info = info, .spans = "[" + spans + "]"});
      spans.clear();
    };
    for (const auto& span : trace.spans) {
      const auto text = python_json(span, {.ascii = false});
      if (!spans.empty() && spans.size() + text.size() > limits.record_bytes_max) flush();
      spans += (spans.empty() ? "" : ",") + text;
    }
    flush();
  }
  return out;
}

}  // namespace

Result<std::vector<TraceRecord>, OtlpProblem> parse_otlp(std::string_view protobuf, const OtlpExperiment& experiment,
                                                         Instant now, const OtlpLimits& limits) {
  OtlpRoom room{limits.spans_max, limits.parts_max};
  const auto resources = read_otlp_protobuf(protobuf, room);
  if (!resources) return why_not_read(room, limits);
  return records_of(*resources, experiment, now, limits);
}

Result<std::vector<TraceRecord>, OtlpProblem> parse_otlp_json(std::string_view text, const OtlpExperiment& experiment,
                                                              Instant now, const OtlpLimits& limits) {
  OtlpRoom room{limits.spans_max, limits.parts_max};
  const auto resources = read_otlp_json(text, room);
  if (!resources) return why_not_read(room, limits);
  return records_of(*resources, experiment, now, limits);
}

}  // namespace assay
