#include "storage/log/acknowledged_log.hpp"

namespace assay {

void AcknowledgedLog::Ends::note(Stream stream, const Result<Appended>& appended) {
  if (!appended || appended->offset < 0) return;
  std::scoped_lock lock(mutex_);
  auto& end = ends_[{stream, appended->partition}];
  end = std::max(end, appended->offset + 1);
  ++version_;
}

std::map<StreamPartition, Offset> AcknowledgedLog::Ends::all() const {
  std::scoped_lock lock(mutex_);
  return ends_;
}

std::int64_t AcknowledgedLog::Ends::version() const {
  std::scoped_lock lock(mutex_);
  return version_;
}

Task<Result<Appended>> AcknowledgedLog::append(Record record) {
  const auto stream = record.stream;
  const auto appended = co_await log_.append(std::move(record));
  ends_.note(stream, appended);
  co_return appended;
}

Task<std::vector<Result<Appended>>> AcknowledgedLog::append_all(std::vector<Record> records) {
  std::vector<Stream> streams;
  for (const auto& record : records) streams.push_back(record.stream);
  auto results = co_await log_.append_all(std::move(records));
  for (std::size_t i = 0; i < results.size(); ++i) ends_.note(streams[i], results[i]);
  co_return results;
}

}  // namespace assay
