#include "ingest/chat/builtin_responder.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include "ingest/chat/openai_answer.hpp"
#include "ops/runtime/clock.hpp"
#include "ops/runtime/ids.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/records/utf8.hpp"

namespace assay {
namespace {

constexpr std::size_t echoed_bytes_max = 2000;

std::int64_t unix_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(SystemClock().now().time_since_epoch()).count();
}

std::string model_json() {
  std::string out;
  JsonWriter(out)
      .begin_object()
      .field("id", BuiltinResponder::model_name)
      .field("object", "model")
      .field("created", 0)
      .field("owned_by", "assay")
      .end_object();
  return out;
}

// The words of an answer as OpenAI's protocol has them.
class Completion {
 public:
  Completion() : id_(random_id("chatcmpl-")), created_(unix_seconds()) {}

  std::string chunk(std::string_view content, bool first) const {
    std::string out;
    JsonWriter json(out);
    begin(json, "chat.completion.chunk").field("index", 0).key("delta").begin_object();
    if (first) json.field("role", "assistant");
    json.field("content", content).end_object().key("finish_reason").null();
    json.end_object().end_array().end_object();
    return out;
  }
  std::string last_chunk() const {
    std::string out;
    JsonWriter json(out);
    begin(json, "chat.completion.chunk").field("index", 0).key("delta").begin_object().end_object();
    json.field("finish_reason", "stop").end_object().end_array().end_object();
    return out;
  }
  std::string whole(std::string_view content) const {
    std::string out;
    JsonWriter json(out);
    begin(json, "chat.completion").field("index", 0).key("message").begin_object().field("role", "assistant");
    json.field("content", content).key("refusal").null().end_object().field("finish_reason", "stop");
    json.end_object().end_array().key("usage").begin_object().field("prompt_tokens", 0).field("completion_tokens", 0);
    json.field("total_tokens", 0).end_object().end_object();
    return out;
  }

 private:
  JsonWriter& begin(JsonWriter& json, std::string_view object) const {
    json.begin_object().field("id", id_).field("object", object).field("created", created_);
    return json.field("model", BuiltinResponder::model_name).key("choices").begin_array().begin_object();
  }

  std::string id_;
  std::int64_t created_;
};

class Echo final : public ChatAnswer {
 public:
  Echo(std::string text, std::chrono::milliseconds pause, bool raw)
      : text_(std::move(text)), pause_(pause), raw_(raw) {}

  Task<Next> next() override {
    ChatPiece piece;
    if (at_ == text_.size()) {
      if (!raw_ || std::exchange(closed_, true)) co_return std::optional<ChatPiece>();
      piece.raw = completion_.last_chunk();
      co_return std::optional<ChatPiece>(std::move(piece));
    }
    // On a schedule of its own, as a model; who was held back for longer than a pause begins a new one.
    const auto now = Timer::clock_type::now();
    due_ = at_ == 0 ? now : std::max(due_ + pause_, now - pause_);
    if (due_ > now) {
      if (!timer_) timer_.emplace(co_await asio::this_coro::executor);
      timer_->expires_at(due_);
      auto [ec] = co_await timer_->async_wait(as_result);
      if (ec) co_return ChatFailure{"the answer was aborted"};
    }
    // A word with the white space before it, as a model's tokens come.
    const auto from = at_;
    const auto word = text_.find_first_not_of(" \n\t", at_);
    at_ = word == std::string::npos ? word : text_.find_first_of(" \n\t", word);
    if (at_ == std::string::npos) at_ = text_.size();
    piece.content = text_.substr(from, at_ - from);
    if (raw_) piece.raw = completion_.chunk(piece.content, from == 0);
    co_return std::optional<ChatPiece>(std::move(piece));
  }

 private:
  std::string text_;
  std::chrono::milliseconds pause_;
  bool raw_, closed_ = false;
  Completion completion_;
  std::size_t at_ = 0;
  Timer::time_point due_;
  std::optional<Timer> timer_;
};

}  // namespace

Task<ChatBackend::Started> BuiltinResponder::start(ChatQuestion question) {
  const std::string_view asked =
      question.messages.empty() ? std::string_view() : std::string_view(question.messages.back().content);
  std::string text = "You said: ";
  text.append(utf8_prefix(asked, echoed_bytes_max));
  text.append("\n\nI am assay's built-in responder. Start assay with --model-url to put a model here.");
  const bool raw = !question.openai_request.empty();
  std::unique_ptr<ChatAnswer> answer;
  if (raw && !question.stream) {
    ChatPiece piece{.content = text, .raw = Completion().whole(text)};
    answer = std::make_unique<WholeAnswer>(std::move(piece));
  } else {
    answer = std::make_unique<Echo>(std::move(text), pause_, raw);
  }
  co_return std::move(answer);
}

Task<Result<ChatBackend::Models, ChatFailure>> BuiltinResponder::models(std::string id) {
  if (!id.empty() && id != model_name) co_return ChatFailure{.reason = "there is no such model", .status = 404};
  Models models{.body = id.empty() ? R"({"object":"list","data":[)" + model_json() + "]}" : model_json()};
  co_return std::move(models);
}

}  // namespace assay
