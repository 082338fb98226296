#include "ingest/chat/chat_answer.hpp"

#include <boost/asio/this_coro.hpp>

#include "ingest/chat/chat_events.hpp"

namespace assay {

std::string last_json(const LiveChat& chat, LiveChat::End end) {
  if (end == LiveChat::End::failed)
    return failed_json(chat.failure().reason, chat.trace_id(), chat.client_request_id(), chat.feedback_token());
  const auto how = end == LiveChat::End::stopped ? "stopped" : end == LiveChat::End::cut ? "cut" : "";
  return done_json(chat.trace_id(), chat.client_request_id(), how, chat.feedback_token());
}

void set_retry_after(Response& response, const std::string& value) {
  std::erase_if(response.headers, [](const auto& header) { return header.first == "Retry-After"; });
  response.headers.emplace_back("Retry-After", value);
}

void add_ids(ChatHeaders& headers, const LiveChat& chat) {
  headers.emplace_back("X-Trace-Id", chat.trace_id());
  headers.emplace_back("X-Client-Request-Id", chat.client_request_id());
}

Task<std::shared_ptr<LiveChat>> begin_chat(ChatServices& services, ChatRequest asked, std::string name,
                                           LiveChat::Kind kind, std::string_view path, ResponseStream& stream) {
  auto starter = starter_of(asked.caller);
  auto turn = co_await ChatTurn::start(services, std::move(asked), std::move(name));
  if (!turn) {
    services.metrics.refused.Increment();
    auto refusal = error_response(path, turn.error());
    co_await stream.respond(std::move(refusal));
    co_return nullptr;
  }
  auto executor = co_await asio::this_coro::executor;
  co_return std::make_shared<LiveChat>(services, std::move(*turn), std::move(starter), kind, executor);
}

Task<std::optional<ChatReader::Part>> await_whole(ChatServices& services, LiveChat& chat, ChatReader& reader,
                                                  ResponseStream& stream) {
  for (;;) {
    const auto look_up = std::chrono::steady_clock::now() + services.config.gone_poll;
    auto part = co_await reader.next(Waiter::Time::max(), look_up);
    if (part.end != LiveChat::End::none) co_return std::move(part);
    if (co_await is_cancelled()) {
      chat.abort(shutting_down());
      co_return std::nullopt;
    }
    if (stream.gone()) {
      chat.abort({std::string(client_left)});
      co_return std::nullopt;
    }
  }
}

StreamHandler chat_handler(std::function<Task<void>(Request&, ResponseStream&)> answer) {
  return [answer = std::move(answer)](Request& request, ResponseStream& stream) -> Task<void> {
    const bool throws = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    co_await answer(request, stream);
    co_await asio::this_coro::throw_if_cancelled(throws);
  };
}

}  // namespace assay
