#include "ingest/mlflow/dataset_upsert.hpp"

#include <boost/json/serialize.hpp>

#include "ingest/mlflow/dataset_json.hpp"
#include "ops/runtime/ids.hpp"
#include "storage/records/exact_json.hpp"

namespace assay {
namespace {

namespace json = boost::json;

constexpr std::string_view user_tag = "mlflow.user";

std::string text_of(const json::value* value) {
  const auto* text = value ? value->if_string() : nullptr;
  return text ? std::string(text->data(), text->size()) : std::string();
}

// A value as it is kept; empty: there is none.
std::string kept(const json::value* value) {
  return !value || value->is_null() ? std::string() : json::serialize(*value);
}

const json::object* object_in(const json::object& from, std::string_view name) {
  const auto* value = from.if_contains(name);
  return value ? value->if_object() : nullptr;
}

// Where the record came from: {"source_type", "source_data"}.
std::optional<MlflowError> read_source(const json::object& from, DatasetRecord& record) {
  const auto* source = object_in(from, "source");
  if (!source) return {};
  auto type = text_of(source->if_contains("source_type"));
  for (auto& c : type)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  if (type != "UNSPECIFIED" && type != "TRACE" && type != "HUMAN" && type != "DOCUMENT" && type != "CODE")
    return invalid_parameter("Invalid dataset record source type: " + type +
                             ". Valid source types: ['UNSPECIFIED', 'TRACE', 'HUMAN', 'DOCUMENT', 'CODE']");
  json::object data;
  if (const auto* given = object_in(*source, "source_data")) data = *given;
  record.source_type = type;
  record.source_id = text_of(data.if_contains(type == "TRACE" ? "trace_id" : "source_id"));
  json::object out{{"source_type", type}};
  out["source_data"] = std::move(data);
  record.source = json::serialize(out);
  return {};
}

}  // namespace

void MergedText::add(const std::string& text, const json::object& more) {
  if (!whole_) {
    boost::system::error_code ec;
    auto parsed = text.empty() ? json::value() : parse_stored_json(text, ec);
    whole_ = parsed.is_object() ? std::move(parsed.get_object()) : json::object();
  }
  for (const auto& [key, value] : more) (*whole_)[key] = value;
}

void MergedText::write(std::string& text) const {
  if (whole_) text = json::serialize(*whole_);
}

Result<std::optional<MlflowError>> DatasetUpsert::add(const json::value& sent) {
  using Problem = std::optional<MlflowError>;
  const auto* from = sent.if_object();
  if (!from) return Problem(invalid_parameter("records: one of them is not an object"));
  const auto* inputs = from->if_contains("inputs");
  const auto hash = hash_of_inputs(inputs ? *inputs : json::value(json::object()));
  if (const auto* tags = object_in(*from, "tags"))
    if (const auto* user = tags->if_contains(user_tag)) user_ = text_of(user);
  if (const auto at = by_hash_.find(hash); at != by_hash_.end()) {
    merge(*from, changing_[at->second]);
    ++updated_;
    return Problem();
  }
  auto existing = catalog_.record_of_inputs(dataset_id_, hash);
  if (!existing) return existing.error();
  Changing changing;
  if (*existing) {
    changing.record = std::move(**existing);
    merge(*from, changing);
    ++updated_;
  } else {
    auto record = fresh(*from, hash);
    if (!record) return Problem(record.error());
    changing.record = std::move(*record);
    ++inserted_;
  }
  by_hash_[hash] = changing_.size();
  changing_.push_back(std::move(changing));
  return Problem();
}

void DatasetUpsert::merge(const json::object& from, Changing& into) {
  auto& record = into.record;
  if (const auto* outputs = from.if_contains("outputs")) record.outputs = kept(outputs);
  if (const auto* expectations = object_in(from, "expectations"); expectations && !expectations->empty())
    into.expectations.add(record.expectations, *expectations);
  if (const auto* tags = object_in(from, "tags"); tags && !tags->empty()) {
    into.tags.add(record.tags, *tags);
    if (const auto* user = tags->if_contains(user_tag)) record.last_updated_by = text_of(user);
  }
  record.last_update_time = now_;
}

Result<DatasetRecord, MlflowError> DatasetUpsert::fresh(const json::object& from, const std::string& hash) const {
  DatasetRecord record{.dataset_record_id = random_id("dr-"), .dataset_id = dataset_id_, .input_hash = hash};
  const auto* inputs = from.if_contains("inputs");
  record.inputs = inputs ? kept(inputs) : "{}";
  const auto* outputs = from.if_contains("outputs");
  record.outputs = outputs ? kept(outputs) : "{}";
  record.expectations = kept(from.if_contains("expectations"));
  record.tags = kept(from.if_contains("tags"));
  if (const auto* tags = object_in(from, "tags"))
    record.created_by = record.last_updated_by = text_of(tags->if_contains(user_tag));
  record.created_time = record.last_update_time = now_;
  if (auto problem = read_source(from, record)) return std::move(*problem);
  return record;
}

std::vector<DatasetRecord> DatasetUpsert::finish() {
  std::vector<DatasetRecord> out;
  for (auto& [record, expectations, tags] : changing_) {
    expectations.write(record.expectations);
    tags.write(record.tags);
    out.push_back(std::move(record));
  }
  changing_.clear();
  return out;
}

}  // namespace assay
