#include "storage/sinks/mlflow_json.hpp"

#include <simdjson.h>

#include <algorithm>
#include <charconv>

#include "storage/records/json_reader.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/records/utf8.hpp"
#include "storage/sinks/mlflow_columns.hpp"
#include "storage/sinks/mlflow_json_text.hpp"
#include "storage/store/feedback_tag.hpp"
#include "storage/store/raw_json.hpp"

namespace assay::mlflow {
namespace {

// Calls visit(name, raw text of the value) for every field of an object.
template <class Visit>
void each_raw(std::string_view json, Visit visit) {
  JsonReader reader;
  auto object = reader.parse(json);
  if (!object) return;
  for_each_field(*object, [&](std::string_view name, simdjson::ondemand::value value) {
    const std::string owned(name);
    if (const auto raw = raw_json(value)) visit(owned, *raw);
    return true;
  });
}

std::string text_of(std::string_view raw) {
  simdjson::dom::parser parser;
  std::string_view text;
  if (parser.parse(raw.data(), raw.size()).get_string().get(text)) return {};
  return std::string(text);
}

std::string text_at(simdjson::dom::element root, std::string_view pointer) {
  std::string_view text;
  if (root.at_pointer(pointer).get_string().get(text)) return {};
  return std::string(text);
}

}  // namespace

bool is_located(bool has_location, std::string_view state) {
  return has_location || (!state.empty() && state != "IN_PROGRESS");
}

TraceFacts facts_of(std::string_view json) {
  simdjson::dom::parser parser;
  simdjson::dom::element info;
  TraceFacts facts;
  if (parser.parse(json.data(), json.size()).get(info)) return facts;
  facts.experiment.text = text_at(info, "/trace_metadata/" + std::string(experiment_name_key));
  facts.experiment.is_name = !facts.experiment.text.empty();
  if (!facts.experiment.is_name)
    facts.experiment.text = text_at(info, "/trace_location/mlflow_experiment/experiment_id");
  const auto state = text_at(info, "/state");
  facts.located = is_located(info.at_pointer("/trace_location").error() == simdjson::SUCCESS, state);
  facts.final = state == "OK" || state == "ERROR";
  return facts;
}

bool TraceTimes::are_moved_by(std::int64_t first_ms, std::int64_t last_ms) const {
  return !begin_ms || first_ms < *begin_ms || (end_ms && last_ms > *end_ms);
}

static TraceTimes times_in(simdjson::dom::element root) {
  TraceTimes out;
  const auto begin = parse_time(text_at(root, "/request_time"));
  if (!begin) return out;
  out.begin_ms = begin->time_since_epoch().count();
  if (const auto lasted = duration_ms(text_at(root, "/execution_duration"))) out.end_ms = *out.begin_ms + *lasted;
  return out;
}

TraceTimes times_of(std::string_view info) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  return parser.parse(info.data(), info.size()).get(root) ? TraceTimes() : times_in(root);
}

// Where spans are: our store says it of itself; MLflow decides it for its own, and answers 404 to a trace whose spans
// it is told to have.
static bool is_places(std::string_view tag) {
  return tag == "mlflow.trace.spansLocation" || tag == "mlflow.artifactLocation";
}

// Of what its tables don't hold it refuses the whole trace.
static void write_fitted(JsonWriter& json, std::string_view key, std::string_view raw) {
  if (raw == "null") return;
  if (!raw.starts_with('"')) return static_cast<void>(json.raw_field(key, raw));
  if (const auto value = fitted(key, text_of(raw))) json.field(key, *value);
}

