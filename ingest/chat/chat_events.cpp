#include "ingest/chat/chat_events.hpp"

#include "storage/records/json_writer.hpp"

namespace assay {

std::string token_json(std::string_view content) {
  std::string out;
  out.reserve(content.size() + 32);
  JsonWriter(out).begin_object().field("type", "token").field("content", content).end_object();
  return out;
}

std::string done_json(std::string_view trace_id, std::string_view client_request_id, std::string_view how,
                      std::string_view feedback_token) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("type", "done").field("trace_id", trace_id).field("client_request_id", client_request_id);
  if (!how.empty()) json.field(how, true);
  if (!feedback_token.empty()) json.field("feedback_token", feedback_token);
  json.end_object();
  return out;
}

std::string error_json(std::string_view error) {
  std::string out;
  JsonWriter(out).begin_object().field("type", "error").field("error", error).end_object();
  return out;
}

std::string failed_json(std::string_view error, std::string_view trace_id, std::string_view client_request_id,
                        std::string_view feedback_token) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("type", "error").field("error", error);
  json.field("trace_id", trace_id).field("client_request_id", client_request_id);
  if (!feedback_token.empty()) json.field("feedback_token", feedback_token);
  json.end_object();
  return out;
}

std::string sse_event(std::uint64_t id, std::string_view json) {
  std::string out;
  out.reserve(json.size() + 40);
  out.append("id: ").append(std::to_string(id)).append("\ndata: ").append(json).append("\n\n");
  return out;
}

std::string sse_prelude(std::uint64_t id, std::chrono::milliseconds retry) {
  return ": the answer follows\nretry: " + std::to_string(retry.count()) + "\nid: " + std::to_string(id) + "\n\n";
}

}  // namespace assay
