#pragma once
// What the answers of a chat share, by whatever door it was asked.
#include "ingest/chat/live_chats.hpp"
#include "ingest/http/router.hpp"
#include "ops/runtime/cancelled.hpp"

namespace assay {

// What every handler that waits for a chat is wrapped in: its awaits don't throw when the session is cancelled, so that
// the chat is still recorded.
StreamHandler chat_handler(std::function<Task<void>(Request&, ResponseStream&)> answer);

// A chat that has begun, or the refusal that was sent instead of it.
Task<std::shared_ptr<LiveChat>> begin_chat(ChatServices& services, ChatRequest asked, std::string name,
                                           LiveChat::Kind kind, std::string_view path, ResponseStream& stream);
// Waits for the chat's end while its client does. None: the client has gone, and the chat is ended.
Task<std::optional<ChatReader::Part>> await_whole(ChatServices& services, LiveChat& chat, ChatReader& reader,
                                                  ResponseStream& stream);

using ChatHeaders = std::vector<std::pair<std::string_view, std::string>>;
void add_ids(ChatHeaders& headers, const LiveChat& chat);
// The last event of a chat that has ended.
std::string last_json(const LiveChat& chat, LiveChat::End end);
// A refusal that says when to come back, in the words of whoever is the reason.
void set_retry_after(Response& response, const std::string& value);

inline ChatFailure shutting_down() { return {"the front door is shutting down", 503}; }

}  // namespace assay
