#include "ingest/chat/chat_events.hpp"

#include "storage/records/json_writer.hpp"

namespace assay {
namespace {

template <class Fill>
std::string event(std::uint64_t id, std::string_view type, Fill fill) {
  std::string out = "id: " + std::to_string(id) + "\ndata: ";
  JsonWriter json(out);
  json.begin_object().field("type", type);
  fill(json);
  json.end_object();
  out += "\n\n";
  return out;
}

}  // namespace

std::string token_event(std::uint64_t id, std::string_view content) {
  return event(id, "token", [&](JsonWriter& json) { json.field("content", content); });
}

std::string done_event(std::uint64_t id, std::string_view trace_id, std::string_view client_request_id) {
  return event(id, "done", [&](JsonWriter& json) {
    json.field("trace_id", trace_id).field("client_request_id", client_request_id);
  });
}

std::string error_event(std::uint64_t id, std::string_view error) {
  return event(id, "error", [&](JsonWriter& json) { json.field("error", error); });
}

}  // namespace assay