std::string start_trace(std::string_view info, std::string_view experiment_id, std::string_view tag) {
  std::string out, long_id, metadata, tags;
  JsonWriter json(out);
  json.begin_object().key("trace").begin_object().key("trace_info").begin_object();
  each_raw(info, [&](const std::string& name, std::string_view raw) {
    if (name == "assessments" || raw == "null" || name == "trace_location") return;
    if (name == "trace_metadata") {
      metadata = raw;
    } else if (name == "tags") {
      tags = raw;
    } else if (name == "request_preview" || name == "response_preview") {
      if (const auto preview = fitted_preview(text_of(raw))) json.field(name, *preview);
    } else if (name == "client_request_id" && characters(text_of(raw)) > client_request_id_max) {
      long_id = text_of(raw);
    } else {
      json.raw_field(name, raw);
    }
  });
  json.key("trace_location").begin_object().field("type", "MLFLOW_EXPERIMENT");
  json.key("mlflow_experiment").begin_object().field("experiment_id", experiment_id).end_object().end_object();
  json.key("trace_metadata").begin_object();
  bool has_version = false;
  each_raw(metadata, [&](const std::string& key, std::string_view raw) {
    has_version |= key == "mlflow.trace_schema.version";
    write_fitted(json, key, raw);
  });
  if (!has_version) json.field("mlflow.trace_schema.version", "3");  // how a reader knows where its spans are
  if (!long_id.empty()) json.field(long_request_id, long_id);
  json.end_object().key("tags").begin_object();
  each_raw(tags, [&](const std::string& key, std::string_view raw) {
    if (key != feedback_tag_name && !is_places(key)) write_fitted(json, key, raw);
  });
  if (!tag.empty()) json.field(feedback_tag_name, tag);
  json.end_object().end_object().end_object().end_object();
  return out;
}

std::string tag_body(std::string_view key, std::string_view value) {
  std::string out;
  JsonWriter(out).begin_object().field("key", key).field("value", value).end_object();
  return out;
}

std::string key_of_tag_body(std::string_view body) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  return parser.parse(body.data(), body.size()).get(root) ? "" : text_at(root, "/key");
}

std::string untag_body(std::string_view key) {
  std::string out;
  JsonWriter(out).begin_object().field("key", key).end_object();
  return out;
}

std::vector<std::string> tag_bodies(std::string_view info) {
  std::vector<std::string> out;
  each_raw(info, [&](const std::string& name, std::string_view raw) {
    if (name != "tags") return;
    each_raw(raw, [&](const std::string& key, std::string_view value) {
      if (value == "null" || is_places(key) || key == feedback_tag_name) return;
      if (const auto tag = fitted(key, text_of(value))) out.push_back(tag_body(key, *tag));
    });
  });
  return out;
}

std::string create_assessment(const AssessmentRecord& record, bool gone) {
  if (!gone) return "{\"assessment\":" + record.json + "}";
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("assessment").begin_object();
  each_raw(record.json, [&](const std::string& name, std::string_view raw) {
    if (name != "overrides") json.raw_field(name, raw);
  });
  json.end_object().end_object();
  return out;
}

std::string overridden_by(const AssessmentRecord& record) {
  std::string out;
  if (record.json.find("overrides") == record.json.npos) return out;
  each_raw(record.json, [&](const std::string& name, std::string_view raw) {
    if (name == "overrides") out = text_of(raw);
  });
  return out;
}

std::optional<std::string> update_assessment(const AssessmentRecord& record,
                                             const std::function<bool(const std::string& path)>& wins) {
  std::string out, mask;
  JsonWriter json(out);
  json.begin_object().key("assessment").begin_object();
  each_raw(record.json, [&](const std::string& name, std::string_view raw) {
    if (name == "assessment_id" || name == "trace_id") {
      json.raw_field(name, raw);
    } else if (name == "metadata") {
      std::string entries;
      JsonWriter inner(entries);
      inner.begin_object();
      each_raw(raw, [&](const std::string& key, std::string_view value) {
        if (value != "null" && wins("metadata." + key)) inner.raw_field(key, value);
      });
      inner.end_object();
      if (entries == "{}") return;
      json.raw_field(name, entries);
      mask += mask.empty() ? "metadata" : ",metadata";
    } else if (name == "feedback" || name == "expectation" || name == "rationale" || name == "assessment_name") {
      if (!wins(name)) return;
      json.raw_field(name, raw);
      mask += (mask.empty() ? "" : ",") + (name == "assessment_name" ? "assessmentName" : name);
    }
  });
  json.end_object().field("update_mask", mask).end_object();
  if (mask.empty()) return {};
  return out;
}

