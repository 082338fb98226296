#pragma once
// One batch of records as rows of MLflow's tables and of our schema beside them. Runs inside a transaction that its
// caller began and ends. See mlflow_sql.hpp.
#include <map>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "storage/records/assessment_record.hpp"
#include "storage/records/trace_record.hpp"
#include "storage/sinks/mlflow_columns.hpp"
#include "storage/sinks/pg_connection.hpp"
#include "storage/store/assessment_row.hpp"
#include "storage/store/feedback_tag.hpp"
#include "storage/store/trace_row.hpp"

namespace assay {

struct SqlJob {
  enum class Fate {
    applied,
    duplicate,  // changed nothing
    held,       // a change before its create: in assay.assessment_states
    waiting,    // in assay.waiting
    dead,       // `problem` says why
  };
  StreamPartition of;
  Offset offset;
  std::string value;  // as it stands in the log
  std::variant<TraceRecord, AssessmentRecord> record;
  bool waited = false;  // it comes from assay.waiting
  Fate fate = Fate::applied;
  std::string problem = {};
};
// By stream and value; a job that is dead where it can't be read.
SqlJob sql_job(StreamPartition of, Offset offset, std::string_view value);

// What a statement that failed throws, to the one who began the transaction: in the middle of a batch nobody else can
// do anything about it.
struct PgFailure {
  PgError error;
};

class SqlBatch {
 public:
  // `experiments`: their ids, remembered over batches.
  SqlBatch(PgConnection& pg, std::string source, std::string experiment,
           std::map<mlflow::ExperimentRef, int>& experiments, Instant now)
      : pg_(pg),
        source_(std::move(source)),
        default_experiment_(std::move(experiment)),
        experiments_(experiments),
        now_(now) {}

  // What waits for a batch's traces: is written with it, or left waiting, so that a failure is these jobs' own.
  enum class Waiting { written, left };
  // Traces first, then what waited for them and the assessments; sets every job's fate. Throws PgFailure.
  void apply(std::vector<SqlJob>& jobs, Waiting waiting);
  // Of assay.waiting, what can be written now, at most `n`; they leave the table.
  std::vector<SqlJob> take_ready(int n);

 private:
  struct Trace {
    bool deleted = false, changed = false, located = false;
    TraceRow row;
    std::string before;     // its info before this batch
    bool anothers = false;  // MLflow was told of it past us, by who has its root
    std::map<std::string, std::pair<TraceRank, mlflow::SpanColumns>> spans;
    bool concludes = false;                 // something of what its spans used
    std::map<std::string, SpanUsage> used;  // by the spans of earlier batches, where it concludes
    std::set<std::string> removed_tags;
    mlflow::TraceColumns columns;
    std::vector<mlflow::SpanColumns> span_columns;
    int experiment_id = -1;
    std::vector<SqlJob*> jobs;
  };
  struct Assessment {
    bool deleted = false, overridden = false, changed = false;
    std::string trace_id;
    AssessmentRow changes;  // without a base
    std::set<std::string> changed_paths;
    SqlJob* create = nullptr;
    std::vector<SqlJob*> updates, deletes;
  };

  // What another one overrides, on its trace.
  struct Overridden {
    std::string assessment_id, trace_id;
  };
  // Rows to be, column by column.
  struct InfoRows;
  struct SpanRows;
  struct AssessmentRows;
  using Ids = std::set<std::string, std::less<>>;

  PgRows ask(const std::string& sql, std::span<const PgValue> values);
  PgRows ask(const std::string& sql, std::initializer_list<PgValue> values = {}) {
    return ask(sql, std::span(values.begin(), values.size()));
  }

  void traces(std::vector<SqlJob*> jobs);
  void load_traces(std::map<std::string, Trace>& traces);
  void merge(Trace& trace, SqlJob& job);
  void load_used(std::map<std::string, Trace>& traces);
  void settle(const std::string& id, Trace& trace);
  int experiment_id(const mlflow::ExperimentRef& said);
  PgValue id_of_experiment(const mlflow::ExperimentRef& said);
  void find_anothers(std::map<std::string, Trace>& traces);
  void find_experiments(std::map<std::string, Trace>& traces);
  void hold_back(std::map<std::string, Trace>& traces);
  void write_infos(const std::map<std::string, Trace>& traces);
  void insert(const InfoRows& rows);
  void follow_infos(const std::string& ids);
  void write_entries(const std::map<std::string, Trace>& traces);
  void write_spans(const std::map<std::string, Trace>& traces);
  void insert(const SpanRows& rows);
  void save_traces(const std::map<std::string, Trace>& traces);
  void erase_traces(const std::vector<std::string>& ids);
  std::vector<SqlJob> take_waiting_for(const std::vector<std::string>& trace_ids);

  void assessments(std::vector<SqlJob*> jobs);
  void load_assessments(std::map<std::string, Assessment>& assessments, const std::vector<SqlJob*>& jobs);
  void merge(Assessment& assessment, SqlJob& job);
  void erase(std::map<std::string, Assessment>& assessments);
  void create(std::map<std::string, Assessment>& assessments);
  Ids insert(const AssessmentRows& rows);
  void settle_creates(std::map<std::string, Assessment>& assessments, const Ids& made);
  void change(std::map<std::string, Assessment>& assessments);
  void override_those(const std::vector<Overridden>& targets, std::map<std::string, Assessment>& assessments);
  void let_count_again(const std::vector<Overridden>& overridden, std::map<std::string, Assessment>& assessments);
  void save_assessments(const std::map<std::string, Assessment>& assessments);
  void tag();
  std::map<std::string, std::vector<TaggedValue>> tagged_values();
  void wait(const std::vector<SqlJob*>& jobs);
  void invalidate_rollups();

  PgConnection& pg_;
  const std::string source_, default_experiment_;
  std::map<mlflow::ExperimentRef, int>& experiments_;
  const Instant now_;
  std::set<std::string> written_;  // traces that were
  std::set<std::string> touched_;  // traces about which something was said
};

}  // namespace assay
