#include <algorithm>
#include <boost/json/serialize.hpp>
#include <charconv>

#include "ingest/mlflow/dataset_json.hpp"
#include "ingest/mlflow/dataset_routes.hpp"
#include "ops/runtime/base64.hpp"
#include "ops/runtime/ids.hpp"
#include "storage/records/exact_json.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/records/python_numbers.hpp"
#include "storage/records/python_text.hpp"
#include "storage/store/catalog.hpp"

namespace assay {
namespace {

namespace json = boost::json;

constexpr std::size_t records_max = 10'000;  // of one request
constexpr std::string_view user_tag = "mlflow.user";

std::string text_of(const json::value* value) {
  const auto* text = value ? value->if_string() : nullptr;
  return text ? std::string(text->data(), text->size()) : std::string();
}

// A value as it is kept; empty: there is none.
std::string kept(const json::value* value) {
  return !value || value->is_null() ? std::string() : json::serialize(*value);
}

// Where the record came from: {"source_type", "source_data"}.
std::optional<MlflowError> read_source(const json::object& from, DatasetRecord& record) {
  const auto* source = from.if_contains("source");
  if (!source || !source->is_object()) return {};
  auto type = text_of(source->get_object().if_contains("source_type"));
  for (auto& c : type)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  if (type != "UNSPECIFIED" && type != "TRACE" && type != "HUMAN" && type != "DOCUMENT" && type != "CODE")
    return invalid_parameter("Invalid dataset record source type: " + type +
                             ". Valid source types: ['UNSPECIFIED', 'TRACE', 'HUMAN', 'DOCUMENT', 'CODE']");
  json::object data;
  if (const auto* given = source->get_object().if_contains("source_data"); given && given->is_object())
    data = given->get_object();
  record.source_type = type;
  record.source_id = text_of(data.if_contains(type == "TRACE" ? "trace_id" : "source_id"));
  json::object out{{"source_type", type}};
  out["source_data"] = std::move(data);
  record.source = json::serialize(out);
  return {};
}

// `text`, a JSON object or nothing, with the members of `more`.
std::string merged(const std::string& text, const json::object& more) {
  json::object out;
  boost::system::error_code ec;
  json::parse_options options;
  options.max_depth = stored_depth_max;
  if (auto parsed = text.empty() ? json::value() : parse_json(text, ec, options); parsed.is_object())
    out = parsed.get_object();
  for (const auto& [key, value] : more) out[key] = value;
  return json::serialize(out);
}

void merge(const json::object& from, std::int64_t now, DatasetRecord& record) {
  if (const auto* outputs = from.if_contains("outputs")) record.outputs = kept(outputs);
  const auto* expectations = from.if_contains("expectations");
  if (expectations && expectations->is_object() && !expectations->get_object().empty())
    record.expectations = merged(record.expectations, expectations->get_object());
  const auto* tags = from.if_contains("tags");
  if (tags && tags->is_object() && !tags->get_object().empty()) {
    record.tags = merged(record.tags, tags->get_object());
    if (const auto* user = tags->get_object().if_contains(user_tag)) record.last_updated_by = text_of(user);
  }
  record.last_update_time = now;
}

Result<DatasetRecord, MlflowError> fresh(const json::object& from, const std::string& dataset_id,
                                         const std::string& hash, std::int64_t now) {
  DatasetRecord record{.dataset_record_id = random_id("dr-"), .dataset_id = dataset_id, .input_hash = hash};
  const auto* inputs = from.if_contains("inputs");
  record.inputs = inputs ? kept(inputs) : "{}";
  const auto* outputs = from.if_contains("outputs");
  record.outputs = outputs ? kept(outputs) : "{}";
  record.expectations = kept(from.if_contains("expectations"));
  record.tags = kept(from.if_contains("tags"));
  if (const auto* tags = from.if_contains("tags"); tags && tags->is_object())
    record.created_by = record.last_updated_by = text_of(tags->get_object().if_contains(user_tag));
  record.created_time = record.last_update_time = now;
  if (auto problem = read_source(from, record)) return std::move(*problem);
  return record;
}

struct Upserted {
  std::vector<DatasetRecord> records;
  std::size_t inserted = 0, updated = 0;
  std::string user;
};

Result<Result<Upserted, MlflowError>> upsert(const Catalog& catalog, const std::string& dataset_id,
                                             const json::array& list, std::int64_t now) {
  using Inner = Result<Upserted, MlflowError>;
  Upserted out;
  std::map<std::string, std::size_t> by_hash;
  for (const auto& element : list) {
    const auto* from = element.if_object();
    if (!from) return Inner(invalid_parameter("records: one of them is not an object"));
    const auto* inputs = from->if_contains("inputs");
    const auto hash = hash_of_inputs(inputs ? *inputs : json::value(json::object()));
    if (const auto* tags = from->if_contains("tags"); tags && tags->is_object())
      if (const auto* user = tags->get_object().if_contains(user_tag)) out.user = text_of(user);
    if (const auto at = by_hash.find(hash); at != by_hash.end()) {
      merge(*from, now, out.records[at->second]);
      ++out.updated;
      continue;
    }
    auto existing = catalog.record_of_inputs(dataset_id, hash);
    if (!existing) return existing.error();
    by_hash[hash] = out.records.size();
    if (*existing) {
      merge(*from, now, **existing);
      out.records.push_back(std::move(**existing));
      ++out.updated;
    } else {
      auto record = fresh(*from, dataset_id, hash, now);
      if (!record) return Inner(record.error());
      out.records.push_back(std::move(*record));
      ++out.inserted;
    }
  }
  return Inner(std::move(out));
}

Result<std::size_t> count_records(const Catalog& catalog, std::string_view dataset_id) {
  std::size_t count = 0;
  const auto visited = catalog.records(dataset_id, {}, [&](const DatasetRecord&) { return ++count > 0; });
  if (!visited) return visited.error();
  return count;
}

std::string profile_of(std::size_t count) { return R"({"num_records": )" + std::to_string(count) + "}"; }

Task<Response> upsert_records(MlflowDoor& door, Request& request) {
  const std::string id(request.params[0]);
  const auto body = read_body(request);
  if (!body) co_return error_response(body.error());
  const auto text = required_text(*body, "records");
  if (!text) co_return error_response(text.error());
  boost::system::error_code ec;
  json::parse_options options;
  options.max_depth = 64;
  const auto parsed = parse_python_json(*text, ec, options);
  if (ec || !parsed.is_array()) co_return error_response(invalid_parameter("records: it is not a list as JSON"));
  if (parsed.get_array().size() > records_max)
    co_return error_response(invalid_parameter("records: there are more than 10000"));
  const auto turn = co_await door.catalog.enter(door.config.view_wait);
  if (!turn) co_return error_response(request.path, make_error_code(Error::timed_out));
  auto refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);
  const Catalog catalog(door.view->kv());
  auto dataset = catalog.dataset(id);
  if (!dataset) co_return read_failed(request, dataset.error());
  if (!*dataset) {
    MlflowError unknown{"BAD_REQUEST", "Evaluation dataset with id '" + id + "' not found"};
    co_return error_response(unknown);
  }
  const auto now = door.clock.now();
  const auto ms = now.time_since_epoch().count();
  const auto done = upsert(catalog, id, parsed.get_array(), ms);
  if (!done) co_return read_failed(request, done.error());
  if (!*done) co_return error_response(done->error());
  const auto before = count_records(catalog, id);
  if (!before) co_return read_failed(request, before.error());
  auto& state = **dataset;
  for (const auto& element : parsed.get_array()) state.schema = extended_schema(state.schema, element.get_object());
  if (const auto count = *before + (*done)->inserted; count > 0) state.profile = profile_of(count);
  state.digest = dataset_digest(state.name, ms);
  state.last_update_time = ms;
  state.last_updated_by = (*done)->user;
  std::vector<Record> records;
  for (const auto& record : (*done)->records) records.push_back(to_record(record, now));
  records.push_back(to_record(state, now));
  refused = co_await write_all(door, request, std::move(records));
  if (refused) co_return std::move(*refused);
  refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);
  co_return durable(door, R"({"inserted_count":)" + std::to_string((*done)->inserted) + R"(,"updated_count":)" +
                              std::to_string((*done)->updated) + "}");
}