std::string delete_assessment(const AssessmentRecord& record) {
  std::string out;
  JsonWriter(out)
      .begin_object()
      .field("trace_id", record.trace_id)
      .field("assessment_id", record.assessment_id)
      .end_object();
  return out;
}

std::string delete_trace(std::string_view experiment_id, std::string_view trace_id) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("experiment_id", experiment_id).key("request_ids").begin_array().value(trace_id);
  json.end_array().end_object();
  return out;
}

std::optional<SeenTrace> seen_trace(std::string_view body, const ChangedAt& changed_at) {
  simdjson::dom::parser parser;
  simdjson::dom::element root, info;
  if (parser.parse(body.data(), body.size()).get(root) || root.at_pointer("/trace/trace_info").get(info)) return {};
  SeenTrace out;
  out.experiment_id = text_at(info, "/trace_location/mlflow_experiment/experiment_id");
  std::string_view tag;
  simdjson::dom::object tags;
  if (!info["tags"].get(tags) && !tags[feedback_tag_name].get(tag)) out.tag = tag;
  out.name = text_at(info, "/tags/" + std::string(trace_name_tag));
  out.times = times_in(info);
  std::vector<TaggedValue> values;
  simdjson::dom::array assessments;
  if (!info["assessments"].get(assessments)) {
    for (const auto assessment : assessments) {
      simdjson::dom::element value;
      bool valid = true;
      if (assessment["feedback"].get(value) || (!assessment["valid"].get(valid) && !valid)) continue;
      const auto time = [&](std::string_view field) {
        return parse_time(text_at(assessment, field)).value_or(Instant());
      };
      auto id = text_at(assessment, "/assessment_id");
      const auto updated = changed_at(id).value_or(time("/last_update_time"));
      values.push_back({.name = text_at(assessment, "/assessment_name"),
                        .last = {updated, time("/create_time")},
                        .id = std::move(id),
                        .value = feedback_value(simdjson::minify(assessment))});
    }
  }
  out.wanted_tag = feedback_tag(std::move(values));
  return out;
}

std::optional<std::string> experiment_id_of(std::string_view body) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (parser.parse(body.data(), body.size()).get(root)) return {};
  auto id = text_at(root, "/experiment/experiment_id");
  if (id.empty()) id = text_at(root, "/experiment_id");
  if (id.empty()) return {};
  return id;
}

// The beginning of what somebody answered, as text that a dead letter can quote.
static std::string quoted(std::string_view said, std::size_t bytes_max) {
  std::string out(utf8_prefix(said, bytes_max));
  if (simdjson::validate_utf8(out.data(), out.size())) return out;
  std::ranges::replace_if(
      out, [](unsigned char c) { return c >= 0x80; }, '?');
  return out;
}

Failure failure_of(std::string_view body) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (parser.parse(body.data(), body.size()).get(root)) return {"", quoted(body, 200)};
  auto message = text_at(root, "/message");
  if (message.empty()) message = text_at(root, "/detail");  // what is not of its own API
  return {text_at(root, "/error_code"), quoted(message, 500)};
}

FeedbackRecord feedback_of(const AssessmentRecord& record) {
  FeedbackRecord out{.op = record.op, .accepted_at = record.accepted_at};
  // "u-1#2": so that the next replay is the third attempt.
  if (const auto mark = record.record_id.rfind('#'); mark != std::string::npos)
    std::from_chars(&record.record_id[mark] + 1, record.record_id.data() + record.record_id.size(), out.attempt);
  if (record.client_request_id.empty())
    out.target = {Target::Kind::trace_id, record.trace_id};
  else
    out.target = {Target::Kind::client_request_id, record.client_request_id};
  auto& item = out.items.emplace_back(FeedbackItem{record.record_id, record.assessment_id, {}});
  JsonWriter json(item.json);
  json.begin_object();
  each_raw(record.json, [&](const std::string& name, std::string_view raw) {
    if (name != "trace_id") json.raw_field(name, raw);
  });
  json.end_object();
  return out;
}

}  // namespace assay::mlflow
