#include "ops/cli/forget_acts.hpp"

#include "ops/runtime/ids.hpp"
#include "ops/runtime/run_task.hpp"
#include "storage/records/catalog_record.hpp"
#include "storage/records/feedback_record.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/records/trace_record.hpp"

namespace assay::cli {
namespace {

std::vector<std::string> parts_of(const std::string& line) {
  std::vector<std::string> parts(1);
  for (const auto c : line) {
    if (c == '\t')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

Record deletion_of(const std::string& assessment_id, Target target, Instant now) {
  FeedbackRecord record{.op = Op::erase, .target = std::move(target), .accepted_at = now};
  FeedbackItem item{.record_id = random_id(change_prefix), .assessment_id = assessment_id};
  JsonWriter(item.json).begin_object().field("assessment_id", assessment_id).end_object();
  record.items.push_back(std::move(item));
  return to_record(record);
}

}  // namespace

std::string ForgetActs::answer(const std::string& line) const {
  const auto parts = parts_of(line);
  const auto now = SystemClock().now();
  Record record;
  if (parts.size() == 3 && parts[0] == "forget-assessment")
    record = deletion_of(parts[1], {Target::Kind::trace_id, parts[2]}, now);
  else if (parts.size() == 3 && parts[0] == "forget-parked")
    record = deletion_of(parts[1], {Target::Kind::client_request_id, parts[2]}, now);
  else if (parts.size() == 2 && parts[0] == "forget-trace")
    record = to_record(TraceRecord{.deleted = true, .trace_id = parts[1], .accepted_at = now});
  else if (parts.size() == 3 && parts[0] == "forget-dataset-record")
    record = end_of_dataset_record(parts[1], parts[2], now);
  else
    return "error there is no such command";

  std::scoped_lock lock(mutex_);
  const auto appended = run_task(io_, log_.append(std::move(record)));
  if (!appended) return "error the log did not take it: " + appended.error().message();
  return "ok";
}

}  // namespace assay::cli
