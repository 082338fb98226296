#pragma once
// The seam between a chat and the model that answers it: the built-in responder, any OpenAI-compatible server, a
// test's.
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

// Why there is no answer, or no more of it, in words for whoever asked.
struct ChatFailure {
  std::string reason;
  unsigned status = 502;  // 502: the model's fault; 503: too many at once; 504: it took too long
};

// An answer while it is made. What isn't pulled isn't asked of the model. Destroying it aborts the answer.
class ChatAnswer {
 public:
  using Next = Result<std::optional<std::string>, ChatFailure>;

  virtual ~ChatAnswer() = default;
  // The next token, valid UTF-8 and not empty; none: the answer is complete. Call no more after none or a failure.
  // Cancelling it (terminal) aborts the answer.
  virtual Task<Next> next() = 0;
};

// Thread-safe. Outlives its answers.
class ChatBackend {
 public:
  using Started = Result<std::unique_ptr<ChatAnswer>, ChatFailure>;

  virtual ~ChatBackend() = default;
  virtual Task<Started> start(std::vector<ChatMessage> messages) = 0;
};

}  // namespace assay
