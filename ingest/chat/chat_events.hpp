#pragma once
// The server-sent events of a chat, as the guide's front ends read them: an id and one data line each.
//
//   {"type":"token","content"}   {"type":"done","trace_id","client_request_id"}   {"type":"error","error"}
#include <cstdint>
#include <string>
#include <string_view>

namespace assay {

std::string token_event(std::uint64_t id, std::string_view content);
std::string done_event(std::uint64_t id, std::string_view trace_id, std::string_view client_request_id);
std::string error_event(std::uint64_t id, std::string_view error);
// A comment: keeps proxies from closing a stream whose model thinks.
inline constexpr std::string_view heartbeat_event = ": still here\n\n";

}  // namespace assay
