#include "ingest/chat/openai_answer.hpp"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/beast/http/error.hpp>

#include "ingest/chat/openai_chunk.hpp"
#include "ops/runtime/error.hpp"

namespace assay {
namespace {

// How long to wait, after the last event, for the end of the HTTP body that lets the connection be kept.
constexpr std::chrono::milliseconds end_patience{20};
constexpr std::size_t choices_max = 128;

// There was a connection, and what came over it was no answer, or half of one.
bool is_broken(error_code ec) {
  static const auto& of_http = boost::beast::http::make_error_code(boost::beast::http::error::end_of_stream).category();
  return ec.category() == of_http || ec == asio::error::eof || ec == asio::error::connection_reset ||
         ec == asio::error::broken_pipe || ec == asio::ssl::error::stream_truncated;
}

}  // namespace

ChatFailure unreachable(error_code ec) {
  if (ec == Error::timed_out) return {"the model did not answer in time", 504};
  if (ec == Error::over_capacity) return {"too many answers at once", 503};
  if (ec == too_large) return {.reason = "the model's answer, or its head, is too large", .lasting = true};
  if (ec == boost::beast::http::error::partial_message) return {"the model broke off in the middle of its answer"};
  if (ec == boost::beast::http::error::end_of_stream) return {"the model closed the connection without an answer"};
  return {(is_broken(ec) ? "the connection to the model broke: " : "the model can't be reached: ") + ec.message()};
}

bool begins_object(std::string_view text) {
  const auto start = text.find_first_not_of(" \t\r\n");
  return start != text.npos && text[start] == '{';
}

Task<Result<std::string>> read_body(HttpStream& stream, std::size_t bytes_max, std::string begun) {
  auto body = std::move(begun);
  for (;;) {
    auto bytes = co_await stream.read_some();
    if (!bytes) co_return bytes.error();
    if (bytes->empty()) co_return body;
    body += *bytes;
    if (body.size() > bytes_max) co_return make_error_code(too_large);
  }
}

Task<Result<std::optional<std::string>, ChatFailure>> StreamedAnswer::event() {
  if (first_) {
    auto first = std::exchange(first_, {});
    co_return std::move(first);
  }
  for (;;) {
    if (auto event = parser_.next()) co_return std::move(event);
    Result<std::string> bytes = std::exchange(begun_with_, {});
    if (bytes->empty()) bytes = co_await stream_.read_some();
    if (!bytes) co_return unreachable(bytes.error());
    if (bytes->empty()) co_return std::optional<std::string>();
    if (!begun_ && bytes->find_first_not_of(" \t\r\n") != bytes->npos) {
      begun_ = true;
      is_json_ = begins_object(*bytes);
    }
    if (!parser_.feed(*bytes)) {
      ChatFailure large{.reason = "the model sent an event that is too large", .lasting = true};
      co_return std::move(large);
    }
  }
}

Task<Result<void, ChatFailure>> StreamedAnswer::await_first() {
  auto first = co_await event();
  if (!first) co_return std::move(first.error());
  if (!*first && is_json_) {
    ChatFailure untold{.reason = "the model's answer is JSON, and its Content-Type does not say so", .lasting = true};
    co_return std::move(untold);
  }
  if (!*first) co_return ChatFailure{"the model's answer ended before it began"};
  first_ = std::move(*first);
  co_return Result<void, ChatFailure>();
}

bool StreamedAnswer::is_complete() const {
  return !choices_.empty() && std::all_of(choices_.begin(), choices_.end(), [](const auto& c) { return c.second; });
}

Task<ChatAnswer::Next> StreamedAnswer::next() {
  for (;;) {
    auto data = co_await event();
    if (!data) co_return std::move(data.error());
    if (!*data) {
      // Some servers leave [DONE] out; an answer that is cut has no finish_reason either.
      if (is_complete()) co_return std::optional<ChatPiece>();
      co_return ChatFailure{"the model's answer ended before it was complete"};
    }
    if (**data == "[DONE]") {
      co_await stream_.finish(end_patience);
      co_return std::optional<ChatPiece>();
    }
    auto chunk = parse_openai_chunk(**data);
    if (!chunk) co_return std::move(chunk.error());
    if (chunk->tokens) tokens_ = chunk->tokens;
    cut_ |= chunk->is_cut();
    for (const auto& choice : chunk->choices)
      if (choices_.contains(choice.index) || choices_.size() < choices_max) choices_[choice.index] |= choice.finished;
    if (!raw_ && chunk->content.empty()) continue;
    ChatPiece piece{.content = std::move(chunk->content)};
    if (raw_) {
      piece.tool_calls = std::move(chunk->tool_calls);
      piece.raw = std::move(**data);
      std::replace(piece.raw.begin(), piece.raw.end(), '\n', ' ');  // between JSON's tokens: strings can't hold one
    }
    co_return std::optional<ChatPiece>(std::move(piece));
  }
}

Task<ChatAnswer::Next> WholeAnswer::next() {
  auto piece = std::exchange(piece_, {});
  if (piece && piece->content.empty() && piece->raw.empty()) piece.reset();
  co_return std::move(piece);
}

}  // namespace assay
