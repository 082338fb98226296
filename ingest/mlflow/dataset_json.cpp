#include "ingest/mlflow/dataset_json.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <boost/json/serialize.hpp>

#include "ops/runtime/hex.hpp"
#include "ops/runtime/ids.hpp"
#include "storage/records/exact_json.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/records/python_numbers.hpp"
#include "storage/records/python_text.hpp"

namespace assay {
namespace {

namespace json = boost::json;

json::value sorted(const json::value& value) {
  if (const auto* list = value.if_array()) {
    json::array out;
    for (const auto& element : *list) out.push_back(sorted(element));
    return out;
  }
  const auto* object = value.if_object();
  if (!object) return value;
  std::vector<std::string> keys;
  for (const auto& [key, inner] : *object) keys.emplace_back(key.data(), key.size());
  std::sort(keys.begin(), keys.end());
  json::object out;
  for (const auto& key : keys) out[key] = sorted(object->at(key));
  return out;
}

std::string_view type_of(const json::value& value) {
  if (value.is_null()) return "null";
  if (value.is_bool()) return "boolean";
  if (value.is_int64() || value.is_uint64()) return "integer";
  if (value.is_double() || python_number(value)) return "float";
  if (value.is_string()) return "string";
  return value.is_array() ? "array" : "object";
}

void put(json::object& out, std::string_view name, const std::string& text) {
  if (!text.empty()) out[name] = text;
}

void put_json(json::object& out, std::string_view name, const std::string& text) {
  if (text.empty()) return;
  boost::system::error_code ec;
  auto value = parse_stored_json(text, ec);
  if (!ec) out[name] = std::move(value);
}

void extend(json::object& schema, const json::object& record) {
  for (const std::string_view part : {"inputs", "outputs", "expectations"}) {
    const auto* value = record.if_contains(part);
    if (!value || value->is_null()) continue;
    auto& into = schema[part];
    if (value->is_object()) {
      if (!into.is_object()) continue;
      for (const auto& [key, inner] : value->get_object())
        if (!into.get_object().contains(key)) into.get_object()[key] = type_of(inner);
    } else if (part == "outputs" && into.is_object() && into.get_object().empty()) {
      into = type_of(*value);
    }
  }
}

}  // namespace

std::string dataset_json(const Dataset& d, bool with_experiments) {
  json::object tags;
  for (const auto& [key, value] : d.tags) tags[key] = value;
  std::string out;
  JsonWriter writer(out);
  writer.begin_object().field("dataset_id", d.dataset_id).field("name", d.name).field("tags", python_json(tags));
  if (!d.schema.empty()) writer.field("schema", d.schema);
  if (!d.profile.empty()) writer.field("profile", d.profile);
  writer.field("digest", d.digest).field("created_time", d.created_time).field("last_update_time", d.last_update_time);
  if (!d.created_by.empty()) writer.field("created_by", d.created_by);
  if (!d.last_updated_by.empty()) writer.field("last_updated_by", d.last_updated_by);
  if (with_experiments && !d.experiment_ids.empty()) {
    writer.key("experiment_ids").begin_array();
    for (const auto& id : d.experiment_ids) writer.value(id);
    writer.end_array();
  }
  writer.end_object();
  return out;
}

json::object record_json(const DatasetRecord& r) {
  json::object out{{"dataset_record_id", r.dataset_record_id}, {"dataset_id", r.dataset_id}};
  put_json(out, "inputs", r.inputs);
  put_json(out, "expectations", r.expectations);
  put_json(out, "tags", r.tags.empty() ? "{}" : r.tags);
  put_json(out, "source", r.source);
  put(out, "source_id", r.source_id);
  put(out, "source_type", r.source_type);
  out["created_time"] = r.created_time;
  out["last_update_time"] = r.last_update_time;
  put(out, "created_by", r.created_by);
  put(out, "last_updated_by", r.last_updated_by);
  put_json(out, "outputs", r.outputs);
  return out;
}

std::string dataset_digest(std::string_view name, std::int64_t time) {
  const auto input = std::string(name) + ":" + std::to_string(time);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_Digest(input.data(), input.size(), digest, &size, EVP_sha256(), nullptr);
  return to_hex({reinterpret_cast<const char*>(digest), 4});
}

std::string hash_of_inputs(const json::value& inputs) { return derived_id("", {python_json(sorted(inputs))}); }

std::string extended_schema(const std::string& schema, const json::array& records) {
  boost::system::error_code ec;
  auto parsed = schema.empty() ? json::value() : parse_stored_json(schema, ec);
  json::object out;
  if (parsed.is_object())
    out = parsed.get_object();
  else
    out = {
        {"inputs", json::object()}, {"outputs", json::object()}, {"expectations", json::object()}, {"version", "1.0"}};
  for (const auto& record : records) extend(out, record.get_object());
  return python_json(out);
}

}  // namespace assay
