#include "ingest/ws/chat_socket.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>

#include "ingest/access/token_buckets.hpp"
#include "ingest/chat/chat_answer.hpp"
#include "ingest/chat/chat_events.hpp"
#include "ingest/ws/handshake.hpp"
#include "ingest/ws/origin.hpp"
#include "ingest/ws/web_socket.hpp"
#include "ops/runtime/log.hpp"
#include "storage/records/json_writer.hpp"

namespace assay {
namespace {

using std::chrono::milliseconds, std::chrono::steady_clock;

std::string start_json(const LiveChat& chat) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("type", "start").field("trace_id", chat.trace_id());
  json.field("client_request_id", chat.client_request_id()).field("resume_token", chat.resume_token());
  if (const auto& token = chat.feedback_token(); !token.empty()) json.field("feedback_token", token);
  json.end_object();
  return out;
}

// One connection. Its reader is the session's own task; the turn under way is another one, which the reader waits for.
// They share the writing side: the reader only writes while no turn does.
class ChatSocket {
 public:
  ChatSocket(ChatServices& services, std::unique_ptr<TakenConnection> connection, const ChatSocketConfig& config,
             ChatCaller defaults, const Request& request, Executor executor)
      : services_(services),
        defaults_(std::move(defaults)),
        socket_(std::move(connection), {.message_bytes_max = services.config.message_bytes_max,
                                        .idle = config.idle_max,
                                        .stall = services.config.stall_max}),
        executor_(executor),
        charge_(request.charge ? *request.charge : Charge()),
        permit_(request.permit),
        turn_ended_(std::make_shared<Waiter>(executor)),
        look_up_(std::make_shared<Waiter>(executor)) {}

  Task<void> run() {
    const auto accepted = co_await socket_.accept();
    if (!accepted) co_return;
    std::exception_ptr thrown;  // whatever it is: the tasks live on this, and are waited for
    try {
      spawn(watch());
      co_await converse();
    } catch (...) {
      thrown = std::current_exception();
      socket_.cut();
    }
    closed_ = true;
    look_up_->wake();
    while (tasks_ > 0) {
      if (co_await is_cancelled()) insisted_ = true;
      const auto poll = steady_clock::now() + services_.config.gone_poll;
      co_await turn_ended_->wait(poll);
    }
    if (thrown) std::rethrow_exception(thrown);
  }

 private:
  void spawn(Task<void> task) {
    auto ended = [this](std::exception_ptr thrown) {
      if (thrown) spdlog::error("event=chat_socket_failed");
      if (thrown) socket_.cut();
      --tasks_;
      turn_ended_->wake();
    };
    ++tasks_;
    try {
      asio::co_spawn(executor_, std::move(task), std::move(ended));
    } catch (...) {  // it does not run, and never ends
      --tasks_;
      throw;
    }
  }

  Task<void> converse() {
    for (;;) {
      auto message = co_await socket_.read();
      if (!message) co_return;
      if (!message->text) {
        co_await socket_.close(WebSocket::not_text, "messages are JSON, as text");
        co_return;
      }
      co_await take(message->data);
    }
  }

  Task<void> take(std::string_view text) {
    auto asked = parse_socket_message(text);
    if (!asked) {
      const auto& problem = asked.error();
      auto words = problem.field.empty() ? problem.reason : problem.field + ": " + problem.reason;
      co_await say(std::move(words));
    } else if (asked->stop) {
      stop_asked_ = turn_;  // also while its chat is being opened
      if (chat_) chat_->stop();
    } else if (turn_) {
      std::string busy = "an answer is under way: one turn at a time";
      co_await say(std::move(busy));
    } else if (const auto wait = turns_++ > 0 ? charge_.wait_for_one() : milliseconds(0); wait.count() > 0) {
      auto words = "too many questions: ask again in " + std::to_string((wait.count() + 999) / 1000) + " s";
      co_await say(std::move(words));
    } else {
      turn_ = true;
      stop_asked_ = false;
      auto& caller = asked->chat.caller;
      if (caller.session.empty()) caller.session = defaults_.session;
      if (caller.user.empty()) caller.user = defaults_.user;
      if (caller.client_request_id.empty() && !chatted_) caller.client_request_id = defaults_.client_request_id;
      caller.trace_id = defaults_.trace_id;
      caller.parent_span_id = defaults_.parent_span_id;
      caller.key_id = defaults_.key_id;
      caller.is_stranger = defaults_.is_stranger;
      spawn(answer(std::move(asked->chat)));
    }
  }

  // An error that belongs to no turn. What the turn under way writes comes first.
  Task<void> say(std::string error) {
    const auto json = error_json(error);
    co_await write(json);
  }

  // One message at a time: the turn and the reader may both want to.
  Task<Result<void>> write(std::string_view json) {
    while (writing_) {
      auto turn = std::make_shared<Waiter>(executor_);
      writers_.push_back(turn);
      co_await turn->wait(Waiter::Time::max());
    }
    const Writing now(*this);
    co_return co_await socket_.write(json);
  }

