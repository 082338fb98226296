#include "storage/store/trace_row.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "ops/runtime/ids.hpp"
#include "ops/runtime/parse_number.hpp"
#include "storage/records/duration_text.hpp"
#include "storage/records/json_reader.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/records/utf8.hpp"
#include "storage/records/valid_json.hpp"
#include "storage/store/bytes.hpp"
#include "storage/store/raw_json.hpp"

namespace assay {
namespace {

constexpr std::uint8_t trace_format = 1;
constexpr std::string_view tags = "tags.", metadata = "trace_metadata.";
const std::string experiment_path = std::string(metadata).append(experiment_name_key);
constexpr std::size_t shown_key = 250, shown_metadata = 250, shown_tag = 4096;  // characters

using Level = TraceRank::Level;

// On disk: DO NOT CHANGE THESE VALUES.
std::uint8_t code_of(Level level) {
  switch (level) {
    case Level::provisional:
      return 0;
    case Level::final:
      return 1;
    case Level::inferred:
      return 2;
    case Level::ended:
      return 3;
  }
  return 0;
}

Level level_of(std::uint8_t code) {
  constexpr std::array<Level, 4> levels{Level::provisional, Level::final, Level::inferred, Level::ended};
  return code < levels.size() ? levels[code] : Level::provisional;
}

// "1.5s" -> 1500
std::optional<std::int64_t> milliseconds_of(std::string_view duration) {
  if (!duration.ends_with('s')) return {};
  const auto seconds = parse_number<double>(duration.substr(0, duration.size() - 1));
  if (!seconds) return {};
  return std::llround(*seconds * 1000);
}

void write(ByteWriter& bytes, const TraceRank& rank) {
  bytes.u8(code_of(rank.level));
  bytes.u64(static_cast<std::uint64_t>(rank.accepted_at));
  bytes.u64(rank.content);
}

TraceRank read_rank(ByteReader& bytes) {
  TraceRank rank;
  rank.level = level_of(bytes.u8());
  rank.accepted_at = static_cast<std::int64_t>(bytes.u64());
  rank.content = bytes.u64();
  return rank;
}

}  // namespace

Result<bool, Malformed> TraceRow::apply(const TraceRecord& record) {
  thread_local simdjson::dom::parser parser;
  simdjson::dom::object info;
  if (parser.parse(record.info).get_object().get(info)) return Malformed{"trace_info is not valid JSON"};
  std::string_view state;
  const bool in_progress = !info["state"].get_string().get(state) && state == "IN_PROGRESS";
  const auto level = record.from_spans ? Level::inferred : in_progress ? Level::provisional : Level::final;
  const TraceRank rank{level, record.accepted_at.time_since_epoch().count(), content_hash({record.info})};
  // Of tags what was said last counts, by whomever. A state that is not stated gives way to the root's end, as
  // MLflow has it.
  const TraceRank open_rank{Level::provisional, rank.accepted_at, rank.content};

  thread_local JsonReader reader;
  auto object = reader.parse(record.info);
  if (!object) return Malformed{object.error()};
  const auto before = size();
  bool changed = false;
  const bool ok = for_each_field(*object, [&](std::string_view name, simdjson::ondemand::value value) {
    if (name == "trace_id" || name == "assessments") return true;
    std::string path(name);
    if (name == "tags" || name == "trace_metadata") {
      const auto& of = name == "tags" ? open_rank : rank;
      simdjson::ondemand::object entries;
      if (value.get_object().get(entries)) return true;
      return for_each_field(entries, [&](std::string_view key, simdjson::ondemand::value v) {
        auto entry = path + "." + std::string(key);
        const auto raw = raw_json(v);
        const bool inferred = record.from_spans && name != "tags";
        if (raw) changed |= inferred ? set_inferred(std::move(entry), of, *raw) : set(std::move(entry), of, *raw);
        return raw.has_value();
      });
    }
    const auto raw = raw_json(value);
    const bool unstated = path == "state" && raw == R"("STATE_UNSPECIFIED")" && !record.from_spans;
    const auto& of = unstated ? open_rank : rank;
    if (raw) changed |= record.from_spans ? set_inferred(std::move(path), of, *raw) : set(std::move(path), of, *raw);
    return raw.has_value();
  });
  if (!ok) return Malformed{"trace_info can't be read"};
  const auto now = size();
  if (now.entries > trace_entries_max && now.entries > before.entries)
    return Malformed{"a trace has at most " + std::to_string(trace_entries_max) +
                     " tags and entries of metadata: this one would have more"};
  if (now.bytes > trace_info_bytes_max && now.bytes > before.bytes)
    return Malformed{"of a trace itself at most " + std::to_string(trace_info_bytes_max >> 20) +
                     " MB are kept: this would be more"};
  return changed;
}

TraceRow::Size TraceRow::size() const {
  Size out;
  for (const auto& [path, field] : fields_) {
    out.entries += path.starts_with(tags) || path.starts_with(metadata);
    out.bytes += path.size() + field.json.size();
  }
  return out;
}

// Times as text compare as times do: they are all of one length but for the fraction, which parse_time settles.
bool TraceRow::set_inferred(std::string path, const TraceRank& rank, std::string_view json) {
  auto own = rank;
  if (path == "state" && json != R"("IN_PROGRESS")") own.level = Level::ended;
  const bool start = path == "request_time", end = path == "end_time";
  const auto at = fields_.find(path);
  if ((path == "trace_location" || path.starts_with(metadata)) && at != fields_.end()) {
    if (at->second.rank.level != Level::inferred || at->second.rank <= own) return false;
    at->second = {own, std::string(json)};
    return true;
  }
  if ((!start && !end) || at == fields_.end()) return set(std::move(path), own, json);
  if (at->second.rank.level != Level::inferred) return false;
  const auto known = parse_time(std::string_view(at->second.json).substr(1, at->second.json.size() - 2));
  const auto given = parse_time(json.substr(1, json.size() - 2));
  if (!known || !given || (start ? *given >= *known : *given <= *known)) return false;
  at->second = {own, std::string(json)};
  return true;
}

bool TraceRow::set(std::string path, const TraceRank& rank, std::string_view json) {
  auto [at, added] = fields_.try_emplace(std::move(path), Register{rank, std::string(json)});
  if (added) return true;
  if (rank <= at->second.rank) return false;
  at->second = {rank, std::string(json)};
  return true;
}

bool TraceRow::is_concluded() const {
  return std::all_of(fields_.begin(), fields_.end(), [](const auto& field) {
    const auto level = field.second.rank.level;
    return level == Level::inferred || level == Level::ended || field.first.starts_with(tags);
  });
}

bool TraceRow::may_conclude(const std::string& path) const {
  const auto at = fields_.find(path);
  return at == fields_.end() || at->second.rank.level == Level::inferred;
}

// Whatever the order of records, the last conclusion is of the same spans: it has no time.
void TraceRow::conclude(const std::string& path, std::string_view json) {
  if (!may_conclude(path)) return;
  if (json.empty())
    fields_.erase(path);
  else
    fields_[path] = {{Level::inferred}, std::string(json)};
}

std::string TraceRow::text(const std::string& path) const {
  const auto at = fields_.find(path);
  if (at == fields_.end()) return {};
  thread_local simdjson::dom::parser parser;
  std::string_view view;
  if (parser.parse(at->second.json).get_string().get(view) || view.find('\0') != view.npos) return {};
  return std::string(view);
}

std::string TraceRow::experiment_id() const {
  const auto at = fields_.find("trace_location");
  if (at == fields_.end()) return {};
  thread_local simdjson::dom::parser parser;
  std::string_view id;
  if (parser.parse(at->second.json).at_pointer("/mlflow_experiment/experiment_id").get_string().get(id) ||
      id.find('\0') != id.npos)
    return {};
  return std::string(id);
}

std::string TraceRow::client_request_id() const { return text("client_request_id"); }

Instant TraceRow::time() const {
  if (const auto at = parse_time(text("request_time"))) return *at;
  const auto location = fields_.find("trace_location");
  return Instant(std::chrono::milliseconds(location == fields_.end() ? 0 : location->second.rank.accepted_at));
}

std::optional<std::int64_t> TraceRow::duration_ms() const {
  if (const auto duration = text_at("execution_duration")) return milliseconds_of(*duration);
  const auto end = parse_time(text("end_time"));
  if (!end) return {};
  return (*end - time()).count();
}

std::optional<std::string> TraceRow::text_at(const std::string& path) const {
  const auto at = fields_.find(path);
  if (at == fields_.end() || at->second.json == "null") return {};
  thread_local simdjson::dom::parser parser;
  std::string_view view;
  if (parser.parse(at->second.json).get_string().get(view)) return {};
  return std::string(view);
}

void TraceRow::each(std::string_view prefix,
                    const std::function<void(std::string_view, const std::string&)>& visit) const {
  for (auto at = fields_.lower_bound(std::string(prefix)); at != fields_.end() && at->first.starts_with(prefix); ++at)
    if (const auto value = text_at(at->first)) visit(std::string_view(at->first).substr(prefix.size()), *value);
}

Instant TraceRow::after() const {
  std::int64_t last = 0;
  for (const auto& [path, field] : fields_) last = std::max(last, field.rank.accepted_at);
  return Instant(std::chrono::milliseconds(last + 1));
}

std::optional<std::string> TraceRow::tag(std::string_view key, std::string_view trace_id, bool has_spans) const {
  const auto path = std::string(tags).append(key);
  if (fields_.contains(path)) return text_at(path);
  if (key == spans_location_tag && has_spans) return "TRACKING_STORE";
  if (key == artifact_location_tag)
    return "mlflow-artifacts:/" + experiment_id() + "/traces/" + std::string(trace_id) + "/artifacts";
  return {};
}

// A name of the experiment belongs to the location that was said with it; another one may stand by now.
bool TraceRow::names_location(const Register& experiment_name) const {
  const auto location = fields_.find("trace_location");
  return location != fields_.end() && location->second.rank == experiment_name.rank;
}

std::string TraceRow::info_json(std::string_view trace_id, std::string_view feedback_tag, std::string_view assessments,
                                bool has_spans, Texts texts) const {
  static constexpr std::array<const char*, 5> first = {"client_request_id", "trace_location", "request_time",
                                                       "execution_duration", "state"};
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("trace_id", trace_id);
  const auto present = [](const Register& field) { return field.json != "null"; };
  for (const auto* name : first)
    if (const auto at = fields_.find(name); at != fields_.end() && present(at->second))
      json.raw_field(name, at->second.json);
  if (!fields_.contains("execution_duration"))
    if (const auto duration = duration_ms()) json.field("execution_duration", duration_text(*duration));
  const auto group = [&](std::string_view prefix, std::string_view tag) {
    bool any = false;
    const auto entry = [&](std::string_view key) -> JsonWriter& {
      if (!any) json.key(prefix.substr(0, prefix.size() - 1)).begin_object();
      any = true;
      return json.key(texts == Texts::shown ? utf8_first(key, shown_key) : key);
    };
    const auto write = [&](const std::string& path, const Register& field) {
      auto& at = entry(std::string_view(path).substr(prefix.size()));
      const auto most = prefix == tags ? shown_tag : shown_metadata;
      const auto text = texts == Texts::shown && field.json.size() > most + 2 ? text_at(path) : std::nullopt;
      if (text)
        at.value(utf8_first(*text, most));
      else
        at.raw(field.json);
    };
    for (auto at = fields_.lower_bound(std::string(prefix)); at != fields_.end() && at->first.starts_with(prefix); ++at)
      if (present(at->second) &&
          (at->first != experiment_path || (texts == Texts::whole && names_location(at->second))))
        write(at->first, at->second);
    if (!tag.empty() && !text_at("tags.assay.feedback")) entry("assay.feedback").value(tag);
    if (prefix == tags) {
      for (const auto key : {spans_location_tag, artifact_location_tag})
        if (!fields_.contains(std::string(tags).append(key)))
          if (const auto value = this->tag(key, trace_id, has_spans)) entry(key).value(*value);
    }
    if (any) json.end_object();
  };
  group(metadata, "");
  group(tags, feedback_tag);
  for (const auto& [path, field] : fields_)
    if (present(field) && path != "end_time" && !path.starts_with(tags) && !path.starts_with(metadata) &&
        std::find(first.begin(), first.end(), path) == first.end())
      json.raw_field(path, field.json);
  if (!assessments.empty()) json.raw_field("assessments", assessments);
  json.end_object();
  return out;
}

// DO NOT CHANGE: format(1) count(4) { path level(1) accepted_at(8) content(8) json }…, strings preceded by their
// length(4).
std::string TraceRow::encode() const {
  std::string out;
  ByteWriter bytes(out);
  bytes.u8(trace_format);
  bytes.u32(static_cast<std::uint32_t>(fields_.size()));
  for (const auto& [path, field] : fields_) {
    bytes.text(path);
    write(bytes, field.rank);
    bytes.text(field.json);
  }
  return out;
}

std::optional<TraceRow> TraceRow::decode(std::string_view encoded) {
  ByteReader bytes(encoded);
  TraceRow row;
  if (bytes.u8() != trace_format) return {};
  for (auto n = bytes.u32(); n > 0 && bytes.ok(); --n) {
    std::string path(bytes.text());
    Register field;
    field.rank = read_rank(bytes);
    field.json = bytes.text();
    row.fields_.emplace_hint(row.fields_.end(), std::move(path), std::move(field));
  }
  if (!bytes.at_end()) return {};
  return row;
}

// DO NOT CHANGE: format(1) level(1) accepted_at(8) content(8) json.
std::string SpanRow::encode() const {
  std::string out;
  ByteWriter bytes(out);
  bytes.u8(trace_format);
  write(bytes, rank);
  bytes.text(json);
  return out;
}

std::optional<SpanRow> SpanRow::decode(std::string_view encoded) {
  ByteReader bytes(encoded);
  SpanRow row;
  if (bytes.u8() != trace_format) return {};
  row.rank = read_rank(bytes);
  row.json = bytes.text();
  if (!bytes.at_end()) return {};
  return row;
}

std::optional<SpanHead> SpanRow::decode_head(std::string_view encoded) {
  ByteReader bytes(encoded);
  SpanHead head;
  if (bytes.u8() != trace_format) return {};
  head.rank = read_rank(bytes);
  head.bytes = bytes.text().size();
  if (!bytes.at_end()) return {};
  return head;
}

Result<std::map<std::string, SpanRow>, Malformed> spans_of(const TraceRecord& record) {
  std::map<std::string, SpanRow> out;
  if (record.spans.empty()) return out;
  if (!is_json(record.spans)) return Malformed{"spans is not valid JSON"};
  thread_local JsonReader reader;
  // The reader takes objects.
  auto object = reader.parse("{\"spans\":" + record.spans + "}");
  if (!object) return Malformed{object.error()};
  simdjson::ondemand::array list;
  if ((*object)["spans"].get_array().get(list)) return Malformed{"spans is not a list"};
  for (auto element : list) {
    simdjson::ondemand::object span;
    std::string_view id, raw;
    if (element.get_object().get(span)) return Malformed{"spans holds what is not an object"};
    if (span.find_field_unordered("span_id").get_string().get(id) || id.empty() || id.find('\0') != id.npos)
      return Malformed{"a span has no span_id"};
    std::string span_id(id);
    if (span.reset().error() || span.raw_json().get(raw)) return Malformed{"a span can't be read"};
    raw = raw.substr(0, raw.find_last_of('}') + 1);
    // A span that has not ended is not final.
    const bool ended = raw.find("\"end_time_unix_nano\":null") == raw.npos;
    SpanRow row{
        {ended ? Level::final : Level::provisional, record.accepted_at.time_since_epoch().count(), content_hash({raw})},
        std::string(raw)};
    auto [at, added] = out.try_emplace(std::move(span_id), row);
    if (!added && at->second.rank < row.rank) at->second = std::move(row);
  }
  return out;
}

}  // namespace assay
