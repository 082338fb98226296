#pragma once
// The seam between a chat and the model that answers it: the built-in responder, any OpenAI-compatible server, a
// test's.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ops/runtime/result.hpp"
#include "ops/runtime/task.hpp"

namespace assay {

struct ChatMessage {
  std::string role;     // "system", "user", "assistant"
  std::string content;  // valid UTF-8
};

// What the model is asked: a conversation, or a request in OpenAI's own format, which goes to it as it stands (and of
// which `messages` has the last of the user's).
struct ChatQuestion {
  std::vector<ChatMessage> messages = {};
  std::string openai_request = {};  // where not empty: the body of a chat completion; each piece then has its `raw`
  bool stream = true;               // whether `openai_request` asks for a stream
};

// Why there is no answer, or no more of it, in words for whoever asked.
struct ChatFailure {
  std::string reason;
  unsigned status = 502;         // 502: the model's fault; 503: too many at once; 504: it took too long
  std::string retry_after = {};  // what the model's header Retry-After said
  // What an OpenAI client may see of the model's own refusal: its status and its error object; 0: nothing.
  unsigned openai_status = 0;
  std::string openai_body = {};
  // It would be the same the next time, or has been asked for often enough: nobody need ask again.
  bool lasting = false;
};

// A call of a tool that the model asks for; of a stream, a part of it.
struct ToolCall {
  std::int64_t index = 0;
  std::string id = {}, name = {}, arguments = {};
};

// A part of an answer.
struct ChatPiece {
  std::string content = {};  // valid UTF-8; may be empty where `raw` is not
  std::string raw = {};      // OpenAI's chunk (of a stream) or whole answer, on one line; only for `openai_request`
  std::vector<ToolCall> tool_calls = {};  // what `raw` says of them
};

// An answer while it is made. What isn't pulled isn't asked of the model. Destroying it aborts the answer.
class ChatAnswer {
 public:
  using Next = Result<std::optional<ChatPiece>, ChatFailure>;

  virtual ~ChatAnswer() = default;
  // The next piece; none: the answer is complete. Call no more after none or a failure.
  // Cancelling it (terminal) aborts the answer: it returns soon, with a failure.
  virtual Task<Next> next() = 0;
  // The tokens of the answer so far, where the model has said how many there are.
  virtual std::optional<std::size_t> tokens() const { return {}; }
  // Whether the model ended it at its limit of length, once it is complete.
  virtual bool is_cut() const { return false; }
};

// Thread-safe. Outlives its answers.
class ChatBackend {
 public:
  using Started = Result<std::unique_ptr<ChatAnswer>, ChatFailure>;

  virtual ~ChatBackend() = default;
  virtual Task<Started> start(ChatQuestion question) = 0;

  // OpenAI's list of models as JSON or, with an id, one of them.
  struct Models {
    unsigned status = 200;
    std::string body;
  };
  virtual Task<Result<Models, ChatFailure>> models(std::string id) = 0;
};

}  // namespace assay
