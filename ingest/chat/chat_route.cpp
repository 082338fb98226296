#include "ingest/chat/chat_route.hpp"

#include <boost/asio/this_coro.hpp>

#include "ingest/chat/chat_events.hpp"
#include "storage/records/json_writer.hpp"

namespace assay {
namespace {

constexpr std::string_view client_left = "client went away";
// Chats whose end the log did not take before are tried again after one that it took.
constexpr std::size_t closed_along = 2;

using Headers = std::vector<std::pair<std::string_view, std::string>>;

void add_ids(Headers& headers, const ChatTurn& turn) {
  headers.emplace_back("X-Trace-Id", turn.trace_id());
  headers.emplace_back("X-Client-Request-Id", turn.client_request_id());
}

Response answer_of(const ChatTurn& turn, std::string_view durability) {
  Response response;
  JsonWriter json(response.body);
  json.begin_object().field("response", turn.response()).field("trace_id", turn.trace_id());
  json.field("client_request_id", turn.client_request_id()).end_object();
  add_ids(response.headers, turn);
  response.headers.emplace_back("Assay-Durability", durability);
  return response;
}

// The turn, or the refusal that was sent instead of it.
Task<std::optional<ChatTurn>> begin_turn(ChatServices& services, Request& request, ResponseStream& stream,
                                         std::string name) {
  auto parsed = parse_chat_request(request);
  if (!parsed) {
    services.metrics.refused.Increment();
    auto refusal = error_response(request.path, parsed.error());
    co_await stream.respond(std::move(refusal));
    co_return std::nullopt;
  }
  auto turn = co_await ChatTurn::start(services, std::move(*parsed), std::move(name));
  if (!turn) {
    services.metrics.refused.Increment();
    auto refusal = error_response(request.path, turn.error());
    co_await stream.respond(std::move(refusal));
    co_return std::nullopt;
  }
  co_return std::optional<ChatTurn>(std::move(*turn));
}

// POST /chat. A stream handler only to notice when nobody waits any more.
Task<void> answer_whole(ChatServices& services, Request& request, ResponseStream& stream) {
  auto turn = co_await begin_turn(services, request, stream, "chat");
  if (!turn) co_return;
  for (;;) {
    auto event = co_await turn->next(services.config.gone_poll);
    if (std::holds_alternative<ChatTurn::Answered>(event)) {
      auto response = answer_of(*turn, services.log.durability());
      co_await stream.respond(std::move(response));
      co_return;
    }
    if (auto* failed = std::get_if<ChatTurn::Failed>(&event)) {
      auto response = error_response(request.path, failed->status, failed->reason);
      add_ids(response.headers, *turn);
      co_await stream.respond(std::move(response));
      co_return;
    }
    if (stream.gone()) {
      co_await turn->abandon(std::string(client_left));
      co_return;
    }
  }
}

// POST /chat/stream. The next token is asked for when the last one has been written.
Task<void> answer_streaming(ChatServices& services, Request& request, ResponseStream& stream) {
  auto turn = co_await begin_turn(services, request, stream, "chat_stream");
  if (!turn) co_return;
  Headers headers{{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
  add_ids(headers, *turn);
  headers.emplace_back("Assay-Durability", services.log.durability());
  auto written = co_await stream.begin(200, "text/event-stream", headers);
  std::uint64_t id = 0;
  std::chrono::milliseconds silent{0};
  while (written && !stream.gone()) {
    const auto patience = std::min(services.config.gone_poll, services.config.heartbeat_every);
    auto event = co_await turn->next(patience);
    if (std::holds_alternative<ChatTurn::Waiting>(event)) {
      silent += patience;
      if (silent < services.config.heartbeat_every) continue;
      silent = {};
      written = co_await stream.write(heartbeat_event);
      continue;
    }
    silent = {};
    std::string bytes;
    if (auto* token = std::get_if<ChatTurn::Token>(&event)) {
      bytes = token_event(++id, token->content);
      written = co_await stream.write(bytes);
      continue;
    }
    if (auto* failed = std::get_if<ChatTurn::Failed>(&event)) {
      bytes = error_event(++id, failed->reason);
    } else {
      bytes = done_event(++id, turn->trace_id(), turn->client_request_id());
    }
    written = co_await stream.write(bytes);
    if (written) co_await stream.end();
    co_return;
  }
  co_await turn->abandon(std::string(client_left));
}

// A chat that is cancelled must still be recorded: its awaits don't throw. The session's own rule comes back after it.
template <auto Answer>
StreamHandler handler(ChatServices& services) {
  return [&services](Request& request, ResponseStream& stream) -> Task<void> {
    const bool throws = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    co_await Answer(services, request, stream);
    if (services.journal.left_over() > 0)
      co_await services.journal.close_left_over(services.log, services.clock.now(), closed_along);
    co_await asio::this_coro::throw_if_cancelled(throws);
  };
}

}  // namespace

void add_chat_routes(Router& router, ChatServices& services) {
  const RouteOptions options{.scope = Scope::chat,
                             .admission = Admission::Kind::chat,
                             .body_bytes_max = services.config.message_bytes_max,
                             .time_max = services.config.chat_max + std::chrono::seconds{30}};
  router.add_stream(http::verb::post, "/chat", handler<&answer_whole>(services), options);
  router.add_stream(http::verb::post, "/chat/stream", handler<&answer_streaming>(services), options);
}

}  // namespace assay
