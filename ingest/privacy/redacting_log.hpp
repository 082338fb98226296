#pragma once
// The event log of a front door that redacts: texts are cleared before they are appended, whatever door they came by.
#include "ingest/privacy/redactor.hpp"
#include "ops/runtime/metrics.hpp"
#include "storage/log/event_log.hpp"

namespace assay {

// Thread-safe. All given outlives it.
class RedactingLog final : public EventLog {
 public:
  RedactingLog(EventLog& log, const Redactor& redactor, const RedactionRules& rules, Metrics& metrics);

  Task<Result<Appended>> append(Record record) override;
  Task<std::vector<Result<Appended>>> append_all(std::vector<Record> records) override;
  bool keeps_state() const override { return log_.keeps_state(); }
  Task<std::vector<Result<Appended>>> append_with(std::vector<Record> records, Changes state) override;
  std::string_view durability() const override { return log_.durability(); }
  Result<void> writable() const override { return log_.writable(); }
  bool feedback_alone() const override { return log_.feedback_alone(); }
  Partition partitions(Stream stream) const override { return log_.partitions(stream); }

  // The same for what a door keeps beside the log: an entry of the journal of open chats.
  void clear_journal_entry(std::string& json) const;

 private:
  void clear(Record& record);

  EventLog& log_;
  const Redactor& redactor_;
  const RedactionRules& rules_;
  Counter& redacted_;
};

}  // namespace assay
