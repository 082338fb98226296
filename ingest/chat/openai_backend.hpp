#pragma once
// Any server that speaks OpenAI's chat completions: POST {url}/chat/completions, streamed or whole.
//
// A question is asked again (`retries`, with growing pauses) where nothing of an answer has come: the connection failed
// or closed early, or the model said 408, 429 or 5xx, which OpenAI's own client asks again, too. Behind the first event
// nothing is repeated.
#include <string>

#include "ingest/chat/chat_backend.hpp"
#include "ops/runtime/http_client.hpp"

namespace assay {

struct OpenAiConfig {
  std::string url;                // http://host:port/v1 (--model-url)
  std::string model = "default";  // --model; of plain chats: OpenAI's own requests name theirs
  std::string api_key = {};       // from the environment (ASSAY_MODEL_API_KEY); sent as Bearer, never logged
  HttpLimits limits{.first_byte = std::chrono::minutes{2},
                    .between_reads = std::chrono::minutes{2},
                    .whole = std::chrono::minutes{10},
                    .body_bytes_max = 64u << 20};
  unsigned retries = 2;
  std::chrono::milliseconds retry_pause{250};       // before the first; doubled each time
  std::chrono::milliseconds retry_after_max{2000};  // a model that asks for a longer pause is not asked again
};
// In a sentence, or empty.
std::string problem_with(const OpenAiConfig& config);

class OpenAiBackend final : public ChatBackend {
 public:
  // `client` outlives it.
  OpenAiBackend(OpenAiConfig config, HttpClient& client);
  Task<Started> start(ChatQuestion question) override;
  Task<Result<Models, ChatFailure>> models(std::string id) override;

 private:
  struct Attempt {
    Started started;
    bool again;  // nothing has come, and it may go better
  };
  Task<Attempt> try_once(const std::string& body, bool raw, bool stream_wanted);
  static Task<std::optional<ChatFailure>> refusal(HttpStream& stream);
  std::optional<std::chrono::milliseconds> pause_before(unsigned attempt, const ChatFailure& failure) const;
  HttpRequest request(std::string method, const std::string& path) const;

  OpenAiConfig config_;
  HttpClient& client_;
};

}  // namespace assay
