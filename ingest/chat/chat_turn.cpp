#include "ingest/chat/chat_turn.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include "ops/runtime/ids.hpp"
#include "ops/runtime/log.hpp"
#include "storage/records/request_record.hpp"

namespace assay {
namespace {

using Fetched = ChatAnswer::Next;
using Timer =
    asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Executor>;

double seconds(std::chrono::milliseconds d) { return std::chrono::duration<double>(d).count(); }

// For a chat whose beginning may be in the log, and whose end has to follow later.
void leave_over_as_failed(ChatServices& services, const ChatTrace& chat, std::string reason) {
  const ChatOutcome outcome{.ended_at = std::max(services.clock.now(), chat.started_at), .error = std::move(reason)};
  if (const auto noted = services.journal.ended(ended_trace(chat, outcome)); !noted)
    spdlog::warn("event=chat_journal_failed trace_id={} error=\"{}\"", chat.trace_id, noted.error().message());
  services.journal.leave_over(chat.trace_id);
}

}  // namespace

// The model's side: a task of its own that fetches one token, so that whoever waits for it can look up now and then
// without aborting it. Both run on the session's thread. Held by the task too: it may outlive its turn for a moment.
struct ChatTurn::Pull {
  explicit Pull(Executor e) : executor(e), ready(e) {}

  Executor executor;
  Timer ready;  // cancelled when there is an answer
  asio::cancellation_signal abort;
  std::unique_ptr<ChatAnswer> answer;
  std::optional<Fetched> token;
  bool running = false;

