#pragma once
// Answers of an OpenAI-compatible server, read from its HTTP response.
#include <map>

#include "ingest/chat/chat_backend.hpp"
#include "ingest/chat/sse_parser.hpp"
#include "ops/runtime/http_client.hpp"

namespace assay {

// Of a head or a body over its bound, as the HTTP client reports it.
inline constexpr auto too_large = boost::system::errc::message_size;

// What the HTTP client reports, in words.
ChatFailure unreachable(error_code ec);

// At most `bytes_max` of the body, of which `begun` has been read.
Task<Result<std::string>> read_body(HttpStream& stream, std::size_t bytes_max, std::string begun);
inline Task<Result<std::string>> read_body(HttpStream& stream, std::size_t bytes_max) {
  return read_body(stream, bytes_max, std::string());
}

// Whether a text begins as a JSON object does.
bool begins_object(std::string_view text);

class StreamedAnswer final : public ChatAnswer {
 public:
  // `raw`: each piece carries its event. `begun`: what has been read of its body.
  StreamedAnswer(HttpStream stream, bool raw, std::string begun = {})
      : stream_(std::move(stream)), raw_(raw), begun_with_(std::move(begun)) {}

  // Waits for the first event, so that a stream that ends before it can be asked for again.
  Task<Result<void, ChatFailure>> await_first();
  Task<Next> next() override;
  std::optional<std::size_t> tokens() const override { return tokens_; }
  bool is_cut() const override { return cut_; }

 private:
  // The data of the next event; none: the end of the stream.
  Task<Result<std::optional<std::string>, ChatFailure>> event();
  bool is_complete() const;

  HttpStream stream_;
  const bool raw_;
  std::string begun_with_;
  SseParser parser_;
  bool begun_ = false, is_json_ = false;  // by its first byte
  std::optional<std::string> first_;
  std::optional<std::size_t> tokens_;
  bool cut_ = false;
  std::map<std::int64_t, bool> choices_;  // whether each has had its finish_reason
};

// All at once: what a server has answered that does not stream, or was not to.
class WholeAnswer final : public ChatAnswer {
 public:
  explicit WholeAnswer(ChatPiece piece, std::optional<std::size_t> tokens = {}, bool cut = false)
      : piece_(std::move(piece)), tokens_(tokens), cut_(cut) {}
  Task<Next> next() override;
  std::optional<std::size_t> tokens() const override { return tokens_; }
  bool is_cut() const override { return cut_; }

 private:
  std::optional<ChatPiece> piece_;
  const std::optional<std::size_t> tokens_;
  const bool cut_;
};

}  // namespace assay