  // Behind it all who wait look again: the first of them may have been told to end, and not wait any more.
  struct Writing {
    explicit Writing(ChatSocket& of) : socket(of) { socket.writing_ = true; }
    Writing(const Writing&) = delete;
    ~Writing() {
      socket.writing_ = false;
      for (const auto& writer : std::exchange(socket.writers_, {})) writer->wake();
    }
    ChatSocket& socket;
  };

  // Looks now and then whether the door drains: between turns the connection is closed.
  Task<void> watch() {
    while (!closed_) {
      const auto poll = steady_clock::now() + services_.config.gone_poll;
      co_await look_up_->wait(poll);
      if (closed_ || !socket_.draining() || turn_) continue;
      co_await socket_.close(WebSocket::going_away, "the front door is shutting down");
      co_return;
    }
  }

  Task<void> answer(ChatRequest asked) {
    co_await asio::this_coro::throw_if_cancelled(false);
    auto starter = starter_of(asked.caller);
    auto turn = co_await ChatTurn::start(services_, std::move(asked), "chat_ws");
    if (!turn) {
      services_.metrics.refused.Increment();
      turn_ = false;
      auto words = turn.error().message();
      co_await say(std::move(words));
      co_return;
    }
    chatted_ = true;
    chat_ = std::make_shared<LiveChat>(services_, std::move(*turn), std::move(starter), LiveChat::Kind::resumable,
                                       executor_);
    services_.live.add(chat_);
    if (stop_asked_) chat_->stop();
    const bool displaced = co_await stream();
    if (insisted_) chat_->abort(shutting_down());
    if (permit_) chat_->keep(std::move(*permit_));
    chat_.reset();
    // That chat has its place in the budget now: whoever asks again needs another one.
    if (displaced) co_await socket_.close(WebSocket::normal, "this answer is read by another reader now");
    turn_ = false;
    look_up_->wake();
  }

  // Whether somebody else reads the chat now.
  Task<bool> stream() {
    ChatReader reader(chat_, 0, executor_);
    chat_->launch();
    auto json = start_json(*chat_);
    auto written = co_await write(json);
    auto not_before = steady_clock::now();
    while (written && !closed_) {
      const auto look_up = steady_clock::now() + services_.config.gone_poll;
      auto part = co_await reader.next(not_before, look_up);
      if (part.displaced) {
        json = error_json("this answer is read by another reader now");
        co_await write(json);
        co_return true;
      }
      if (!part.text.empty()) {
        not_before = steady_clock::now() + services_.config.token_interval;
        json = token_json(part.text);
        written = co_await write(json);
        if (written) reader.taken();
      }
      if (part.end == LiveChat::End::none) continue;
      json = last_json(*chat_, part.end);
      co_await write(json);
      break;
    }
    co_return false;
  }

  ChatServices& services_;
  const ChatCaller defaults_;  // what the handshake's headers say of every turn
  WebSocket socket_;
  Executor executor_;
  const Charge charge_;  // the handshake's: it has paid for the first turn
  Admission::Permit* const permit_;
  std::shared_ptr<Waiter> turn_ended_, look_up_;
  std::shared_ptr<LiveChat> chat_;
  std::uint64_t turns_ = 0;  // asked for
  bool chatted_ = false;     // one has begun
  int tasks_ = 0;
  bool turn_ = false, stop_asked_ = false, closed_ = false, insisted_ = false, writing_ = false;
  std::vector<std::shared_ptr<Waiter>> writers_;
};

Response refusal(const Request& request, const ChatSocketConfig& config) {
  if (auto response = handshake_refusal(request); response.status != 200) return response;
  const auto origin = request.header("Origin").value_or(std::string_view());
  if (!origin_may_connect(origin, request.header("Host").value_or(std::string_view()), config.origins))
    return error_response(request.path, 403, "pages of this origin may not connect", "Origin");
  return {};
}

Task<void> serve(ChatServices& services, const ChatSocketConfig& config, Request& request, ResponseStream& stream) {
  auto refused = refusal(request, config);
  auto defaults = parse_chat_headers(request);
  if (refused.status == 200 && !defaults) refused = error_response(request.path, defaults.error());
  if (refused.status != 200) {
    co_await stream.respond(std::move(refused));
    co_return;
  }
  auto connection = stream.take_over();
  if (!connection) co_return;
  ChatSocket socket(services, std::move(connection), config, std::move(*defaults), request,
                    co_await asio::this_coro::executor);
  co_await socket.run();
}

}  // namespace

void add_chat_socket(Router& router, ChatServices& services, ChatSocketConfig config) {
  auto answer = [&services, config = std::move(config)](Request& request, ResponseStream& stream) {
    return serve(services, config, request, stream);
  };
  router.add_stream(http::verb::get, "/chat/ws", chat_handler(std::move(answer)),
                    {.scope = Scope::chat, .admission = Admission::Kind::chat, .body_bytes_max = 0});
}

}  // namespace assay
