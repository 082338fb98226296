#pragma once
// A real MLflow server as a sink, by the PostgreSQL under it: batches straight into its tables, in one transaction with
// how far the sink has come. So each record has its effect exactly once, whatever is killed: a commit of which nobody
// knows the outcome is looked up in the positions.
//
// What depends on order is kept in our schema `assay` as registers, as the store keeps it, so that any order of the
// same records ends in the same rows. A record whose trace MLflow does not know waits there, too, and holds no position
// back; it is looked at again when its trace comes through us and, by time, in case it comes past us. After wait_max it
// is a dead letter. Of two creates of one id the first to come is kept.
//
// Two sinks that believe to own the same partition (a worker that was fenced) do no harm: positions move by compare and
// set, and who loses reads them anew.
#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <set>

#include "ops/runtime/clock.hpp"
#include "ops/runtime/gauge_part.hpp"
#include "ops/runtime/metrics.hpp"
#include "storage/records/dead_letter_record.hpp"
#include "storage/sinks/assessment_sink.hpp"
#include "storage/sinks/mlflow_sql_batch.hpp"
#include "storage/sinks/pg_connection.hpp"
#include "storage/sinks/positions.hpp"

namespace assay {

struct MlflowSqlConfig {
  std::string url;                     // postgresql://…, without a password
  std::string password = {};           // from the environment; never logged
  std::string source = "assay";        // names the log that positions belong to
  std::string experiment = "Default";  // of traces that name none
  std::chrono::milliseconds wait_max = std::chrono::hours(24);
  std::chrono::milliseconds look_first{500}, look_max{10'000};  // for traces that came past us
  PgConnection::Limits limits = {};
};

class MlflowSqlSink final : public AssessmentSink {
 public:
  using WriteDeadLetter = std::function<Result<void>(DeadLetter)>;
  // `mirror`, where given, is told the positions as well, for tools that read them there; it decides nothing.
  MlflowSqlSink(MlflowSqlConfig config, PositionStore* mirror, WriteDeadLetter write_dead_letter, const Clock& clock,
                Metrics& metrics);

  // Before anything else, once: what is wrong with the database for good, in a sentence. None also where it is away.
  std::optional<std::string> refusal();

  std::string_view name() const override { return "mlflow"; }
  std::vector<Stream> follows() const override { return {Stream::traces, Stream::assessments}; }
  Result<Offset> position(StreamPartition of) override;
  Result<void> apply(std::span<const LogRecord> records) override;
  Offset applied(StreamPartition of) const override;
  bool has(StreamPartition of, Offset offset) const override;
  bool keeps_position_elsewhere() const override { return true; }
  Result<void> start_over() override;
  void stop() override { pg_.stop(); }
  SinkLedger ledger() const override;

 private:
  Result<void> apply_all(std::span<const LogRecord> records);
  static constexpr int ready_at_once = 1000;

  Result<void> connect();
  Result<void> fail(const PgError& error);
  // All of them in one transaction, with the positions. An error of the data: nothing happened.
  PgResult<void> commit(std::vector<SqlJob>& jobs, const std::map<StreamPartition, Offset>& reached,
                        SqlBatch::Waiting waiting);
  PgResult<void> move_positions(const std::map<StreamPartition, Offset>& reached);
  Result<void> bury(const SqlJob& job);
  Result<void> commit_one_by_one(std::vector<SqlJob>& jobs, const std::map<StreamPartition, Offset>& reached);
  PgResult<void> read_waiting();
  Result<void> look_after_waiting();
  PgResult<std::vector<SqlJob>> commit_ready();
  PgResult<std::vector<SqlJob>> bury_waiting(SqlJob job, const PgError& why);
  Result<void> bury_expired();
  void count(const std::vector<SqlJob>& jobs);
  void note(const std::map<StreamPartition, Offset>& reached);
  void tell_mirror();

  const MlflowSqlConfig config_;
  PositionStore* const mirror_;
  const WriteDeadLetter write_dead_letter_;
  const Clock& clock_;
  PgConnection pg_;
  bool checked_ = false;  // this connection's schema, and the positions
  std::map<mlflow::ExperimentRef, int> experiments_;

  std::map<StreamPartition, Offset> unmirrored_;

  bool waiting_ = true;  // maybe something does
  std::chrono::steady_clock::time_point look_at_{};
  std::chrono::milliseconds look_again_;
  int ready_max_ = ready_at_once;  // of one look: fewer where one of them is refused, down to that one

  mutable std::mutex mutex_;  // the next four, which others ask for
  std::map<StreamPartition, Offset> positions_;
  std::set<std::pair<Partition, Offset>> waiting_assessments_;  // as of the last look, and what came since
  bool more_wait_ = false;                                      // than are remembered
  SinkLedger ledger_;

  GaugePart waiting_gauge_;
  Counter& refused_total_;
  Counter& transactions_total_;
};

// Of a source whose sink is not at work: its positions that are ahead of `to` are moved back there, in one transaction.
// An error is a sentence.
Result<void, std::string> move_positions_back(const MlflowSqlConfig& config,
                                              const std::map<StreamPartition, Offset>& to);

}  // namespace assay
