#pragma once
// A chat as server-sent events: from its start, behind what a reader has had, and its stop.
#include "ingest/chat/live_chats.hpp"
#include "ingest/http/request.hpp"
#include "ingest/http/response_stream.hpp"

namespace assay {

struct Reading {
  std::size_t from = 0;      // a position of the chat
  bool starts_chat = false;  // it is launched once this reader has its first bytes
};
// Writes the chat to its end, or until its reader leaves.
Task<void> stream_chat(ChatServices& services, std::shared_ptr<LiveChat> chat, Reading reading, ResponseStream& stream);
// GET and DELETE /chat/stream/{trace_id}.
Task<void> resume_stream(ChatServices& services, Request& request, ResponseStream& stream);
Task<void> stop_stream(ChatServices& services, Request& request, ResponseStream& stream);

}  // namespace assay
