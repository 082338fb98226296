#include "ingest/http/given_ids.hpp"
#include "ingest/ws/chat_socket.hpp"
#include "storage/records/json_reader.hpp"

namespace assay {

Result<SocketMessage, Rejection> parse_socket_message(std::string_view json) {
  SocketMessage out;
  JsonReader reader;
  auto object = reader.parse(json);
  if (!object) return Rejection{400, "", "the message is not a JSON object"};
  std::string type;
  struct {
    std::string_view name;
    std::string& value;
    bool given = false;
  } texts[] = {{"type", type},
               {"session_id", out.chat.caller.session},
               {"user_id", out.chat.caller.user},
               {"client_request_id", out.chat.caller.client_request_id}};
  Rejection problem{400, "", "the message is not valid JSON"};
  const bool ok = for_each_field(*object, [&](std::string_view name, simdjson::ondemand::value v) {
    for (auto& text : texts) {
      if (name != text.name) continue;
      problem = Rejection{422, std::string(text.name), "must be a string, given once"};
      std::string_view view;
      if (std::exchange(text.given, true) || v.get_string().get(view)) return false;
      if (name != "type")
        if (auto wrong =
                name == "client_request_id" ? problem_with_name(name, view, {}) : problem_with_id(name, view)) {
          problem = Rejection{422, std::move(wrong->field), std::move(wrong->reason)};
          return false;
        }
      text.value = view;
    }
    return true;
  });
  if (!ok) return problem;
  if (type == "stop") {
    out.stop = true;
    return out;
  }
  if (!type.empty() && type != "message") return Rejection{422, "type", "is not message or stop"};
  auto chat = parse_chat_body(json);
  if (!chat) return chat.error();
  out.chat.message = std::move(chat->message);
  out.chat.tags = std::move(chat->tags);
  return out;
}

}  // namespace assay
