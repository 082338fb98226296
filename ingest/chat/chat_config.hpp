#pragma once
// What chats can be told. Defaults and units stand here.
#include <chrono>
#include <string>

namespace assay {

struct ChatConfig {
  std::string experiment_id = "0";
  std::string experiment_name = {};                               // where it was given by name
  std::chrono::milliseconds chat_max = std::chrono::minutes{10};  // from question to last token (--chat-max)
  std::chrono::milliseconds heartbeat_every = std::chrono::seconds{15};
  std::chrono::milliseconds gone_poll = std::chrono::seconds{1};    // how often to look whether the client is there
  std::chrono::milliseconds token_interval{10};                     // at least this between two events of a stream
  std::chrono::milliseconds stall_max = std::chrono::seconds{30};   // for a reader to take something
  std::chrono::milliseconds resume_max = std::chrono::seconds{15};  // how long a stream is held for its reader
  std::chrono::milliseconds retry_hint = std::chrono::seconds{2};   // `retry:`, for readers that reconnect
  std::size_t answers_bytes_max = 256u << 20;                       // of all, under way and held: --in-flight-max
  std::size_t held_bytes_max = 32u << 20;                           // of streams that have ended and are still held
  std::size_t unread_bytes_max = 16u << 10;                         // of a stream: over it the model is not asked
  std::size_t message_bytes_max = 128u << 10;                       // of the request's body
  std::size_t answer_bytes_max = 1u << 20;                          // that readers are given (--answer-max)
  std::size_t response_bytes_max = 128u << 10;                      // of it in the trace: a record of the log is small
  std::size_t openai_request_bytes_max = 16u << 20;                 // bodies of /v1/chat/completions: pictures
};

}  // namespace assay
