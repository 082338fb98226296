#include "ingest/feedback/feedback_routes.hpp"
#include "storage/records/json_writer.hpp"

namespace assay {
namespace {

// What becomes of one item: refused before the append, or one record of it.
struct Item {
  std::optional<Rejection> rejection;
  FeedbackRecord feedback;
};

Item item_of(const Result<AssessmentBody, Rejection>& body, std::string_view user, Instant now) {
  if (!body) return {body.error(), {}};
  const auto who = body->user_id ? std::string_view(*body->user_id) : user;
  return {{}, new_feedback("feedback/batch", *body->target, body->idempotency_key, who, {&*body, 1}, now)};
}

// A JSON list, or one document a line: a line that is none harms no other.
Result<std::vector<Item>, Rejection> read_items(std::string_view body, std::string_view user, Instant now,
                                                std::size_t items_max) {
  std::vector<Item> items;
  const Rejection too_many{413, "body", "it has more than " + std::to_string(items_max) + " items"};
  const auto first = body.find_first_not_of(" \t\r\n");
  if (first == body.npos) return Rejection{400, "body", "it is empty"};
  if (body[first] == '[') {
    const auto list = parse_list(body, true);
    if (!list) return list.error();
    if (list->size() > items_max) return too_many;
    for (const auto element : *list) items.push_back(item_of(parse_assessment_body(element, Place::batch), user, now));
    return items;
  }
  while (!body.empty()) {
    const auto line = body.substr(0, body.find('\n'));
    body.remove_prefix(std::min(body.size(), line.size() + 1));
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    if (items.size() == items_max) return too_many;
    items.push_back(item_of(parse_assessment_body(line, false, Place::batch), user, now));
  }
  return items;
}

void write_error(JsonWriter& json, unsigned status, std::string_view field, std::string_view reason) {
  json.field("status", status).key("error").begin_object();
  json.field("detail", field.empty() ? std::string(reason) : std::string(field) + ": " + std::string(reason));
  if (!field.empty()) json.field("field", field);
  json.end_object();
}

}  // namespace

Task<Response> post_batch(FeedbackDoor& door, Request& request) {
  const auto asked = read_asked(request);
  if (!asked) co_return error_response(request.path, asked.error());
  if (asked->target)
    co_return error_response(request.path, 400, "each item of a batch has its own", asked->target->field());
  if (asked->key)
    co_return error_response(request.path, 400, "each item of a batch has its own idempotency_key", "Idempotency-Key");
  auto items = read_items(request.body, asked->user, door.clock.now(), door.config.batch_items_max);
  if (!items) co_return error_response(request.path, items.error());

  std::vector<Record> records;
  for (auto& item : *items) {
    if (item.rejection) continue;
    item.rejection = co_await unknown_trace(door, item.feedback.target);
    if (!item.rejection) records.push_back(to_record(item.feedback));
  }
  std::vector<Result<Appended>> appended;
  if (!records.empty()) appended = co_await door.log.append_all(std::move(records));

  Response response{.status = 207};
  response.headers.emplace_back("Assay-Durability", std::string(door.log.durability()));
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
