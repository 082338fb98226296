#include "ingest/chat/openai_backend.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/beast/core/string.hpp>

#include "ingest/chat/openai_answer.hpp"
#include "ingest/chat/openai_chunk.hpp"
#include "ingest/http/http_date.hpp"
#include "ops/runtime/cancelled.hpp"
#include "ops/runtime/parse_number.hpp"

namespace assay {
namespace {

constexpr std::size_t error_body_bytes_max = 64u << 10;
constexpr std::size_t whole_answer_bytes_max = 16u << 20;
constexpr std::size_t models_bytes_max = 4u << 20;

bool path_safe(std::string_view id) {
  if (id.empty() || id.size() > 250 || id.find("..") != id.npos) return false;
  return id.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:@/") == id.npos;
}

// RFC 9110 10.2.3. What is malformed says nothing, and is nobody's to pass on.
bool is_retry_after(const std::string& text) {
  constexpr std::size_t bytes_max = 64;
  const bool digits = !text.empty() && text.find_first_not_of("0123456789") == text.npos;
  return text.size() <= bytes_max && (digits || is_http_date(text));
}

bool may_go_better(unsigned status) { return status == 408 || status == 429 || status >= 500; }
// Of a body that has not begun.
bool comes_again(const ChatFailure& failure) { return failure.status == 502 && !failure.lasting; }
bool may_go_better(error_code ec) { return ec != Error::timed_out && ec != Error::over_capacity && ec != too_large; }

}  // namespace

std::string problem_with(const OpenAiConfig& config) {
  const auto url = parse_http_url(config.url);
  if (!url) return "the model's URL is not http:// or https://, or carries a user or a password";
  if (config.url.find_first_of("?#") != std::string::npos) return "the model's URL has a query or a fragment";
  return {};
}

OpenAiBackend::OpenAiBackend(OpenAiConfig config, HttpClient& client) : config_(std::move(config)), client_(client) {
  while (config_.url.ends_with('/')) config_.url.pop_back();
}

HttpRequest OpenAiBackend::request(std::string method, const std::string& path) const {
  HttpRequest request{.method = std::move(method), .url = config_.url + path};
  if (!config_.api_key.empty()) request.headers.push_back({"Authorization", "Bearer " + config_.api_key});
  return request;
}

Task<ChatBackend::Started> OpenAiBackend::start(ChatQuestion question) {
  const bool raw = !question.openai_request.empty();
  const bool stream = !raw || question.stream;
  const auto body = raw ? std::move(question.openai_request) : openai_request(config_.model, question.messages);
  for (unsigned attempt = 0;; ++attempt) {
    auto tried = co_await try_once(body, raw, stream);
    if (tried.started || !tried.again) co_return std::move(tried.started);
    auto failure = tried.started.error();
    if (attempt == config_.retries) {
      failure.lasting = failure.lasting || attempt > 0;
      co_return std::move(failure);
    }
    const auto pause = pause_before(attempt, failure);
    if (!pause) co_return std::move(tried.started);
    asio::steady_timer timer(co_await asio::this_coro::executor, *pause);
    co_await timer.async_wait(as_result);
    if (co_await is_cancelled()) co_return std::move(tried.started);
  }
}

std::optional<std::chrono::milliseconds> OpenAiBackend::pause_before(unsigned attempt,
                                                                     const ChatFailure& failure) const {
  auto pause = config_.retry_pause * (1u << std::min(attempt, 10u));
  if (failure.retry_after.empty()) return pause;
  const auto seconds = parse_number<unsigned>(failure.retry_after);
  // A date, or too long a time: whoever asked can wait for it as well as we can.
  if (!seconds) return {};
  pause = std::max<std::chrono::milliseconds>(pause, std::chrono::seconds(*seconds));
  if (pause > config_.retry_after_max) return {};
  return pause;
}

// What an answer other than 200 says.
Task<std::optional<ChatFailure>> OpenAiBackend::refusal(HttpStream& stream) {
  const auto status = stream.head().status;
  if (status == 200) co_return std::nullopt;
  const std::string retry_after(stream.head().header("Retry-After"));
  auto body = co_await read_body(stream, error_body_bytes_max);
  const std::string_view text = body ? std::string_view(*body) : std::string_view();
  auto failure = openai_failure(status, text);
  if (is_retry_after(retry_after)) failure.retry_after = retry_after;
  co_return std::optional<ChatFailure>(std::move(failure));
}

Task<OpenAiBackend::Attempt> OpenAiBackend::try_once(const std::string& body, bool raw, bool stream_wanted) {
  auto asked = request("POST", "/chat/completions");
  asked.headers.push_back({"Content-Type", "application/json"});
  asked.headers.push_back({"Accept", stream_wanted ? "text/event-stream" : "application/json"});
  asked.body = body;
  const auto failed = [](ChatFailure failure, bool again) { return Attempt{Started(std::move(failure)), again}; };
  auto stream = co_await client_.open(std::move(asked), config_.limits);
  if (!stream) {
    co_return failed(unreachable(stream.error()), may_go_better(stream.error()));
  }
  auto refused = co_await refusal(*stream);
  if (refused) {
    co_return failed(std::move(*refused), may_go_better(stream->head().status));
  }
  std::unique_ptr<ChatAnswer> answer;
  const auto type = stream->head().header("Content-Type"), coding = stream->head().header("Content-Encoding");
  const auto media = type.substr(0, type.find(';'));
  if (!coding.empty() && !boost::beast::iequals(coding, "identity"))
    co_return failed({"the model's answer is compressed, which was not asked for"}, false);
  if (boost::beast::iequals(media, "text/html"))
    co_return failed({"what answers at --model-url is a web page, not a model"}, false);
  // One without a type says what it is by how it begins.
  std::string begun;
  for (bool ended = !media.empty(); !ended && begun.find_first_not_of(" \t\r\n") == begun.npos;) {
    auto more = co_await stream->read_some();
    if (!more) {
      auto broken = unreachable(more.error());
      const bool again = comes_again(broken);
      co_return failed(std::move(broken), again);
    }
    if (begun.size() > whole_answer_bytes_max) co_return failed({"the model's answer is blank"}, false);
    ended = more->empty();
    begun += *more;
  }
  if (boost::beast::iequals(media, "application/json") || begins_object(begun)) {
    auto whole = co_await read_body(*stream, whole_answer_bytes_max, std::move(begun));
    if (!whole) co_return failed(unreachable(whole.error()), false);
    auto chunk = parse_openai_chunk(*whole);
    if (!chunk) co_return failed(std::move(chunk.error()), false);
    if (raw && stream_wanted) co_return failed({"the model does not stream"}, false);
    if (chunk->choices.empty()) co_return failed({"the model's answer is not in OpenAI's format"}, false);
    ChatPiece piece{.content = std::move(chunk->content)};
    if (raw) {
      piece.tool_calls = std::move(chunk->tool_calls);
      piece.raw = std::move(*whole);
    }
    answer = std::make_unique<WholeAnswer>(std::move(piece), chunk->tokens, chunk->is_cut());
  } else {
    if (raw && !stream_wanted && media.empty())
      co_return failed({"the model's answer has no Content-Type, and does not begin as JSON"}, false);
    if (raw && !stream_wanted) co_return failed({"the model streams where it was not asked to"}, false);
    auto streamed = std::make_unique<StreamedAnswer>(std::move(*stream), raw, std::move(begun));
    auto first = co_await streamed->await_first();
    if (!first) {
      const bool again = comes_again(first.error());
      co_return failed(std::move(first.error()), again);
    }
    answer = std::move(streamed);
  }
  Attempt done{Started(std::move(answer)), false};
  co_return std::move(done);
}

Task<Result<ChatBackend::Models, ChatFailure>> OpenAiBackend::models(std::string id) {
  if (!id.empty() && !path_safe(id)) co_return ChatFailure{.reason = "there is no such model", .status = 404};
  auto asked = request("GET", id.empty() ? "/models" : "/models/" + id);
  auto stream = co_await client_.open(std::move(asked), config_.limits);
  if (!stream) co_return unreachable(stream.error());
  auto refused = co_await refusal(*stream);
  if (refused) co_return std::move(*refused);
  auto body = co_await read_body(*stream, models_bytes_max);
  if (!body) co_return unreachable(body.error());
  Models models{.body = std::move(*body)};
  co_return std::move(models);
}

}  // namespace assay
