#pragma once
// GET /chat/ws: chats over a WebSocket. One JSON message is a turn, and one turn is answered at a time:
//
//   ▶ {"message","tags"?,"session_id"?,"user_id"?,"client_request_id"?}   ids as in the headers of POST /chat
//   ◀ {"type":"start","trace_id","client_request_id","resume_token"}      the ids, once the trace is durable; with
//                                                                         "feedback_token" where one can be signed
//   ◀ {"type":"token","content"}… then {"type":"done",…} or {"type":"error","error"}   as in POST /chat/stream
//   ▶ {"type":"stop"}                                                     ends the turn under way
//
// A turn whose connection breaks is held, and goes on at GET /chat/stream/{trace_id} with its resume token, or
// for who is known by the same key and ids.
#include "ingest/chat/live_chats.hpp"
#include "ingest/http/router.hpp"

namespace assay {

struct ChatSocketConfig {
  std::vector<std::string> origins = {};       // whose pages may connect beside our own
  std::chrono::milliseconds idle_max{30'000};  // without a sign of life; pings ask for one
};

// `services` outlives the router.
void add_chat_socket(Router& router, ChatServices& services, ChatSocketConfig config);

// What a message asks for.
struct SocketMessage {
  bool stop = false;
  ChatRequest chat;
};
Result<SocketMessage, Rejection> parse_socket_message(std::string_view json);

}  // namespace assay
