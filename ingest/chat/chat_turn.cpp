#include "ingest/chat/chat_turn.hpp"

#include <algorithm>
#include <boost/asio/this_coro.hpp>

#include "ingest/chat/chat_failure_log.hpp"
#include "ops/runtime/ids.hpp"
#include "ops/runtime/log.hpp"
#include "storage/records/chat_span.hpp"
#include "storage/records/request_record.hpp"
#include "storage/records/utf8.hpp"

namespace assay {
namespace {

constexpr std::size_t tool_calls_max = 128;
constexpr std::size_t cut_response_bytes = 4u << 10;  // a record has room for it, whatever it is of

double seconds(std::chrono::milliseconds d) { return std::chrono::duration<double>(d).count(); }

// For a chat whose beginning may be in the log, and whose end has to follow later.
void leave_over_as_failed(ChatServices& services, const ChatTrace& chat, std::string reason, bool begun) {
  const ChatOutcome outcome{
      .ended_at = std::max(services.clock.now(), chat.started_at), .error = std::move(reason), .begun = begun};
  services.journal.leave_over(chat, ended_trace(chat, outcome), services.log);
}

void cut(ChatOutcome& outcome) {
  outcome.response.resize(utf8_prefix(outcome.response, cut_response_bytes).size());
  outcome.tool_calls.clear();
  outcome.truncated = true;
}

}  // namespace

ChatTurn::ChatTurn(ChatServices& services, AnswerShare share, ChatTrace chat, ChatQuestion question)
    : services_(&services), share_(std::move(share)), chat_(std::move(chat)), question_(std::move(question)) {
  services.metrics.open.Increment();
}

ChatTurn::ChatTurn(ChatTurn&& other) noexcept
    : services_(std::exchange(other.services_, nullptr)),
      share_(std::move(other.share_)),
      chat_(std::move(other.chat_)),
      durability_(other.durability_),
      outcome_(std::move(other.outcome_)),
      question_(std::move(other.question_)),
      answer_(std::move(other.answer_)),
      ending_(std::move(other.ending_)),
      answered_bytes_(other.answered_bytes_),
      recorded_bytes_(other.recorded_bytes_),
      begun_(other.begun_),
      ended_(other.ended_) {}

ChatTurn::~ChatTurn() {
  if (!services_) return;
  services_->metrics.open.Decrement();
  if (ended_) return;
  try {
    leave_over_as_failed(*services_, chat_, "the front door failed while it answered", begun_);
  } catch (const std::exception& e) {  // its entry stays until the next start
    spdlog::error("event=chat_left_open trace_id={} problem=\"{}\"", chat_.trace_id, e.what());
  }
}

Task<Result<ChatTurn>> ChatTurn::start(ChatServices& services, ChatRequest request, std::string name) {
  AnswerShare share(services.live);
  if (!share.cover(1)) co_return Error::over_capacity;
  auto& caller = request.caller;
  ChatTrace chat{.trace_id = caller.trace_id.empty() ? random_id(trace_prefix) : std::move(caller.trace_id),
                 .parent_span_id = std::move(caller.parent_span_id),
                 .client_request_id = std::move(caller.client_request_id),
                 .experiment_id = services.config.experiment_id,
                 .experiment_name = services.config.experiment_name,
                 .name = std::move(name),
                 .message = std::move(request.message),
                 .inputs = std::move(request.inputs),
                 .session = std::move(caller.session),
                 .user = std::move(caller.user),
                 .tags = std::move(request.tags),
                 .started_at = services.clock.now()};
  chat.span_id = chat.parent_span_id.empty() ? root_span_id(chat.trace_id) : random_span_id();
  ChatQuestion question{.openai_request = std::move(request.openai_request), .stream = request.openai_stream};
  question.messages.push_back({"user", chat.message});
  if (chat.client_request_id.empty()) chat.client_request_id = random_id(request_prefix);

  auto records = request_records(chat.trace_id, chat.client_request_id, chat.started_at);
  auto opened = opened_trace(chat);
  opened.ends_by = chat.started_at + services.config.chat_max;
  records.push_back(to_record(opened));
  if (services.journal.in_log())  // Kafka may yet take what it does not answer for at this moment
    if (const auto writable = services.log.writable(); !writable) co_return writable.error();
  auto entry = services.journal.open(chat);
  if (!entry) co_return entry.error();
  ChatTurn turn(services, std::move(share), std::move(chat), std::move(question));  // whatever is thrown, it is ended
  const auto results = co_await services.log.append_with(std::move(records), std::move(*entry));
  for (const auto& result : results) {
    if (result) continue;
    turn.ended_ = true;
    // Where it is sure that nothing was written there is nothing to close; else it is closed as an ERROR later.
    const bool nothing = result.error() == Error::log_full || result.error() == Error::over_capacity ||
                         result.error() == Error::log_changed;
    const bool all = std::all_of(results.begin(), results.end(), [](const auto& r) { return !r.has_value(); });
    if (nothing && all) {
      services.journal.close(turn.chat_);
    } else {
      leave_over_as_failed(services, turn.chat_, "it could not be recorded when it began", false);
    }
    co_return result.error();
  }
  turn.begun_ = true;
  turn.durability_ = durability_of(services.log, results);
  if (services.on_started) services.on_started(turn.trace_id(), turn.client_request_id());
  co_return std::move(turn);
}

void ChatTurn::abort(ChatFailure reason) {
  if (!ending_) ending_ = std::move(reason);
}

void ChatTurn::stop() {
  if (!ending_) ending_ = Stopped();
}

Task<ChatAnswer::Next> ChatTurn::pull() {
  if (!answer_) {
    auto started = co_await services_->backend.start(std::move(question_));
    if (!started) co_return std::move(started.error());
    answer_ = std::move(*started);
    if (ending_) co_return ChatFailure{"the answer was aborted"};
  }
  co_return co_await answer_->next();
}

std::string ChatTurn::feedback_token() const {
  if (!services_->feedback_token) return {};
  return services_->feedback_token(chat_.trace_id, chat_.client_request_id, chat_.user);
}

Task<ChatTurn::Event> ChatTurn::next() {
  ChatAnswer::Next pulled = std::optional<ChatPiece>();
  if (!ending_) {
    pulling_ = true;
    pulled = co_await pull();
    pulling_ = false;
    if (ending_) co_await asio::this_coro::reset_cancellation_state();  // recording the end is not cancelled
  }
  if (ending_ && std::holds_alternative<Stopped>(*ending_)) {
    outcome_.stopped = true;
    const bool recorded = co_await record_end({});
    if (!recorded) co_return Failed{"the answer could not be recorded", 503};
    services_->metrics.stopped.Increment();
    co_return Stopped();
  }
  if (ending_) co_return co_await fail(std::move(std::get<Failed>(*ending_)));
  if (!pulled) {
    log_failure(chat_.trace_id, pulled.error());
    co_return co_await fail(std::move(pulled.error()));
  }
  if (!*pulled) {
    const bool cut = answer_->is_cut();
    const bool recorded = co_await record_end({});
    if (!recorded) co_return Failed{"the answer could not be recorded", 503};
    services_->metrics.answered.Increment();
    co_return Answered{cut};
  }
  auto piece = std::move(**pulled);
  if (!piece.content.empty()) {
    outcome_.last_token_at = services_->clock.now();
    if (!outcome_.first_token_at) {
      outcome_.first_token_at = outcome_.last_token_at;
      services_->metrics.first_token.Observe(seconds(*outcome_.first_token_at - chat_.started_at));
    }
    // What is passed on in OpenAI's form is not held, and needs no bound.
    answered_bytes_ += piece.content.size();
    if (answered_bytes_ > services_->config.answer_bytes_max && piece.raw.empty()) {
      ChatFailure large{"the answer grew longer than this server allows"};
      co_return co_await fail(std::move(large));
    }
    ++outcome_.tokens;
    services_->metrics.tokens.Increment();
    record(piece.content, outcome_.response);
  }
  for (const auto& call : piece.tool_calls) record(call);
  co_return std::move(piece);
}

// The trace keeps so much of an answer; what its reader is given may be longer.
void ChatTurn::record(std::string_view text, std::string& to) {
  if (outcome_.truncated) return;
  auto kept = utf8_prefix(text, services_->config.response_bytes_max - recorded_bytes_);
  if (!share_.cover(recorded_bytes_ + kept.size())) kept = {};
  outcome_.truncated = kept.size() < text.size();
  recorded_bytes_ += kept.size();
  to += kept;
}

void ChatTurn::record(const ToolCall& part) {
  auto& calls = outcome_.tool_calls;
  auto at = std::find_if(calls.begin(), calls.end(), [&](const ToolCall& c) { return c.index == part.index; });
  if (at == calls.end()) {
    if (calls.size() == tool_calls_max) {
      outcome_.truncated = true;
      return;
    }
    at = calls.insert(calls.end(), ToolCall{.index = part.index});
  }
  record(part.id, at->id);
  record(part.name, at->name);
  record(part.arguments, at->arguments);
}

Task<ChatTurn::Event> ChatTurn::fail(ChatFailure failure) {
  co_await record_end(failure.reason);
  (failure.reason == client_left ? services_->metrics.abandoned : services_->metrics.failed).Increment();
  co_return std::move(failure);
}

Task<Result<Appended>> ChatTurn::append_end(const TraceRecord& record) {
  auto entry = services_->journal.end(chat_, record);
  std::vector<Record> records;
  records.push_back(to_record(record));
  auto results = co_await services_->log.append_with(std::move(records), std::move(entry));
  co_return std::move(results.front());
}

// False when the log did not take it: then it is left over in the journal, and goes out later.
Task<bool> ChatTurn::record_end(std::string error) {
  if (const auto tokens = answer_ ? answer_->tokens() : std::nullopt) outcome_.tokens = *tokens;
  answer_.reset();
  outcome_.error = std::move(error);
  outcome_.ended_at = std::max(services_->clock.now(), chat_.started_at);
  auto record = ended_trace(chat_, outcome_);
  auto appended = co_await append_end(record);
  if (is_too_long(appended)) {  // it stands there twice, and of quotes or control characters each is several bytes
    cut(outcome_);
    record = ended_trace(chat_, outcome_);
    appended = co_await append_end(record);
  }
  ended_ = true;
  auto& journal = services_->journal;
  services_->metrics.whole.Observe(seconds(outcome_.ended_at - chat_.started_at));
  if (!appended) {
    services_->metrics.unrecorded.Increment();
    journal.leave_over(chat_, record, services_->log);
    co_return false;
  }
  durability_ = durability_of(services_->log, appended);
  journal.close(chat_);
  co_return true;
}

}  // namespace assay
