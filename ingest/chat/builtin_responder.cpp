#include "ingest/chat/builtin_responder.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include "ingest/chat/utf8.hpp"

namespace assay {
namespace {

constexpr std::size_t echoed_bytes_max = 2000;

class Echo final : public ChatAnswer {
 public:
  Echo(std::string text, std::chrono::milliseconds pause) : text_(std::move(text)), pause_(pause) {}

  Task<Next> next() override {
    if (at_ == text_.size()) co_return std::optional<std::string>();
    if (at_ > 0 && pause_.count() > 0) {
      asio::steady_timer timer(co_await asio::this_coro::executor, pause_);
      auto [ec] = co_await timer.async_wait(as_result);
      if (ec) co_return ChatFailure{"the answer was aborted"};
    }
    // A word with the white space before it, as a model's tokens come.
    const auto from = at_;
    const auto word = text_.find_first_not_of(" \n\t", at_);
    at_ = word == std::string::npos ? word : text_.find_first_of(" \n\t", word);
    if (at_ == std::string::npos) at_ = text_.size();
    co_return std::optional<std::string>(text_.substr(from, at_ - from));
  }

 private:
  std::string text_;
  std::chrono::milliseconds pause_;
  std::size_t at_ = 0;
};

}  // namespace

Task<ChatBackend::Started> BuiltinResponder::start(std::vector<ChatMessage> messages) {
  const std::string_view asked = messages.empty() ? std::string_view() : messages.back().content;
  std::string text = "You said: ";
  text.append(utf8_prefix(asked, echoed_bytes_max));
  text.append("\n\nI am assay's built-in responder. Start assay with --model-url to put a model here.");
  std::unique_ptr<ChatAnswer> answer = std::make_unique<Echo>(std::move(text), pause_);
  co_return std::move(answer);
}

}  // namespace assay
