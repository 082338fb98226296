#include "storage/records/request_record.hpp"

#include <simdjson.h>

#include <algorithm>

#include "ops/runtime/ids.hpp"
#include "storage/records/feedback_record.hpp"

namespace assay {
namespace {

std::optional<std::string> problem_with(std::string_view what, std::string_view id) {
  const auto says = [what](std::string_view problem) { return std::string(what) + " " + std::string(problem); };
  if (id.empty()) return says("is empty");
  if (id.size() > record_id_bytes_max) return says("is longer than " + std::to_string(record_id_bytes_max) + " bytes");
  const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  if (std::ranges::any_of(id, is_control)) return says("has control characters");
  if (!simdjson::validate_utf8(id)) return says("is not UTF-8");
  return {};
}

}  // namespace

bool may_name(std::string_view id, std::string_view trace_id) {
  return !id.empty() && (id == trace_id || !is_trace_id(id));
}

std::vector<Record> request_records(std::string_view trace_id, std::string_view client_request_id, Instant at) {
  std::vector<Record> out;
  for (const auto id : {trace_id, client_request_id})
    if (may_name(id, trace_id))
      out.push_back(
          {.stream = Stream::requests, .key = std::string(id), .value = std::string(trace_id), .accepted_at = at});
  return out;
}

std::optional<std::string> problem_with_request(const LogRecord& record) {
  if (auto problem = problem_with("its key", record.key)) return problem;
  if (record.tombstone) return {};
  if (auto problem = problem_with("its value", record.value)) return problem;
  if (!may_name(record.key, record.value)) return "its key is another trace's own id";
  return {};
}

}  // namespace assay
