#pragma once
// Any server that speaks OpenAI's chat completions: POST {url}/chat/completions, streamed.
#include <string>

#include "ingest/chat/chat_backend.hpp"
#include "ops/runtime/http_client.hpp"

namespace assay {

struct OpenAiConfig {
  std::string url;                // http://host:port/v1 (--model-url)
  std::string model = "default";  // --model
  std::string api_key = {};       // from the environment (ASSAY_MODEL_API_KEY); sent as Bearer, never logged
  HttpLimits limits{.first_byte = std::chrono::minutes{2},
                    .between_reads = std::chrono::minutes{2},
                    .whole = std::chrono::minutes{10},
                    .body_bytes_max = 64u << 20};
};
// In a sentence, or empty.
std::string problem_with(const OpenAiConfig& config);

class OpenAiBackend final : public ChatBackend {
 public:
  // `client` outlives it.
  OpenAiBackend(OpenAiConfig config, HttpClient& client);
  Task<Started> start(std::vector<ChatMessage> messages) override;

 private:
  OpenAiConfig config_;
  HttpClient& client_;
};

}  // namespace assay
