#include "ingest/chat/chat_failure_log.hpp"

#include <atomic>
#include <chrono>

#include "ops/runtime/log.hpp"

namespace assay {
namespace {

std::atomic<std::int64_t> last_second{-1};
std::atomic<std::uint64_t> passed_over{0};

}  // namespace

void log_failure(std::string_view trace_id, const ChatFailure& failure) {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  const std::int64_t second = std::chrono::floor<std::chrono::seconds>(now).count();
  if (last_second.exchange(second) == second) {
    ++passed_over;
    return;
  }
  std::string_view reason = failure.reason;
  if (failure.openai_status != 0)
    reason = reason.substr(0, reason.find(": "));  // "the model answered 404: <its words>"
  spdlog::warn("event=model_failed trace_id={} reason=\"{}\" passed_over={}", trace_id, reason,
               passed_over.exchange(0));
}

}  // namespace assay
