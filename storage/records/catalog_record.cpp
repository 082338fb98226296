#include "storage/records/catalog_record.hpp"

#include <boost/json/serialize.hpp>

#include "storage/records/exact_json.hpp"

namespace assay {
namespace {

namespace json = boost::json;

// Each struct's fields, once for writing and once for reading.
template <class Visitor, class T>
requires std::same_as<std::remove_const_t<T>, Experiment>
void each_field(Visitor& visit, T& e) {
  visit("experiment_id", e.experiment_id);
  visit("name", e.name);
  visit("artifact_location", e.artifact_location);
  visit("deleted", e.deleted);
  visit("creation_time", e.creation_time);
  visit("last_update_time", e.last_update_time);
  visit("tags", e.tags);
}

template <class Visitor, class T>
requires std::same_as<std::remove_const_t<T>, Dataset>
void each_field(Visitor& visit, T& d) {
  visit("dataset_id", d.dataset_id);
  visit("name", d.name);
  visit("digest", d.digest);
  visit("schema", d.schema);
  visit("profile", d.profile);
  visit("created_by", d.created_by);
  visit("last_updated_by", d.last_updated_by);
  visit("created_time", d.created_time);
  visit("last_update_time", d.last_update_time);
  visit("tags", d.tags);
  visit("experiment_ids", d.experiment_ids);
}

template <class Visitor, class T>
requires std::same_as<std::remove_const_t<T>, DatasetRecord>
void each_field(Visitor& visit, T& r) {
  visit("dataset_record_id", r.dataset_record_id);
  visit("dataset_id", r.dataset_id);
  visit("input_hash", r.input_hash);
  visit("inputs", r.inputs);
  visit("outputs", r.outputs);
  visit("expectations", r.expectations);
  visit("tags", r.tags);
  visit("source", r.source);
  visit("source_id", r.source_id);
  visit("source_type", r.source_type);
  visit("created_by", r.created_by);
  visit("last_updated_by", r.last_updated_by);
  visit("created_time", r.created_time);
  visit("last_update_time", r.last_update_time);
}

struct Writer {
  json::object out;
  void operator()(std::string_view name, const std::string& text) {
    if (!text.empty()) out[name] = text;
  }
  void operator()(std::string_view name, bool flag) {
    if (flag) out[name] = true;
  }
  void operator()(std::string_view name, std::int64_t number) { out[name] = number; }
  void operator()(std::string_view name, const std::map<std::string, std::string>& map) {
    json::object entries;
    for (const auto& [key, value] : map) entries[key] = value;
    if (!entries.empty()) out[name] = std::move(entries);
  }
  void operator()(std::string_view name, const std::vector<std::string>& list) {
    json::array elements(list.begin(), list.end());
    if (!elements.empty()) out[name] = std::move(elements);
  }
};

std::string text_of(const json::value& value) {
  const auto* text = value.if_string();
  return text ? std::string(text->data(), text->size()) : std::string();
}

struct Reader {
  const json::object& from;
  const json::value* at(std::string_view name) const { return from.if_contains(name); }
  void operator()(std::string_view name, std::string& text) {
    if (const auto* value = at(name)) text = text_of(*value);
  }
  void operator()(std::string_view name, bool& flag) {
    const auto* value = at(name);
    flag = value && value->is_bool() && value->get_bool();
  }
  void operator()(std::string_view name, std::int64_t& number) {
    if (const auto* value = at(name); value && value->is_int64()) number = value->get_int64();
  }
  void operator()(std::string_view name, std::map<std::string, std::string>& map) {
    const auto* value = at(name);
    if (!value || !value->is_object()) return;
    for (const auto& [key, entry] : value->get_object()) map[std::string(key.data(), key.size())] = text_of(entry);
  }
  void operator()(std::string_view name, std::vector<std::string>& list) {
    const auto* value = at(name);
    if (!value || !value->is_array()) return;
    for (const auto& element : value->get_array()) list.push_back(text_of(element));
  }
};

template <class T>
Record record_of(std::string key, std::string_view name, const T& what, Instant at) {
  Writer writer;
  each_field(writer, what);
  json::object value{{"v", 1}, {"accepted_at", format_time(at)}};
  value[name] = std::move(writer.out);
  return {.stream = Stream::catalog, .key = std::move(key), .value = json::serialize(value), .accepted_at = at};
}

std::string dataset_key(std::string_view dataset_id) { return "dataset/" + std::string(dataset_id); }

template <class T>
CatalogValue read(const json::object& from) {
  T out;
  Reader reader{from};
  each_field(reader, out);
  return out;
}

}  // namespace

Record to_record(const Experiment& experiment, Instant at) {
  return record_of("experiment/" + experiment.experiment_id, "experiment", experiment, at);
}
Record to_record(const Dataset& dataset, Instant at) {
  return record_of(dataset_key(dataset.dataset_id), "dataset", dataset, at);
}
Record to_record(const DatasetRecord& record, Instant at) {
  return record_of(dataset_key(record.dataset_id) + "/" + record.dataset_record_id, "dataset_record", record, at);
}
Record end_of_dataset(std::string_view dataset_id, Instant at) {
  return {.stream = Stream::catalog, .key = dataset_key(dataset_id), .value = {}, .accepted_at = at};
}
Record end_of_dataset_record(std::string_view dataset_id, std::string_view record_id, Instant at) {
  return {.stream = Stream::catalog,
          .key = dataset_key(dataset_id) + "/" + std::string(record_id),
          .value = {},
          .accepted_at = at};
}

std::optional<CatalogKey> parse_catalog_key(std::string_view key) {
  const auto slash = key.find('/');
  if (slash == key.npos) return {};
  const auto kind = key.substr(0, slash);
  auto rest = key.substr(slash + 1);
  if (kind == "experiment" && !rest.empty()) return CatalogKey{CatalogKey::Kind::experiment, std::string(rest), {}};
  if (kind != "dataset") return {};
  const auto second = rest.find('/');
  const auto id = rest.substr(0, second);
  if (id.empty()) return {};
  if (second == rest.npos) return CatalogKey{CatalogKey::Kind::dataset, std::string(id), {}};
  rest.remove_prefix(second + 1);
  if (rest.empty()) return {};
  return CatalogKey{CatalogKey::Kind::dataset_record, std::string(id), std::string(rest)};
}

Result<CatalogValue, Malformed> parse_catalog_record(std::string_view value) {
  boost::system::error_code ec;
  const auto parsed = parse_json({value.data(), value.size()}, ec);
  if (ec) return Malformed{ec.message()};
  const auto* object = parsed.if_object();
  if (!object) return Malformed{"it is not an object"};
  const auto* version = object->if_contains("v");
  if (!version || !version->is_int64() || version->get_int64() != 1)
    return Malformed{"v is not a version this program knows"};
  const auto inner = [&](std::string_view name) {
    const auto* at = object->if_contains(name);
    return at ? at->if_object() : nullptr;
  };
  if (const auto* experiment = inner("experiment")) return read<Experiment>(*experiment);
  if (const auto* dataset = inner("dataset")) return read<Dataset>(*dataset);
  if (const auto* record = inner("dataset_record")) return read<DatasetRecord>(*record);
  return Malformed{"it holds neither an experiment nor a dataset nor a dataset_record"};
}

}  // namespace assay
