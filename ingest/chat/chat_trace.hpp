#pragma once
// The trace of a chat: what stands on assay.traces when it begins, and when it has ended. Pure.
#include <map>
#include <optional>
#include <string>

#include "ingest/chat/chat_backend.hpp"
#include "storage/records/trace_record.hpp"

namespace assay {

struct ChatTrace {
  std::string trace_id;             // tr- and 32 hex digits: also OpenTelemetry's trace id
  std::string span_id;              // 16 hex digits: the chat's span
  std::string parent_span_id = {};  // of the caller whose trace it joined; empty: the chat's span is the root
  std::string client_request_id;
  std::string experiment_id;
  std::string experiment_name = {};  // for sinks whose experiments have other ids; see trace_record.hpp
  std::string name;                  // of trace and root span: "chat", "chat_stream"
  std::string message;
  std::string inputs = {};    // JSON; where it is empty, {"message":…}
  std::string session, user;  // may be empty
  std::map<std::string, std::string> tags;
  Instant started_at;
};

struct ChatOutcome {
  std::string response;                   // what was answered, also when it broke off
  std::vector<ToolCall> tool_calls = {};  // that the model asked for
  bool truncated = false;                 // there was more of both: also an attribute `truncated`
  std::size_t tokens = 0;                 // as the model counts them, or else how many pieces came
  std::optional<Instant> first_token_at = {}, last_token_at = {};
  Instant ended_at;
  std::string error = {};  // in words; empty: the state is OK
  bool begun = true;       // false: whether its beginning was recorded is not known
  bool stopped = false;    // whoever asked wanted no more of it: OK, with an attribute `stopped`
};

// MLflow's columns take 1,000 characters of a preview.
inline constexpr std::size_t preview_bytes_max = 1000;

// State IN_PROGRESS, no span yet.
TraceRecord opened_trace(const ChatTrace& chat);
// State OK or ERROR; its tags only where the beginning may not have said them: somebody may have changed them since.
// With the root span: inputs, outputs, attributes `response` and `token_count`, the times of first and last token, and
// an event `exception` where it failed.
TraceRecord ended_trace(const ChatTrace& chat, const ChatOutcome& outcome);

// How the journal keeps an open chat: {"v":1,"trace_id":…,…}. On disk: DO NOT CHANGE A FIELD'S MEANING.
std::string to_json(const ChatTrace& chat);
Result<ChatTrace, Malformed> parse_chat_trace(std::string_view json);

}  // namespace assay
