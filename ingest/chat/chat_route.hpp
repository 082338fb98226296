#pragma once
// POST /chat, POST /chat/stream, GET and DELETE /chat/stream/{trace_id}: the doors of the guide, over LiveChat.
//
// Who started a stream has its resume token, from the header X-Resume-Token; GET and DELETE want it there or as the
// query's resume_token. 403 without it; 404 where the stream is not held (any more); 421 where the token is of another
// front door, or of this one before a restart; 204 where the reader has had all of it.
#include "ingest/chat/live_chats.hpp"
#include "ingest/http/router.hpp"
#include "ops/runtime/cancelled.hpp"

namespace assay {

// `services` outlives the router.
void add_chat_routes(Router& router, ChatServices& services);

// What every handler that waits for a chat is wrapped in: its awaits don't throw when the session is cancelled, so that
// the chat is still recorded.
StreamHandler chat_handler(std::function<Task<void>(Request&, ResponseStream&)> answer);

inline ChatFailure shutting_down() { return {"the front door is shutting down", 503}; }

using ChatHeaders = std::vector<std::pair<std::string_view, std::string>>;
void add_ids(ChatHeaders& headers, const LiveChat& chat);

// A chat that has begun, or the refusal that was sent instead of it.
Task<std::shared_ptr<LiveChat>> begin_chat(ChatServices& services, ChatRequest asked, std::string name,
                                           LiveChat::Kind kind, std::string_view path, ResponseStream& stream);
// Waits for the chat's end while its client does. None: the client has gone, and the chat is ended.
Task<std::optional<ChatReader::Part>> await_whole(ChatServices& services, LiveChat& chat, ChatReader& reader,
                                                  ResponseStream& stream);

}  // namespace assay
