#include "ingest/feedback/batch_items.hpp"

#include "ingest/feedback/new_feedback.hpp"
#include "ingest/http/json_body.hpp"

namespace assay {
namespace {

BatchItem item_of(const Result<AssessmentBody, Rejection>& body, std::string_view user, Instant now) {
  if (!body) return {body.error(), {}};
  const auto who = body->user_id ? std::string_view(*body->user_id) : user;
  const FeedbackSource source{
      .door = "feedback/batch", .target = *body->target, .key = body->idempotency_key, .user = who, .now = now};
  return {{}, new_feedback(source, {&*body, 1})};
}

// The elements of a list that does not parse as a whole; none: it has no end, or something behind it.
std::optional<std::vector<std::string_view>> cut_list(std::string_view list) {
  std::vector<std::string_view> out;
  std::size_t depth = 0, from = 1;
  bool in_string = false;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const char c = list[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      ++depth;
    } else if (c == ',' && depth == 1) {
      out.push_back(list.substr(from, i - from));
      from = i + 1;
    } else if ((c == ']' || c == '}') && --depth == 0) {
      out.push_back(list.substr(from, i - from));
      if (list.find_first_not_of(" \t\r\n", i + 1) == list.npos) return out;
      return {};
    }
  }
  return {};
}

// One object that is written over several lines.
bool is_pretty_printed(std::string_view body) {
  const auto line = body.substr(0, body.find('\n'));
  if (line.size() == body.size() || line.ends_with('}') || line.ends_with("}\r")) return false;
  return parse_json_body(body, false).has_value();
}

}  // namespace

Result<std::vector<BatchItem>, Rejection> read_batch(std::string_view body, std::string_view user, Instant now,
                                                     std::size_t items_max) {
  std::vector<BatchItem> items;
  const Rejection too_many{413, "body", "it has more than " + std::to_string(items_max) + " items"};
  const auto first = body.find_first_not_of(" \t\r\n");
  if (first == body.npos) return Rejection{400, "body", "it is empty"};
  if (body[first] == '[') {
    if (const auto list = parse_list(body, true); list) {
      if (list->size() > items_max) return too_many;
      for (const auto element : *list)
        items.push_back(item_of(parse_assessment_body(element, BodyContext::batch), user, now));
    } else {  // an item that is no JSON harms no other
      const auto cut = cut_list(body.substr(first));
      if (!cut) return list.error();
      if (cut->size() > items_max) return too_many;
      for (const auto text : *cut)
        items.push_back(item_of(parse_assessment_body(text, false, BodyContext::batch), user, now));
    }
    return items;
  }
  if (body[first] == '{' && is_pretty_printed(body.substr(first)))
    return Rejection{400, "body", "NDJSON has one object a line: this is one over several"};
  while (!body.empty()) {
    const auto line = body.substr(0, body.find('\n'));
    body.remove_prefix(std::min(body.size(), line.size() + 1));
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    if (items.size() == items_max) return too_many;
    items.push_back(item_of(parse_assessment_body(line, false, BodyContext::batch), user, now));
  }
  return items;
}

}  // namespace assay
