#include "ingest/openai/openai_routes.hpp"

#include <algorithm>
#include <boost/asio/this_coro.hpp>

#include "ingest/chat/chat_answer.hpp"
#include "ingest/chat/chat_events.hpp"
#include "ingest/chat/stream_pace.hpp"
#include "ingest/http/query.hpp"
#include "ingest/openai/completion_request.hpp"

namespace assay {
namespace {

using std::chrono::steady_clock;

// The model's own refusal where it may be seen, else ours in OpenAI's form. What it says of keys is about ours.
Response refusal(std::string_view path, const ChatFailure& failure) {
  const bool hidden = failure.openai_status == 401 || failure.openai_status == 403 || failure.openai_status == 407;
  const auto status = failure.openai_status >= 400 && !hidden ? failure.openai_status : failure.status;
  auto response = error_response(path, status, failure.reason);
  if (!hidden && !failure.openai_body.empty()) response.body = failure.openai_body;
  if (!failure.retry_after.empty()) set_retry_after(response, failure.retry_after);
  // OpenAI's clients repeat what failed as often as we do: together that is nine times for one click.
  if (failure.lasting && failure.retry_after.empty() && status != 429)
    response.headers.emplace_back("X-Should-Retry", "false");
  return response;
}

Task<void> answer_whole(ChatServices& services, std::shared_ptr<LiveChat> chat, Request& request,
                        ResponseStream& stream) {
  ChatReader reader(chat, 0, co_await asio::this_coro::executor);
  chat->launch();
  auto part = co_await await_whole(services, *chat, reader, stream);
  if (!part) co_return;
  Response response;
  if (part->end == LiveChat::End::failed)
    response = refusal(request.path, chat->failure());
  else
    response.body = std::move(part->text);
  add_ids(response.headers, *chat);
  response.headers.emplace_back("Assay-Durability", chat->durability());
  co_await stream.respond(std::move(response));
}

Task<Result<void>> begin(ChatServices& services, const LiveChat& chat, ResponseStream& stream) {
  ChatHeaders headers{{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
  add_ids(headers, chat);
  headers.emplace_back("Assay-Durability", chat.durability());
  auto begun = co_await stream.begin(200, "text/event-stream", headers);
  if (begun) stream.expect_reader(services.config.stall_max);
  co_return begun;
}

std::string failed_event(std::string_view path, const ChatFailure& failure) {
  auto body = refusal(path, failure).body;
  std::replace_if(
      body.begin(), body.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');  // between tokens
  return "data: " + body + "\n\n";
}

Task<void> answer_streaming(ChatServices& services, std::shared_ptr<LiveChat> chat, Request& request,
                            ResponseStream& stream) {
  ChatReader reader(chat, 0, co_await asio::this_coro::executor);
  chat->launch();
  bool begun = false;
  StreamPace pace(services.config, steady_clock::now());
  Result<void> written;
  while (written) {
    const auto look_up = pace.look_up(steady_clock::now());
    auto part = co_await reader.next(pace.not_before(), look_up);
    const auto now = steady_clock::now();
    auto bytes = std::move(part.text);
    const bool ended = part.end != LiveChat::End::none;
    if (ended && part.end == LiveChat::End::failed && !begun && bytes.empty()) {
      auto response = refusal(request.path, chat->failure());
      add_ids(response.headers, *chat);
      response.headers.emplace_back("Assay-Durability", chat->durability());
      co_await stream.respond(std::move(response));
      co_return;
    }
    if (ended && part.end == LiveChat::End::failed) bytes += failed_event(request.path, chat->failure());
    if (ended && part.end != LiveChat::End::failed) bytes += "data: [DONE]\n\n";
    if (bytes.empty()) {
      if (co_await is_cancelled()) break;
      if (stream.gone()) co_return;
      if (!pace.heartbeat_due(now)) continue;
      bytes = heartbeat_event;
    }
    if (!begun) {
      begun = true;
      written = co_await begin(services, *chat, stream);
      if (!written) co_return;
    }
    pace.wrote(now);
    written = co_await stream.write(bytes);
    if (written && ended) {
      co_await stream.end();
      co_return;
    }
    if (written) reader.taken();
  }
  if (co_await is_cancelled()) chat->abort(shutting_down());
}

Task<void> complete(ChatServices& services, Request& request, ResponseStream& stream) {
  auto parsed = parse_completion_request(request);
  if (!parsed) {
    services.metrics.refused.Increment();
    auto response = error_response(request.path, parsed.error());
    co_await stream.respond(std::move(response));
    co_return;
  }
  const bool streams = parsed->openai_stream;
  const auto kind = streams ? LiveChat::Kind::frames : LiveChat::Kind::whole;
  std::string name = "chat_completion";
  auto chat = co_await begin_chat(services, std::move(*parsed), std::move(name), kind, request.path, stream);
  if (!chat) co_return;
  if (streams)
    co_await answer_streaming(services, std::move(chat), request, stream);
  else
    co_await answer_whole(services, std::move(chat), request, stream);
}

Task<Response> models(ChatServices& services, Request& request) {
  if (const auto query = Query::parse(request.query); !query) co_return error_response(request.path, query.error());
  std::string id(request.params[0]);
  if (!request.params[1].empty()) id.append("/").append(request.params[1]);
  auto found = co_await services.backend.models(std::move(id));
  if (!found) co_return refusal(request.path, found.error());
  Response response{.status = found->status};
  response.body = std::move(found->body);
  co_return std::move(response);
}

}  // namespace

void add_openai_routes(Router& router, ChatServices& services) {
  const auto time_max = services.config.chat_max + std::chrono::seconds{30};
  auto answer = [&services](Request& request, ResponseStream& stream) { return complete(services, request, stream); };
  router.add_stream(http::verb::post, "/v1/chat/completions", chat_handler(std::move(answer)),
                    {.scope = Scope::chat,
                     .admission = Admission::Kind::chat,
                     .body_bytes_max = services.config.openai_request_bytes_max,
                     .time_max = time_max});
  const auto list = [&services](Request& request) { return models(services, request); };
  router.add(http::verb::get, "/v1/models", list,
             {.scope = Scope::chat, .admission = Admission::Kind::chat, .body_bytes_max = 0});
  router.add(http::verb::get, "/v1/models/{model}", list,
             {.scope = Scope::chat, .admission = Admission::Kind::chat, .body_bytes_max = 0});
  // Names such as owner/model, as clients write them: with the slash as it is.
  router.add(http::verb::get, "/v1/models/{owner}/{model}", list,
             {.scope = Scope::chat, .admission = Admission::Kind::chat, .body_bytes_max = 0});
}

}  // namespace assay
