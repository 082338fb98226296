#include <algorithm>

#include "ingest/access/token_buckets.hpp"
#include "ingest/feedback/batch_items.hpp"
#include "ingest/feedback/feedback_routes.hpp"
#include "storage/records/json_writer.hpp"

namespace assay {
namespace {

void write_error(JsonWriter& json, unsigned status, std::string_view field, std::string_view reason) {
  json.field("status", status).key("error").begin_object();
  json.field("detail", field.empty() ? std::string(reason) : std::string(field) + ": " + std::string(reason));
  if (!field.empty()) json.field("field", field);
  json.end_object();
}

}  // namespace

Task<Response> post_batch(FeedbackDoor& door, Request& request) {
  const auto asked = read_feedback_request(request);
  if (!asked) co_return error_response(request.path, asked.error());
  if (asked->target)
    co_return error_response(request.path, 400, "each item of a batch has its own", asked->target->field());
  if (asked->key)
    co_return error_response(request.path, 400, "each item of a batch has its own idempotency_key", "Idempotency-Key");
  auto items = read_batch(request.body, asked->user, door.clock.now(), door.config.batch_items_max);
  if (!items) co_return error_response(request.path, items.error());
  if (request.charge && !items->empty()) request.charge->more(items->size() - 1);

  std::vector<BatchItem*> good;
  std::vector<Target> targets;
  constexpr std::size_t ours = 1024;  // of an assessment, about: ids, times, source
  const auto item_bytes_max = door.config.body_bytes_max;
  for (auto& item : *items) {
    if (item.rejection) continue;
    if (item.feedback.items.front().json.size() > item_bytes_max + ours) {
      item.rejection = Rejection{413, "body", "the item has more than " + std::to_string(item_bytes_max) + " bytes"};
      continue;
    }
    good.push_back(&item);
    targets.push_back(item.feedback.target);
  }
  const auto traces = co_await find_traces(door, std::move(targets));
  std::vector<Record> records;
  for (std::size_t i = 0; i < good.size(); ++i)
    if (traces[i])
      records.push_back(to_record(good[i]->feedback));
    else
      good[i]->rejection = traces[i].error();
  std::vector<Result<Appended>> appended;
  if (!records.empty()) appended = co_await door.log.append_all(std::move(records));

  // Where the log takes nothing at all, the whole is to be repeated; that is no matter of its items.
  const auto taken = [](const Result<Appended>& one) { return bool(one); };
  const bool any_taken = std::any_of(appended.begin(), appended.end(), taken);
  if (!appended.empty() && !any_taken && status_of(appended.front().error()) == 503)
    co_return error_response(request.path, appended.front().error());
  Response response{.status = 207};
  if (any_taken) response.headers.emplace_back("Assay-Durability", durability_of(door.log, appended));
  JsonWriter json(response.body);
  json.begin_object().key("results").begin_array();
  std::size_t next = 0;
  for (const auto& item : *items) {
    json.begin_object();
    if (item.rejection) {
      write_error(json, item.rejection->status, item.rejection->field, item.rejection->reason);
    } else if (const auto& result = appended[next++]; !result) {
      write_error(json, status_of(result.error()), {}, result.error().message());
    } else if (result->outcome == Appended::Outcome::conflict) {
      door.metrics.conflicts.Increment();
      write_error(json, 422, "idempotency_key", "it was used before, with another body");
    } else {
      if (door.view) door.accepted.add(item.feedback);
      (result->outcome == Appended::Outcome::duplicate ? door.metrics.repeated : door.metrics.created).Increment();
      const auto trace = known_trace(door, item.feedback.target);
      json.field("status", trace ? 200 : 202).field("assessment_id", item.feedback.items.front().assessment_id);
    }
    json.end_object();
  }
  json.end_array().end_object();
  co_return response;
}

}  // namespace assay
