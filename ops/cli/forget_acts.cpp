#include "ops/cli/forget_acts.hpp"

#include <boost/asio/co_spawn.hpp>

#include "ops/runtime/ids.hpp"
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
    return "error that is no act";

  std::scoped_lock lock(mutex_);
  error_code failure;
  auto append = [this, &record, &failure]() -> Task<void> {
    const auto appended = co_await log_.append(std::move(record));
    if (!appended) failure = appended.error();
  };
  std::exception_ptr thrown;
  asio::co_spawn(io_, std::move(append), [&thrown](std::exception_ptr e) { thrown = e; });
  io_.restart();
  io_.run();
  if (thrown) std::rethrow_exception(thrown);
  if (failure) return "error the log did not take it: " + failure.message();
  return "ok";
}

}  // namespace assay::cli
