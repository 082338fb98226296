#pragma once
// The events of a chat, as the guide's front ends read them. Server-sent, each has an id and one data line; on a
// WebSocket the JSON is a message.
//
//   {"type":"token","content"}
//   {"type":"done","trace_id","client_request_id"}   with "stopped":true where it was stopped,
//     "cut":true where the model ended it at its limit of length, and "feedback_token" where there are keys to sign one
//     with
//   {"type":"error","error"}   of a chat that has ended, with the ids and "feedback_token" as well
//
// An id is how many bytes (UTF-8) of the answer its reader has then; that of the last event is one more.
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace assay {

// The JSON of one event. `how` it was done: "stopped", "cut" or nothing.
std::string token_json(std::string_view content);
std::string done_json(std::string_view trace_id, std::string_view client_request_id, std::string_view how,
                      std::string_view feedback_token = {});
std::string error_json(std::string_view error);
std::string failed_json(std::string_view error, std::string_view trace_id, std::string_view client_request_id,
                        std::string_view feedback_token);

// As a server-sent event.
std::string sse_event(std::uint64_t id, std::string_view json);
// The first bytes of a stream: something at once for proxies, when to reconnect, and an id to come back with.
std::string sse_prelude(std::uint64_t id, std::chrono::milliseconds retry);
// A comment: keeps proxies from closing a stream whose model thinks.
inline constexpr std::string_view heartbeat_event = ": still here\n\n";

}  // namespace assay
