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

// An item may be as long as one request.
void refuse_too_long(std::vector<BatchItem>& items, std::size_t bytes_max) {
  constexpr std::size_t ours = 1024;  // of an assessment, about: ids, times, source
  for (auto& item : items)
    if (!item.rejection && item.feedback.items.front().json.size() > bytes_max + ours)
      item.rejection = Rejection{413, "body", "the item has more than " + std::to_string(bytes_max) + " bytes"};
}

std::vector<BatchItem*> not_refused(std::vector<BatchItem>& items) {
  std::vector<BatchItem*> out;
  for (auto& item : items)
    if (!item.rejection) out.push_back(&item);
  return out;
}

Task<void> refuse_without_trace(FeedbackDoor& door, std::vector<BatchItem>& items) {
  const auto asked = not_refused(items);
  std::vector<Target> targets;
  for (const auto* item : asked) targets.push_back(item->feedback.target);
  const auto traces = co_await find_traces(door, std::move(targets));
  for (std::size_t i = 0; i < asked.size(); ++i)
    if (!traces[i]) asked[i]->rejection = traces[i].error();
}

// Of each that was not refused, in their order.
Task<std::vector<Result<Appended>>> append(FeedbackDoor& door, std::vector<BatchItem>& items) {
  std::vector<Record> records;
  for (const auto* item : not_refused(items)) records.push_back(to_record(item->feedback));
  std::vector<Result<Appended>> appended;
  if (!records.empty()) appended = co_await door.log.append_all(std::move(records));
  co_return appended;
}

void write_result(JsonWriter& json, FeedbackDoor& door, const FeedbackRecord& feedback,
                  const Result<Appended>& appended) {
  if (!appended) return write_error(json, status_of(appended.error()), {}, appended.error().message());
  door.metrics.count(Op::create, appended->outcome);
  if (appended->outcome == Appended::Outcome::conflict)
    return write_error(json, 422, "idempotency_key", "it was used before, with another body");
  if (door.view) door.accepted.add(feedback);
  const auto trace = known_trace(door, feedback.target);
  json.field("status", trace ? 200 : 202).field("assessment_id", feedback.items.front().assessment_id);
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
  refuse_too_long(*items, door.config.body_bytes_max);
  co_await refuse_without_trace(door, *items);
  const auto appended = co_await append(door, *items);

  // Where the log takes nothing at all, the whole is to be repeated; that is no matter of its items.
  const bool any_taken = std::ranges::any_of(appended, [](const auto& one) { return bool(one); });
  if (!appended.empty() && !any_taken && status_of(appended.front().error()) == 503)
    co_return error_response(request.path, appended.front().error());
  Response response{.status = 207};
  if (any_taken) response.headers.emplace_back("Assay-Durability", durability_of(door.log, appended));
  JsonWriter json(response.body);
  json.begin_object().key("results").begin_array();
  auto next = appended.begin();
  for (const auto& item : *items) {
    json.begin_object();
    if (item.rejection)
      write_error(json, item.rejection->status, item.rejection->field, item.rejection->reason);
    else
      write_result(json, door, item.feedback, *next++);
    json.end_object();
  }
  json.end_array().end_object();
  co_return response;
}

}  // namespace assay
