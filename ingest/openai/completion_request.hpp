#pragma once
// What the door must know of a chat completion request; the rest of it goes to the model as it came. Pure.
#include "ingest/chat/chat_request.hpp"
#include "ingest/http/request.hpp"

namespace assay {

// The ids of the headers (X-Client-Request-Id, X-Session-ID, X-User-ID; else OpenAI's `user`), whether it streams, the
// last user message in words, and the request as the trace shows it.
Result<ChatRequest, Rejection> parse_completion_request(const Request& request);
// The body alone.
Result<ChatRequest, Rejection> parse_completion_body(std::string_view body);

}  // namespace assay