// A page ends where the next one begins: base64 of "created_time:record_id".
Catalog::RecordPlace place_of(std::string_view token) {
  Catalog::RecordPlace place;
  const auto decoded = from_base64(token);
  const auto colon = decoded ? decoded->find(':') : std::string::npos;
  if (!decoded || colon == std::string::npos) return place;
  std::from_chars(decoded->data(), decoded->data() + colon, place.created_time);
  place.record_id = decoded->substr(colon + 1);
  return place;
}

Task<Response> list_records(MlflowDoor& door, Request& request) {
  const auto query = Query::parse(request.query);
  if (!query) co_return error_response(request.path, query.error());
  std::int64_t most = 1000;
  if (const auto given = query->get("max_results"))
    if (std::from_chars(given->data(), given->data() + given->size(), most).ec != std::errc() || most < 0)
      co_return error_response(invalid_parameter("max_results: it is not a count"));
  if (most == 0) most = 1000;
  auto refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);
  const Catalog catalog(door.view->kv());
  json::array list;
  std::string token;
  std::string last;
  const auto visited = catalog.records(request.params[0], place_of(query->get("page_token").value_or("")),
                                       [&](const DatasetRecord& record) {
                                         if (std::ssize(list) == most) {
                                           token = to_base64(last);
                                           return false;
                                         }
                                         last = std::to_string(record.created_time) + ":" + record.dataset_record_id;
                                         list.push_back(record_json(record));
                                         return true;
                                       });
  if (!visited) co_return read_failed(request, visited.error());
  std::string out;
  JsonWriter writer(out);
  writer.begin_object().field("records", with_python_numbers(python_json(list)));
  if (!token.empty()) writer.field("next_page_token", token);
  writer.end_object();
  co_return answer(std::move(out));
}

