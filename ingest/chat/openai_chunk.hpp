#pragma once
// One JSON document of OpenAI's chat protocol, read: a chunk of a stream, a whole answer, or an error.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ingest/chat/chat_backend.hpp"

namespace assay {

struct OpenAiChunk {
  struct Choice {
    std::int64_t index = 0;
    bool finished = false;  // it has a finish_reason
    bool cut = false;       // … which is "length"
  };
  std::string content = {};                // of choice 0, or its refusal where it has no content; may be empty
  std::vector<ToolCall> tool_calls = {};   // the same
  std::vector<Choice> choices = {};        // that something is said of
  std::optional<std::size_t> tokens = {};  // usage.completion_tokens

  bool is_cut() const {  // choice 0 is
    return std::any_of(choices.begin(), choices.end(), [](const auto& c) { return c.index == 0 && c.cut; });
  }
};
// A failure: what the error object says (and the object, for an OpenAI client), or that this isn't the protocol.
Result<OpenAiChunk, ChatFailure> parse_openai_chunk(std::string_view json);

// The failure that an answer other than 200 is. What the model says is quoted (bounded), except where it is about our
// credentials.
ChatFailure openai_failure(unsigned status, std::string_view body);

// The request's body, asking for a stream.
std::string openai_request(std::string_view model, const std::vector<ChatMessage>& messages);

}  // namespace assay
