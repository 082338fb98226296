#include "ingest/chat/chat_route.hpp"

#include <boost/asio/this_coro.hpp>

#include "ingest/chat/chat_answer.hpp"
#include "ingest/chat/chat_stream.hpp"
#include "storage/records/json_writer.hpp"

namespace assay {
namespace {

Response answer_of(const LiveChat& chat, std::string_view text) {
  Response response;
  JsonWriter json(response.body);
  json.begin_object().field("response", text).field("trace_id", chat.trace_id());
  json.field("client_request_id", chat.client_request_id());
  if (const auto token = chat.feedback_token(); !token.empty()) json.field("feedback_token", token);
  json.end_object();
  add_ids(response.headers, chat);
  response.headers.emplace_back("Assay-Durability", chat.durability());
  return response;
}

// None: it was refused.
Task<std::shared_ptr<LiveChat>> ask(ChatServices& services, Request& request, std::string name, LiveChat::Kind kind,
                                    ResponseStream& stream) {
  auto parsed = parse_chat_request(request);
  if (!parsed) {
    services.metrics.refused.Increment();
    auto refusal = error_response(request.path, parsed.error());
    co_await stream.respond(std::move(refusal));
    co_return nullptr;
  }
  co_return co_await begin_chat(services, std::move(*parsed), std::move(name), kind, request.path, stream);
}

// POST /chat. A stream handler only to notice when nobody waits any more.
Task<void> answer_whole(ChatServices& services, Request& request, ResponseStream& stream) {
  auto chat = co_await ask(services, request, "chat", LiveChat::Kind::whole, stream);
  if (!chat) co_return;
  ChatReader reader(chat, 0, co_await asio::this_coro::executor);
  chat->launch();
  auto part = co_await await_whole(services, *chat, reader, stream);
  if (!part) co_return;
  auto response = answer_of(*chat, std::exchange(part->text, {}));
  if (part->end == LiveChat::End::failed) {
    const auto failure = chat->failure();
    response = error_response(request.path, failure.status, failure.reason);
    add_ids(response.headers, *chat);
    response.headers.emplace_back("Assay-Durability", chat->durability());
    if (!failure.retry_after.empty()) set_retry_after(response, failure.retry_after);
  }
  co_await stream.respond(std::move(response));
}

// POST /chat/stream.
Task<void> answer_streaming(ChatServices& services, Request& request, ResponseStream& stream) {
  auto chat = co_await ask(services, request, "chat_stream", LiveChat::Kind::resumable, stream);
  if (!chat) co_return;
  services.live.add(chat);
  const Reading all{.starts_chat = true};
  co_await stream_chat(services, chat, all, stream);
  if (request.permit) chat->keep(std::move(*request.permit));
}

}  // namespace

void add_chat_routes(Router& router, ChatServices& services) {
  const RouteOptions options{.scope = Scope::chat,
                             .admission = Admission::Kind::chat,
                             .body_bytes_max = services.config.message_bytes_max,
                             .time_max = services.config.chat_max + std::chrono::seconds{30}};
  const auto with = [&services](auto answer) {
    return chat_handler(
        [&services, answer](Request& request, ResponseStream& stream) { return answer(services, request, stream); });
  };
  router.add_stream(http::verb::post, "/chat", with(&answer_whole), options);
  router.add_stream(http::verb::post, "/chat/stream", with(&answer_streaming), options);
  auto of_a_chat = options;
  of_a_chat.admission = {};  // it has its place in the budget: whoever comes back, or stops it, needs no other
  router.add_stream(http::verb::get, "/chat/stream/{trace_id}", with(&resume_stream), of_a_chat);
  router.add_stream(http::verb::delete_, "/chat/stream/{trace_id}", with(&stop_stream), of_a_chat);
}

}  // namespace assay