Task<Response> delete_records(MlflowDoor& door, Request& request) {
  const std::string id(request.params[0]);
  const auto body = read_body(request);
  if (!body) co_return error_response(body.error());
  auto ids = texts_in(*body, "dataset_record_ids");
  if (!ids) co_return error_response(ids.error());
  std::sort(ids->begin(), ids->end());
  ids->erase(std::unique(ids->begin(), ids->end()), ids->end());
  const auto turn = co_await door.catalog.enter(door.config.view_wait);
  if (!turn) co_return error_response(request.path, make_error_code(Error::timed_out));
  auto refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);
  const Catalog catalog(door.view->kv());
  const auto now = door.clock.now();
  std::vector<Record> records;
  for (const auto& record_id : *ids) {
    const auto record = catalog.record(id, record_id);
    if (!record) co_return read_failed(request, record.error());
    if (*record) records.push_back(end_of_dataset_record(id, record_id, now));
  }
  const auto deleted = records.size();
  auto dataset = catalog.dataset(id);
  if (!dataset) co_return read_failed(request, dataset.error());
  if (deleted > 0 && *dataset) {
    const auto before = count_records(catalog, id);
    if (!before) co_return read_failed(request, before.error());
    (*dataset)->profile = *before > deleted ? profile_of(*before - deleted) : "null";
    records.push_back(to_record(**dataset, now));
  }
  if (deleted > 0) {
    refused = co_await write_all(door, request, std::move(records));
    if (refused) co_return std::move(*refused);
  }
  co_return durable(door, R"({"deleted_count":)" + std::to_string(deleted) + "}");
}

}  // namespace

void add_dataset_record_routes(Router& router, MlflowDoor& door) {
  using http::verb;
  const std::string path = "3.0/mlflow/datasets/{dataset_id}/records";
  add_mlflow(router, verb::post, path, [&door](Request& r) { return upsert_records(door, r); },
             {.scope = Scope::admin, .body_bytes_max = door.config.trace_bytes_max});
  add_mlflow(router, verb::get, path, [&door](Request& r) { return list_records(door, r); }, {.scope = Scope::read});
  add_mlflow(router, verb::delete_, path, [&door](Request& r) { return delete_records(door, r); },
             {.scope = Scope::admin});
}

}  // namespace assay
