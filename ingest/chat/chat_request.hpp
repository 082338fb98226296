#pragma once
// What a chat's body and headers say, or what is wrong with them.
#include <map>
#include <optional>
#include <string>

#include "ingest/http/error_response.hpp"
#include "ingest/http/request.hpp"

namespace assay {

// Who asks, and within what; empty: it was not said.
struct ChatCaller {
  std::string session = {}, user = {}, client_request_id = {};
  std::string trace_id = {}, parent_span_id = {};  // of the caller's traceparent, ours and hex; else a trace of its own
  std::string key_id = {};                         // of its API key
  bool is_stranger = false;  // it has none where others have, or a feedback capability in its place
};

// What a caller is known by when it comes back to its stream without the stream's token.
struct ChatIdentity {
  std::string key_id, user, session;
  bool operator==(const ChatIdentity&) const = default;
};
// None of a stranger: a capability is for feedback alone, and many may have it.
std::optional<ChatIdentity> identity_of(const ChatCaller& caller);
// Of who starts a chat. None, too, where the caller's traceparent has chosen the trace's id: without a key it is the id
// that proves who began it, and such a one is no secret of ours.
std::optional<ChatIdentity> starter_of(const ChatCaller& caller);

struct ChatRequest {
  ChatCaller caller = {};
  std::string message;
  std::map<std::string, std::string> tags = {};
  std::string openai_request = {};  // where not empty, what the model is asked instead of `message`: OpenAI's own body
  bool openai_stream = false;       // whether it asks for a stream
  std::string inputs = {};          // where not empty, what the trace shows as its inputs (JSON) instead of `message`
};

inline constexpr std::size_t tags_max = 32;
inline constexpr std::size_t tag_key_bytes_max = 250;
inline constexpr std::size_t tag_value_bytes_max = 5000;

// W3C's traceparent: the trace that the caller is in, and its span there. One that is malformed is ignored, as its
// specification asks.
void read_traceparent(std::string_view header, ChatCaller& into);

// {"message":TEXT,"tags":{KEY:TEXT…}?} and X-Session-ID, X-User-ID, X-Client-Request-Id. Fields that we don't know are
// left alone, as the guide's server does. Tags that begin with "mlflow." or "assay." are not the client's to set.
Result<ChatRequest, Rejection> parse_chat_request(const Request& request);
Result<ChatCaller, Rejection> parse_chat_headers(const Request& request);   // the ids alone
Result<ChatCaller, Rejection> parse_chat_identity(const Request& request);  // of them what identity_of() looks at
Result<ChatRequest, Rejection> parse_chat_body(std::string_view body);

}  // namespace assay
