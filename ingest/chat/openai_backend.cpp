#include "ingest/chat/openai_backend.hpp"

#include "ingest/chat/openai_chunk.hpp"
#include "ingest/chat/sse_parser.hpp"

namespace assay {
namespace {

constexpr std::size_t error_body_bytes_max = 64u << 10;
constexpr std::size_t whole_answer_bytes_max = 4u << 20;
// How long to wait, after the last event, for the end of the HTTP body that lets the connection be kept.
constexpr std::chrono::milliseconds end_patience{20};

ChatFailure unreachable(error_code ec) {
  if (ec == Error::timed_out) return {"the model did not answer in time", 504};
  if (ec == Error::over_capacity) return {"too many answers, or too much of one, at once", 503};
  return {"the model can't be reached: " + ec.message()};
}

class Streamed final : public ChatAnswer {
 public:
  explicit Streamed(HttpStream stream) : stream_(std::move(stream)) {}

  Task<Next> next() override {
    for (;;) {
      while (auto event = parser_.next()) {
        if (*event == "[DONE]") {
          co_await stream_.finish(end_patience);
          co_return std::optional<std::string>();
        }
        auto chunk = parse_openai_chunk(*event);
        if (!chunk) co_return chunk.error();
        finished_ |= chunk->finished;
        if (!chunk->content.empty()) co_return std::optional<std::string>(std::move(chunk->content));
      }
      auto bytes = co_await stream_.read_some();
      if (!bytes) co_return unreachable(bytes.error());
      if (bytes->empty()) {
        // Some servers leave [DONE] out; an answer that is cut has no finish_reason either.
        if (finished_) co_return std::optional<std::string>();
        co_return ChatFailure{"the model's answer ended before it was complete"};
      }
      if (!parser_.feed(*bytes)) co_return ChatFailure{"the model sent an event that is too large"};
    }
  }

 private:
  HttpStream stream_;
  SseParser parser_;
  bool finished_ = false;
};

// What a server that doesn't stream has answered: one token.
class Whole final : public ChatAnswer {
 public:
  explicit Whole(std::string text) : text_(std::move(text)) {}
  Task<Next> next() override {
    std::optional<std::string> token;
    if (!text_.empty()) token = std::exchange(text_, {});
    co_return token;
  }

 private:
  std::string text_;
};

// At most `bytes_max` of what is left of the body.
Task<Result<std::string>> read_body(HttpStream& stream, std::size_t bytes_max) {
  std::string body;
  for (;;) {
    auto bytes = co_await stream.read_some();
    if (!bytes) co_return bytes.error();
    if (bytes->empty()) co_return body;
    body += *bytes;
    if (body.size() > bytes_max) co_return Error::over_capacity;
  }
}

}  // namespace

std::string problem_with(const OpenAiConfig& config) {
  const auto url = parse_http_url(config.url);
  if (!url) return "the model's URL is not http:// or https://, or carries a user or a password: " + config.url;
  if (url->target.find('?') != std::string::npos) return "the model's URL has a query: " + config.url;
  return {};
}

OpenAiBackend::OpenAiBackend(OpenAiConfig config, HttpClient& client) : config_(std::move(config)), client_(client) {
  while (config_.url.ends_with('/')) config_.url.pop_back();
}

Task<ChatBackend::Started> OpenAiBackend::start(std::vector<ChatMessage> messages) {
  HttpRequest request{.method = "POST", .url = config_.url + "/chat/completions"};
  request.headers = {{"Content-Type", "application/json"}, {"Accept", "text/event-stream"}};
  if (!config_.api_key.empty()) request.headers.push_back({"Authorization", "Bearer " + config_.api_key});
  request.body = openai_request(config_.model, messages);
  auto stream = co_await client_.open(std::move(request), config_.limits);
  if (!stream) co_return unreachable(stream.error());

  if (stream->head().status != 200) {
    const auto status = stream->head().status;
    auto body = co_await read_body(*stream, error_body_bytes_max);
    const std::string_view text = body ? std::string_view(*body) : std::string_view();
    co_return openai_failure(status, text);
  }
  std::unique_ptr<ChatAnswer> answer;
  if (stream->head().header("Content-Type").starts_with("application/json")) {
    auto body = co_await read_body(*stream, whole_answer_bytes_max);
    if (!body) co_return unreachable(body.error());
    auto chunk = parse_openai_chunk(*body);
    if (!chunk) co_return chunk.error();
    answer = std::make_unique<Whole>(std::move(chunk->content));
  } else {
    answer = std::make_unique<Streamed>(std::move(*stream));
  }
  co_return std::move(answer);
}

}  // namespace assay
