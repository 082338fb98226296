#include <algorithm>
#include <boost/asio/post.hpp>
#include <charconv>

#include "ingest/mlflow/dataset_json.hpp"
#include "ingest/mlflow/dataset_routes.hpp"
#include "ingest/mlflow/dataset_upsert.hpp"
#include "ops/runtime/base64.hpp"
#include "ops/runtime/parse_number.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/records/python_numbers.hpp"
#include "storage/records/python_text.hpp"
#include "storage/store/catalog.hpp"

namespace assay {
namespace {

namespace json = boost::json;

constexpr std::size_t records_max = 50'000;         // of one upsert
constexpr std::int64_t page_max = 50'000;           // records of one answer
constexpr std::size_t page_bytes_max = 16u << 20;   // about; a page ends behind the record that reaches it
constexpr std::size_t step_size = 128;              // records that are handled without a pause
constexpr std::size_t count_step_size = 128 * 128;  // and that are only counted

// Other requests of this thread have a turn.
Task<void> pause() { co_await asio::post(use_task); }

Task<Result<std::size_t>> count_records(const Catalog& catalog, std::string_view dataset_id) {
  std::size_t all = 0;
  std::string last;
  for (;;) {
    const auto some = catalog.count_records(dataset_id, last, count_step_size);
    if (!some) co_return some.error();
    all += *some;
    if (*some < count_step_size) co_return all;
    co_await pause();
  }
}

std::string profile_of(std::size_t count) { return R"({"num_records": )" + std::to_string(count) + "}"; }

// They are JSON in a string.
Result<json::array, MlflowError> read_records(const Request& request) {
  const auto body = read_body(request);
  if (!body) return body.error();
  const auto text = required_text(*body, "records");
  if (!text) return text.error();
  boost::system::error_code ec;
  json::parse_options options;
  options.max_depth = 64;
  auto parsed = parse_python_json(*text, ec, options);
  if (ec || !parsed.is_array()) return invalid_parameter("records: it is not a list as JSON");
  if (parsed.get_array().size() > records_max) return invalid_parameter("records: there are more than 50000");
  return std::move(parsed.get_array());
}

Task<Response> upsert_records(MlflowDoor& door, Request& request) {
  const std::string id(request.params[0]);
  const auto sent = read_records(request);
  if (!sent) co_return error_response(sent.error());
  auto turn = co_await begin_change(door, request);
  if (turn.refused) co_return std::move(*turn.refused);
  const Catalog catalog(door.view->kv());
  auto dataset = catalog.dataset(id);
  if (!dataset) co_return read_failed(request, dataset.error());
  if (!*dataset) {
    MlflowError unknown{"BAD_REQUEST", "Evaluation dataset with id '" + id + "' not found"};
    co_return error_response(unknown);
  }
  const auto now = door.clock.now();
  const auto ms = now.time_since_epoch().count();
  DatasetUpsert upsert(catalog, id, ms);
  std::size_t taken = 0;
  for (const auto& record : *sent) {
    const auto problem = upsert.add(record);
    if (!problem) co_return read_failed(request, problem.error());
    if (*problem) co_return error_response(**problem);
    if (++taken % step_size == 0) co_await pause();
  }
  const auto before = co_await count_records(catalog, id);
  if (!before) co_return read_failed(request, before.error());
  auto& state = **dataset;
  if (taken > 0) state.schema = extended_schema(state.schema, *sent);
  if (const auto count = *before + upsert.inserted(); count > 0) state.profile = profile_of(count);
  state.digest = dataset_digest(state.name, ms);
  state.last_update_time = ms;
  state.last_updated_by = upsert.user();
  std::vector<Record> records;
  for (const auto& record : upsert.finish()) records.push_back(to_record(record, now));
  records.push_back(to_record(state, now));
  auto refused = co_await write_all(door, request, std::move(records));
  if (refused) co_return std::move(*refused);
  refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);
  co_return durable(door, R"({"inserted_count":)" + std::to_string(upsert.inserted()) + R"(,"updated_count":)" +
                              std::to_string(upsert.updated()) + "}");
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

Result<std::int64_t, MlflowError> most_records(const Query& query) {
  constexpr std::int64_t usual = 1000;
  const auto given = query.get("max_results");
  if (!given) return usual;
  const auto most = parse_number<std::int64_t>(*given);
  if (!most || *most < 0) return invalid_parameter("max_results: it is not a count");
  if (*most > page_max)
    return invalid_parameter("Invalid value " + std::to_string(*most) +
                             " for parameter 'max_results' supplied. It must be at most " + std::to_string(page_max));
  return *most == 0 ? usual : *most;
}

// A list of records as far as it has been read.
struct RecordPage {
  Catalog::RecordPlace last;
  std::int64_t count = 0;
  std::string list;
  enum class State { partial, full, complete } state = State::partial;  // full: more stand behind it
};

Result<void> read_step(const Catalog& catalog, std::string_view dataset_id, std::int64_t most, RecordPage& page) {
  using State = RecordPage::State;
  std::size_t taken = 0;
  auto after = State::complete;
  const auto visited = catalog.records(dataset_id, page.last, [&](const DatasetRecord& record) {
    after = page.count == most || page.list.size() >= page_bytes_max ? State::full : State::partial;
    if (after == State::full || ++taken > step_size) return false;
    page.last = {std::max<std::int64_t>(0, record.created_time), record.dataset_record_id};
    page.list += (page.count++ > 0 ? ", " : "") + with_python_numbers(python_json(record_json(record)));
    after = State::complete;
    return true;
  });
  page.state = after;
  return visited;
}

Task<Response> list_records(MlflowDoor& door, Request& request) {
  const auto query = Query::parse(request.query);
  if (!query) co_return error_response(request.path, query.error());
  const auto most = most_records(*query);
  if (!most) co_return error_response(most.error());
  auto refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);
  const Catalog catalog(door.view->kv());
  RecordPage page;
  page.last = place_of(query->get("page_token").value_or(""));
  for (;;) {
    const auto read = read_step(catalog, request.params[0], *most, page);
    if (!read) co_return read_failed(request, read.error());
    if (page.state != RecordPage::State::partial) break;
    co_await pause();
  }
  std::string out;
  JsonWriter writer(out);
  writer.begin_object().field("records", "[" + page.list + "]");
  if (page.state == RecordPage::State::full)
    writer.field("next_page_token", to_base64(std::to_string(page.last.created_time) + ":" + page.last.record_id));
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
  auto turn = co_await begin_change(door, request);
  if (turn.refused) co_return std::move(*turn.refused);
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
    const auto before = co_await count_records(catalog, id);
    if (!before) co_return read_failed(request, before.error());
    (*dataset)->profile = *before > deleted ? profile_of(*before - deleted) : "null";
    records.push_back(to_record(**dataset, now));
  }
  if (deleted > 0) {
    auto refused = co_await write_all(door, request, std::move(records));
    if (refused) co_return std::move(*refused);
  }
  co_return durable(door, R"({"deleted_count":)" + std::to_string(deleted) + "}");
}

}  // namespace

void add_dataset_record_routes(Router& router, MlflowDoor& door) {
  using http::verb;
  const std::string path = "3.0/mlflow/datasets/{dataset_id}/records";
  add_mlflow(
      router, verb::post, path, [&door](Request& r) { return upsert_records(door, r); },
      {.scope = Scope::admin, .admission = Admission::Kind::trace, .body_bytes_max = door.config.trace_bytes_max});
  add_mlflow(router, verb::get, path, [&door](Request& r) { return list_records(door, r); }, {.scope = Scope::read});
  add_mlflow(router, verb::delete_, path, [&door](Request& r) { return delete_records(door, r); },
             {.scope = Scope::admin});
}

}  // namespace assay
