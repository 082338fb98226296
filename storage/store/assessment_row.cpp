#include "storage/store/assessment_row.hpp"

#include <algorithm>
#include <array>
#include <tuple>

#include "storage/records/json_reader.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/records/valid_json.hpp"
#include "storage/store/bytes.hpp"
#include "storage/store/raw_json.hpp"

namespace assay {
namespace {

constexpr std::uint8_t assessment_format = 1;
constexpr std::string_view metadata_prefix = "metadata.";

Stamp stamp_of(const AssessmentRecord& record) {
  return {record.accepted_at.time_since_epoch().count(), record.record_id};
}

std::string unquoted(std::string_view json) {
  thread_local simdjson::dom::parser parser;
  std::string_view text;
  if (parser.parse(json.data(), json.size()).get_string().get(text)) return {};
  return std::string(text);
}

std::size_t bytes_of(const std::map<std::string, AssessmentRow::Register>& changes) {
  std::size_t bytes = 0;
  for (const auto& [path, change] : changes) bytes += path.size() + change.json.size();
  return bytes;
}

}  // namespace

Result<bool, Malformed> AssessmentRow::apply(const AssessmentRecord& record, Partition partition, Offset offset) {
  switch (record.op) {
    case Op::create:
      return create(record, partition, offset);
    case Op::update:
      return change(record);
    case Op::erase:
      return erase();
  }
  return Malformed{"op is not create, update or delete"};
}

Result<bool, Malformed> AssessmentRow::create(const AssessmentRecord& record, Partition partition, Offset offset) {
  // One pass that also checks every value: what is kept here is read back by others.
  thread_local simdjson::dom::parser parser;
  simdjson::dom::object object;
  std::string_view name, overrides;
  if (parser.parse(record.json).get_object().get(object)) return Malformed{"assessment is not valid JSON"};
  if (object["assessment_name"].get_string().get(name)) return Malformed{"assessment has no assessment_name"};
  if (name.find('\0') != name.npos) return Malformed{"assessment_name holds a NUL"};
  if (object["overrides"].get_string().get(overrides)) overrides = {};
  if (deleted_) return false;
  auto stamp = stamp_of(record);
  if (base_ && std::tie(base_->stamp, base_->partition, base_->offset) <= std::tie(stamp, partition, offset))
    return false;
  base_ = Base{std::move(stamp),       partition,  offset, record.client_request_id, std::string(name),
               std::string(overrides), record.json};
  return true;
}

Result<bool, Malformed> AssessmentRow::change(const AssessmentRecord& record) {
  if (!is_json(record.json)) return Malformed{"assessment is not valid JSON"};
  thread_local JsonReader reader;
  auto object = reader.parse(record.json);
  if (!object) return Malformed{object.error()};
  if (deleted_) return false;
  const auto stamp = stamp_of(record);
  auto changes = changes_;
  bool changed = false;
  const auto set = [&](std::string path, std::string_view json) {
    auto [at, added] = changes.try_emplace(std::move(path), Register{stamp, std::string(json)});
    if (!added && stamp <= at->second.stamp) return;
    at->second = {stamp, std::string(json)};
    changed = true;
  };
  const bool ok = for_each_field(*object, [&](std::string_view name, simdjson::ondemand::value value) {
    if (name == "assessment_id" || name == "trace_id" || name == "valid" || name == "overrides") return true;
    if (name == "metadata") {
      simdjson::ondemand::object metadata;
      if (value.get_object().get(metadata)) return true;  // null: nothing to merge
      return for_each_field(metadata, [&](std::string_view key, simdjson::ondemand::value v) {
        std::string path(metadata_prefix);
        path += key;
        const auto raw = raw_json(v);
        if (raw) set(std::move(path), *raw);
        return raw.has_value();
      });
    }
    const auto raw = raw_json(value);
    if (raw) set(std::string(name), *raw);
    return raw.has_value();
  });
  if (!ok) return Malformed{"assessment is not valid JSON"};
  if (changes.size() > assessment_changes_max && changes.size() > changes_.size())
    return Malformed{"what changes say of an assessment is at most " + std::to_string(assessment_changes_max) +
                     " fields and entries of metadata: with this one there would be more"};
  if (const auto bytes = bytes_of(changes); bytes > assessment_change_bytes_max && bytes > bytes_of(changes_))
    return Malformed{"what changes say of an assessment is at most " +
                     std::to_string(assessment_change_bytes_max >> 20) + " MB: with this one it would be more"};
  changes_ = std::move(changes);
  return changed;
}

bool AssessmentRow::erase() {
  if (deleted_) return false;
  deleted_ = true;
  base_.reset();
  changes_.clear();
  return true;
}

std::string AssessmentRow::name() const {
  if (const auto at = changes_.find("assessment_name"); at != changes_.end())
    if (auto renamed = unquoted(at->second.json); !renamed.empty() && renamed.find('\0') == renamed.npos)
      return renamed;
  return base_ ? base_->name : std::string();
}

bool AssessmentRow::is_expectation() const {
  thread_local simdjson::dom::parser parser;
  return base_ && !parser.parse(base_->json)["expectation"].error();
}

std::int64_t AssessmentRow::created_at() const {
  thread_local simdjson::dom::parser parser;
  std::string_view text;
  if (!parser.parse(base_->json)["create_time"].get_string().get(text))
    if (const auto time = parse_time(text)) return time->time_since_epoch().count();
  return base_->stamp.accepted_at;
}

Instant AssessmentRow::after() const {
  std::int64_t last = base_ ? base_->stamp.accepted_at : 0;
  for (const auto& [path, change] : changes_) last = std::max(last, change.stamp.accepted_at);
  return Instant(std::chrono::milliseconds(last + 1));
}

std::string AssessmentRow::json(bool valid) const {
  static constexpr std::array<std::string_view, 11> order = {
      "assessment_id",    "assessment_name", "trace_id",    "span_id",   "source",   "create_time",
      "last_update_time", "feedback",        "expectation", "rationale", "overrides"};
  std::map<std::string, std::string, std::less<>> fields, metadata;
  JsonReader reader;
  if (auto object = reader.parse(base_->json)) {
    for_each_field(*object, [&](std::string_view name, simdjson::ondemand::value value) {
      if (name == "metadata") {
        simdjson::ondemand::object entries;
        if (value.get_object().get(entries)) return true;
        return for_each_field(entries, [&](std::string_view key, simdjson::ondemand::value v) {
          const std::string owned(key);
          if (const auto raw = raw_json(v)) metadata.insert_or_assign(owned, std::string(*raw));
          return true;
        });
      }
      const std::string owned(name);
      if (const auto raw = raw_json(value)) fields.insert_or_assign(owned, std::string(*raw));
      return true;
    });
  }
  // A base that says valid:false stays so.
  const auto was_valid = fields.find("valid");
  valid = valid && (was_valid == fields.end() || was_valid->second != "false");
  fields.erase("valid");
  for (const auto& [path, change] : changes_) {
    if ((path == "feedback" || path == "expectation") && !fields.contains(path)) continue;
    const bool of_metadata = path.starts_with(metadata_prefix);
    auto& into = of_metadata ? metadata : fields;
    const auto name = of_metadata ? path.substr(metadata_prefix.size()) : path;
    if (change.json == "null")
      into.erase(name);
    else
      into.insert_or_assign(name, change.json);
  }
  std::string out;
  JsonWriter writer(out);
  writer.begin_object();
  for (const auto name : order)
    if (const auto at = fields.find(name); at != fields.end()) {
      writer.raw_field(name, at->second);
      fields.erase(at);
    }
  for (const auto& [name, raw] : fields) writer.raw_field(name, raw);
  if (!metadata.empty()) {
    writer.key("metadata").begin_object();
    for (const auto& [name, raw] : metadata) writer.raw_field(name, raw);
    writer.end_object();
  }
  writer.field("valid", valid).end_object();
  return out;
}

// DO NOT CHANGE: format(1) has_base(1) [accepted_at(8) record_id partition(4) offset(8) client_request_id name
// overrides json] count(4) { path accepted_at(8) record_id json }…, strings preceded by their length(4).
std::string AssessmentRow::encode() const {
  std::string out;
  out.reserve(96 + (base_ ? base_->json.size() + base_->name.size() : 0) + changes_.size() * 96);
  ByteWriter bytes(out);
  bytes.u8(assessment_format);
  bytes.u8(base_.has_value());
  if (base_) {
    bytes.u64(static_cast<std::uint64_t>(base_->stamp.accepted_at));
    bytes.text(base_->stamp.record_id);
    bytes.u32(static_cast<std::uint32_t>(base_->partition));
    bytes.u64(static_cast<std::uint64_t>(base_->offset));
    for (const auto* text : {&base_->client_request_id, &base_->name, &base_->overrides, &base_->json})
      bytes.text(*text);
  }
  bytes.u32(static_cast<std::uint32_t>(changes_.size()));
  for (const auto& [path, change] : changes_) {
    bytes.text(path);
    bytes.u64(static_cast<std::uint64_t>(change.stamp.accepted_at));
    bytes.text(change.stamp.record_id);
    bytes.text(change.json);
  }
  return out;
}

std::optional<AssessmentRow> AssessmentRow::decode(std::string_view encoded) {
  ByteReader bytes(encoded);
  AssessmentRow row;
  if (bytes.u8() != assessment_format) return {};
  if (bytes.u8()) {
    auto& base = row.base_.emplace();
    base.stamp.accepted_at = static_cast<std::int64_t>(bytes.u64());
    base.stamp.record_id = bytes.text();
    base.partition = static_cast<Partition>(bytes.u32());
    base.offset = static_cast<Offset>(bytes.u64());
    for (auto* text : {&base.client_request_id, &base.name, &base.overrides, &base.json}) *text = bytes.text();
  }
  for (auto n = bytes.u32(); n > 0 && bytes.ok(); --n) {
    std::string path(bytes.text());
    Register change;
    change.stamp.accepted_at = static_cast<std::int64_t>(bytes.u64());
    change.stamp.record_id = bytes.text();
    change.json = bytes.text();
    row.changes_.emplace_hint(row.changes_.end(), std::move(path), std::move(change));
  }
  if (!bytes.at_end()) return {};
  return row;
}

}  // namespace assay
