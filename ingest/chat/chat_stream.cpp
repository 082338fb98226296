#include "ingest/chat/chat_stream.hpp"

#include <boost/asio/this_coro.hpp>

#include "ingest/access/secret.hpp"
#include "ingest/chat/chat_answer.hpp"
#include "ingest/chat/chat_events.hpp"
#include "ingest/chat/stream_pace.hpp"
#include "ingest/http/query.hpp"
#include "ops/runtime/parse_number.hpp"
#include "storage/records/json_writer.hpp"

namespace assay {
namespace {

using std::chrono::steady_clock;

constexpr std::string_view token_header = "X-Resume-Token";
// For a chat that was stopped to be recorded: the log's own limits are shorter.
constexpr std::chrono::seconds stop_patience{60};

struct ResumeRequest {
  std::shared_ptr<LiveChat> chat;
  std::size_t position = 0;
  bool had_all = false;  // the reader has seen the last event
};

// Where a reader wants to go on; none: from the start.
Result<std::optional<std::size_t>, Rejection> last_event_id(const Request& request) {
  const auto text = request.header("Last-Event-ID");
  if (!text || text->empty()) return std::optional<std::size_t>();
  const auto id = parse_number<std::size_t>(*text);
  if (!id || request.count("Last-Event-ID") > 1) return Rejection{400, "Last-Event-ID", "is not an id of this stream"};
  return id;
}

using Found = Result<std::shared_ptr<LiveChat>, Rejection>;

Found find_by_token(ChatServices& services, std::string_view trace_id, std::string_view token) {
  if (token.empty()) return Rejection{403, std::string(token_header), "is empty: the stream's first answer gave it"};
  auto chat = services.live.find(trace_id, token);
  if (!chat && !services.live.ours(token))
    return Rejection{421, "", "this stream belongs to another front door, or to this one before it was restarted"};
  if (!chat) return Rejection{404, "", "this stream is not held any more"};
  if (!equal_secrets(token, chat->resume_token()))
    return Rejection{403, std::string(token_header), "is not this stream's"};
  return chat;
}

// Who has lost the token, or never looked for it, and is recognisably the one who started the chat.
Found find_by_identity(ChatServices& services, const Request& request) {
  const auto caller = parse_chat_identity(request);
  if (!caller) return caller.error();
  const auto trace_id = request.params[0];
  std::shared_ptr<LiveChat> chat;
  if (const auto identity = identity_of(*caller)) chat = services.live.find_started_by(*identity, trace_id);
  if (chat) return chat;
  if (!services.live.find(trace_id, {})) return Rejection{404, "", "this stream is not held here, or not any more"};
  return Rejection{403, std::string(token_header),
                   "is missing: the stream's first answer gave it, and you are not known as who asked for it"};
}

Result<ResumeRequest, Rejection> read_resume_request(ChatServices& services, const Request& request) {
  const auto query = Query::parse(request.query);
  if (!query) return query.error();
  auto token = request.header(token_header);
  if (!token) token = query->get("resume_token");
  auto found = token ? find_by_token(services, request.params[0], *token) : find_by_identity(services, request);
  if (!found) return found.error();
  ResumeRequest asked{.chat = std::move(*found)};
  const auto id = last_event_id(request);
  if (!id) return id.error();
  asked.position = id->value_or(0);
  asked.had_all = asked.chat->end() != LiveChat::End::none && asked.position == asked.chat->size() + 1;
  if (!asked.had_all && !asked.chat->is_position(asked.position))
    return Rejection{400, "Last-Event-ID", "is not an id of this stream"};
  return asked;
}

ChatHeaders stream_headers(const LiveChat& chat) {
  ChatHeaders headers{{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
  add_ids(headers, chat);
  headers.emplace_back(token_header, chat.resume_token());
  // Already now: an answer that breaks off, and whose rest nobody gets, is to be rated too.
  if (const auto& token = chat.feedback_token(); !token.empty()) headers.emplace_back("X-Feedback-Token", token);
  headers.emplace_back("Assay-Durability", chat.durability());
  return headers;
}

}  // namespace

Task<void> stream_chat(ChatServices& services, std::shared_ptr<LiveChat> chat, Reading reading,
                       ResponseStream& stream) {
  const auto& config = services.config;
  const auto headers = stream_headers(*chat);
  ChatReader reader(chat, reading.from, co_await asio::this_coro::executor);
  Result<void> written;
  std::string bytes;
  try {
    written = co_await stream.begin(200, "text/event-stream", headers);
    bytes = sse_prelude(reading.from, config.retry_hint);
    if (written) {
      stream.expect_reader(config.stall_max);
      written = co_await stream.write(bytes);
    }
  } catch (...) {
    if (reading.starts_chat) chat->launch();
    throw;
  }
  if (reading.starts_chat) chat->launch();  // also where its reader has left already: its trace is to be ended

  StreamPace pace(config, steady_clock::now());
  while (written) {
    const auto look_up = pace.look_up(steady_clock::now());
    auto part = co_await reader.next(pace.not_before(), look_up);
    if (part.displaced) {
      bytes = "data: " + error_json("this stream is read by another reader now") + "\n\n";
      co_await stream.write(bytes);
      co_await stream.end();
      co_return;
    }
    const auto now = steady_clock::now();
    bytes.clear();
    if (!part.text.empty()) bytes = sse_event(part.position, token_json(part.text));
    if (part.end != LiveChat::End::none) {
      bytes += sse_event(part.position + 1, last_json(*chat, part.end));
      written = co_await stream.write(bytes);
      if (written) co_await stream.end();
      co_return;
    }
    if (bytes.empty()) {
      if (co_await is_cancelled()) {
        chat->abort(shutting_down());
        co_return;
      }
      if (stream.gone()) co_return;
      if (!pace.heartbeat_due(now)) continue;
      bytes = heartbeat_event;
    }
    pace.wrote(now);
    written = co_await stream.write(bytes);
    if (written) reader.taken();
  }
  if (co_await is_cancelled()) chat->abort(shutting_down());
}

Task<void> resume_stream(ChatServices& services, Request& request, ResponseStream& stream) {
  auto asked = read_resume_request(services, request);
  if (!asked || asked->had_all) {
    Response nothing{.status = 204, .content_type = {}};
    if (!asked) nothing = error_response(request.path, asked.error());
    co_await stream.respond(std::move(nothing));
    co_return;
  }
  if (request.head) {  // reads nothing, and takes it from nobody
    const auto headers = stream_headers(*asked->chat);
    const auto begun = co_await stream.begin(200, "text/event-stream", headers);
    if (begun) co_await stream.end();
    co_return;
  }
  services.metrics.resumed.Increment();
  const Reading rest{.from = asked->position};
  co_await stream_chat(services, asked->chat, rest, stream);
}

Task<void> stop_stream(ChatServices& services, Request& request, ResponseStream& stream) {
  auto asked = read_resume_request(services, request);
  if (!asked) {
    auto refusal = error_response(request.path, asked.error());
    co_await stream.respond(std::move(refusal));
    co_return;
  }
  auto& chat = *asked->chat;
  chat.stop();
  const auto until = steady_clock::now() + stop_patience;
  const auto end = co_await chat.ended(until);
  if (end == LiveChat::End::none) {
    auto late = error_response(request.path, Error::timed_out);
    co_await stream.respond(std::move(late));
    co_return;
  }
  Response response;
  JsonWriter json(response.body);
  json.begin_object().field("status", end == LiveChat::End::stopped ? "stopped" : "ended");
  json.field("trace_id", chat.trace_id()).field("client_request_id", chat.client_request_id());
  if (const auto& token = chat.feedback_token(); !token.empty()) json.field("feedback_token", token);
  json.end_object();
  add_ids(response.headers, chat);
  response.headers.emplace_back("Assay-Durability", chat.durability());
  co_await stream.respond(std::move(response));
}

}  // namespace assay
