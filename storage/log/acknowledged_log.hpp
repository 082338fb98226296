#pragma once
// A log that remembers how far its appends have come, for a reader of one's own writes (ingest --view).
#include <map>
#include <mutex>

#include "storage/log/event_log.hpp"

namespace assay {

// Thread-safe. `log` outlives it.
class AcknowledgedLog final : public EventLog {
 public:
  // Kept apart, because the log may be opened later.
  class Ends {
   public:
    void note(Stream stream, const Result<Appended>& appended);
    // One past the last offset acknowledged, of each partition that this process has written to.
    std::map<StreamPartition, Offset> all() const;
    // Grows with every acknowledgement.
    std::int64_t version() const;

   private:
    mutable std::mutex mutex_;
    std::map<StreamPartition, Offset> ends_;
    std::int64_t version_ = 0;
  };

  AcknowledgedLog(EventLog& log, Ends& ends) : log_(log), ends_(ends) {}

  Task<Result<Appended>> append(Record record) override;
  Task<std::vector<Result<Appended>>> append_all(std::vector<Record> records) override;
  std::string_view durability() const override { return log_.durability(); }
  Result<void> writable() const override { return log_.writable(); }
  bool feedback_alone() const override { return log_.feedback_alone(); }
  bool live() const override { return log_.live(); }
  Partition partitions(Stream stream) const override { return log_.partitions(stream); }

 private:
  EventLog& log_;
  Ends& ends_;
};

}  // namespace assay