  static Task<Fetched> fetch(std::shared_ptr<Pull> self, ChatBackend& backend, std::vector<ChatMessage> messages) {
    if (!self->answer) {
      auto started = co_await backend.start(std::move(messages));
      if (!started) co_return started.error();
      self->answer = std::move(*started);
    }
    co_return co_await self->answer->next();
  }
  static void begin(const std::shared_ptr<Pull>& self, ChatBackend& backend, std::vector<ChatMessage> messages) {
    self->running = true;
    auto done = [self](std::exception_ptr thrown, Fetched token) {
      self->running = false;
      if (thrown) token = ChatFailure{"the answer was aborted"};
      self->token = std::move(token);
      self->ready.cancel();
    };
    asio::co_spawn(self->executor, fetch(self, backend, std::move(messages)),
                   asio::bind_cancellation_slot(self->abort.slot(), done));
  }
};

ChatTurn::ChatTurn(ChatServices& services, ChatTrace chat)
    : services_(&services),
      chat_(std::move(chat)),
      deadline_(std::chrono::steady_clock::now() + services.config.chat_max) {
  services.metrics.open.Increment();
}

ChatTurn::ChatTurn(ChatTurn&& other) noexcept
    : services_(std::exchange(other.services_, nullptr)),
      chat_(std::move(other.chat_)),
      outcome_(std::move(other.outcome_)),
      deadline_(other.deadline_),
      pull_(std::move(other.pull_)),
      ended_(other.ended_) {}

ChatTurn::~ChatTurn() {
  if (!services_) return;
  services_->metrics.open.Decrement();
  if (pull_ && pull_->running) pull_->abort.emit(asio::cancellation_type::terminal);
  if (!ended_) leave_over_as_failed(*services_, chat_, "the front door failed while it answered");
}

Task<Result<ChatTurn>> ChatTurn::start(ChatServices& services, ChatRequest request, std::string name) {
  ChatTrace chat{.trace_id = request.trace_id.empty() ? random_id(trace_prefix) : std::move(request.trace_id),
                 .span_id = random_span_id(),
                 .parent_span_id = std::move(request.parent_span_id),
                 .client_request_id = std::move(request.client_request_id),
                 .experiment_id = services.config.experiment_id,
                 .name = std::move(name),
                 .message = std::move(request.message),
                 .session = std::move(request.session),
                 .user = std::move(request.user),
                 .tags = std::move(request.tags),
                 .started_at = services.clock.now()};
  if (chat.client_request_id.empty()) chat.client_request_id = random_id(request_prefix);

  auto records = request_records(chat.trace_id, chat.client_request_id, chat.started_at);
  records.push_back(to_record(opened_trace(chat)));
  const auto journalled = services.journal.open(chat);
  if (!journalled) co_return journalled.error();
  const auto results = co_await services.log.append_all(std::move(records));
  for (const auto& result : results) {
    if (result) continue;
    // Where it is sure that nothing was written there is nothing to close; else it is closed as an ERROR later.
    const bool nothing = result.error() == Error::log_full || result.error() == Error::over_capacity;
    const bool all = std::all_of(results.begin(), results.end(), [](const auto& r) { return !r.has_value(); });
    if (nothing && all) {
      services.journal.close(chat.trace_id);
    } else {
      leave_over_as_failed(services, chat, "it could not be recorded when it began");
    }
    co_return result.error();
  }
  if (services.on_started) services.on_started(chat.trace_id, chat.client_request_id);
  co_return ChatTurn(services, std::move(chat));
}

Task<ChatTurn::Event> ChatTurn::next(std::chrono::milliseconds patience) {
  if (!pull_) {
    auto executor = co_await asio::this_coro::executor;
    pull_ = std::make_shared<Pull>(executor);
  }
  auto& pull = *pull_;
  if (!pull.running && !pull.token) {
    std::vector<ChatMessage> messages;
    if (!pull.answer) messages.push_back({"user", chat_.message});
    Pull::begin(pull_, services_->backend, std::move(messages));
  }
  const auto until = std::min(std::chrono::steady_clock::now() + patience, deadline_);
  if (!pull.token) {
    pull.ready.expires_at(until);
    co_await pull.ready.async_wait(as_result);
  }
  const auto cancelled = co_await asio::this_coro::cancellation_state;
  if (cancelled.cancelled() != asio::cancellation_type::none) {
    ChatFailure stopping{"the front door is shutting down", 503};
    co_return co_await fail(std::move(stopping));
  }
  if (!pull.token) {
    if (std::chrono::steady_clock::now() < deadline_) co_return Waiting();
    const auto limit = std::chrono::duration_cast<std::chrono::seconds>(services_->config.chat_max).count();
    ChatFailure late{"the answer took longer than " + std::to_string(limit) + " seconds", 504};
    co_return co_await fail(std::move(late));
  }

  auto token = std::move(*pull.token);
  pull.token.reset();
  if (!token) co_return co_await fail(std::move(token.error()));
  if (!*token) {
    const bool recorded = co_await record_end({});
    if (!recorded) co_return Failed{"the answer could not be recorded", 503};
    services_->metrics.answered.Increment();
    co_return Answered();
  }
  outcome_.last_token_at = services_->clock.now();
  if (!outcome_.first_token_at) {
    outcome_.first_token_at = outcome_.last_token_at;
    services_->metrics.first_token.Observe(seconds(*outcome_.first_token_at - chat_.started_at));
  }
  if (outcome_.response.size() + (*token)->size() > services_->config.response_bytes_max) {
    const auto limit = std::to_string(services_->config.response_bytes_max);
    ChatFailure large{"the answer is longer than " + limit + " bytes"};
    co_return co_await fail(std::move(large));
  }
  ++outcome_.tokens;
  services_->metrics.tokens.Increment();
  outcome_.response += **token;
  co_return Token{std::move(**token)};
}

Task<void> ChatTurn::abandon(std::string reason) {
  co_await record_end(std::move(reason));
  services_->metrics.abandoned.Increment();
}

Task<ChatTurn::Event> ChatTurn::fail(ChatFailure failure) {
  co_await record_end(failure.reason);
  services_->metrics.failed.Increment();
  co_return Failed{std::move(failure.reason), failure.status};
}

// Cancelling closes the model's connection (or its timer) at once: the wait is for the handler to run.
Task<void> ChatTurn::stop_pulling() {
  if (!pull_) co_return;
  auto pull = pull_;
  if (pull->running) {
    pull->abort.emit(asio::cancellation_type::terminal);
    pull->ready.expires_at(Timer::time_point::max());
    while (pull->running) co_await pull->ready.async_wait(as_result);
  }
  pull->answer.reset();
}

// False when the log did not take it: then it is left over in the journal, and goes out later.
Task<bool> ChatTurn::record_end(std::string error) {
  co_await stop_pulling();
  ended_ = true;
  outcome_.error = std::move(error);
  outcome_.ended_at = std::max(services_->clock.now(), chat_.started_at);
  const auto record = ended_trace(chat_, outcome_);
  auto& journal = services_->journal;
  if (const auto noted = journal.ended(record); !noted)
    spdlog::warn("event=chat_journal_failed trace_id={} error=\"{}\"", chat_.trace_id, noted.error().message());
  const auto appended = co_await services_->log.append(to_record(record));
  services_->metrics.whole.Observe(seconds(outcome_.ended_at - chat_.started_at));
  if (!appended) {
    services_->metrics.unrecorded.Increment();
    journal.leave_over(chat_.trace_id);
    co_return false;
  }
  journal.close(chat_.trace_id);
  co_return true;
}

}  // namespace assay
