#include "storage/sinks/mlflow_sql.hpp"

#include "ops/runtime/log.hpp"
#include "ops/runtime/log_value.hpp"
#include "storage/sinks/mlflow_json.hpp"
#include "storage/sinks/mlflow_schema.hpp"
#include "storage/sinks/poison.hpp"

namespace assay {
namespace {

constexpr int expired_at_once = 100;
constexpr int waiting_known_max = 100'000;

std::string refused_words(const PgError& error) {
  return "PostgreSQL answered " + error.sqlstate + ": " + error.message;
}

DeadLetter letter_of(const SqlJob& job, std::string_view step, Instant now) {
  DeadLetter dead{.reason = std::string(dead_reason::refused), .detail = job.problem};
  dead.step = step;
  dead.dead_at = now;
  dead.from = job.of;
  dead.offset = job.offset;
  if (const auto* assessment = std::get_if<AssessmentRecord>(&job.record); assessment && !assessment->json.empty()) {
    dead.record_id = assessment->record_id;
    dead.record = mlflow::feedback_of(*assessment);
  } else {
    dead.record_id = place_id(job.of, job.offset);
    dead.raw = job.value;
  }
  return dead;
}

}  // namespace

MlflowSqlSink::MlflowSqlSink(MlflowSqlConfig config, PositionStore* mirror, WriteDeadLetter write_dead_letter,
                             const Clock& clock, Metrics& metrics)
    : config_(std::move(config)),
      mirror_(mirror),
      write_dead_letter_(std::move(write_dead_letter)),
      clock_(clock),
      pg_(config_.url, config_.password, config_.limits),
      look_again_(config_.look_first),
      waiting_gauge_(metrics.gauge("assay_mlflow_waiting_records",
                                   "Assessments that wait for their trace, changes that wait for their create")),
      refused_total_(metrics.counter("assay_mlflow_refused_total", "Records that became dead letters")),
      transactions_total_(metrics.counter("assay_mlflow_transactions_total", "Transactions that were committed")) {}

std::optional<std::string> MlflowSqlSink::refusal() {
  if (!pg_.open()) return {};
  const auto checked = mlflow::check_schema(pg_);
  if (!checked && checked.error().final) return checked.error().words;
  return {};
}

// Opens, checks, and reads the positions: after a commit of which nobody knows the outcome they say what it was.
Result<void> MlflowSqlSink::connect() {
  if (pg_.stopped()) return make_error_code(Error::stopped);
  if (pg_.is_open() && checked_) return {};
  checked_ = false;
  if (const auto opened = pg_.open(); !opened) return fail(opened.error());
  if (const auto checked = mlflow::check_schema(pg_); !checked) {
    spdlog::error("event=mlflow_db_refused why={}", log_value(checked.error().words));
    pg_.close();
    return make_error_code(Error::unsupported);
  }
  const auto rows = pg_.exec("SELECT stream, partition, next FROM assay.positions WHERE source = $1", {config_.source});
  if (!rows) return fail(rows.error());
  if (const auto read = read_waiting(); !read) return fail(read.error());
  std::scoped_lock lock(mutex_);
  positions_.clear();
  for (int i = 0; i < rows->size(); ++i)
    for (const auto stream : all_streams)
      if (name_of(stream) == rows->text(i, 0))
        positions_[{stream, static_cast<Partition>(rows->number(i, 1))}] = rows->number(i, 2);
  checked_ = waiting_ = true;
  return {};
}

Result<void> MlflowSqlSink::fail(const PgError& error) {
  if (pg_.stopped()) return make_error_code(Error::stopped);
  spdlog::warn("event=mlflow_db_failed sqlstate={} error={}", error.sqlstate, log_value(error.message));
  pg_.close();  // and with it whatever transaction there was
  checked_ = false;
  return make_error_code(error.sqlstate.empty() ? Error::sink_unavailable : Error::storage_failed);
}

Result<Offset> MlflowSqlSink::position(StreamPartition of) {
  if (const auto connected = connect(); !connected) return connected.error();
  std::scoped_lock lock(mutex_);
  return unmirrored_[of] = positions_[of];
}

// What waits there goes on waiting, at offsets that no record of the log has.
Result<void> MlflowSqlSink::start_over() {
  if (const auto connected = connect(); !connected) return connected;
  const auto moved = pg_.exec(
      "WITH others AS (UPDATE assay.waiting SET record_offset = -1 - record_offset - 1000000000 * "
      "extract(epoch FROM now())::bigint WHERE source = $1 AND record_offset >= 0) "
      "UPDATE assay.positions SET next = 0 WHERE source = $1",
      {config_.source});
  if (!moved) return fail(moved.error());
  pg_.close();  // the next one to connect reads them
  checked_ = false;
  return {};
}

Offset MlflowSqlSink::applied(StreamPartition of) const {
  std::scoped_lock lock(mutex_);
  const auto at = positions_.find(of);
  return at == positions_.end() ? 0 : at->second;
}

// Where more wait than are remembered, it is said of none that it is there.
bool MlflowSqlSink::has(StreamPartition of, Offset offset) const {
  std::scoped_lock lock(mutex_);
  const auto at = positions_.find(of);
  if (at == positions_.end() || offset >= at->second) return false;
  if (of.stream != Stream::assessments) return true;
  return !more_wait_ && !waiting_assessments_.contains({of.partition, offset});
}

SinkLedger MlflowSqlSink::ledger() const {
  std::scoped_lock lock(mutex_);
  return ledger_;
}

// What is thrown in the middle of a transaction must not leave it to the next one's COMMIT.
Result<void> MlflowSqlSink::apply(std::span<const LogRecord> records) {
  try {
    return apply_all(records);
  } catch (...) {
    pg_.close();
    checked_ = false;
    experiments_.clear();
    throw;
  }
}

Result<void> MlflowSqlSink::apply_all(std::span<const LogRecord> records) {
  if (const auto connected = connect(); !connected) return connected;
  std::vector<SqlJob> jobs;
  std::map<StreamPartition, Offset> reached;
  jobs.reserve(records.size());
  for (const auto& record : records) {
    const StreamPartition of{record.stream, record.partition};
    if (record.offset < applied(of)) continue;
    reached[of] = record.offset + 1;
    jobs.push_back(record.tombstone
                       ? SqlJob{.of = of, .offset = record.offset, .fate = SqlJob::Fate::dead, .problem = "a tombstone"}
                       : sql_job(of, record.offset, record.value));
  }
  if (!jobs.empty()) {
    const auto done = commit(jobs, reached, SqlBatch::Waiting::written);
    if (!done && !done.error().final()) return fail(done.error());
    if (!done)
      if (const auto each = commit_one_by_one(jobs, reached); !each) return each;
  }
  tell_mirror();
  return look_after_waiting();
}

PgResult<void> MlflowSqlSink::commit(std::vector<SqlJob>& jobs, const std::map<StreamPartition, Offset>& reached,
                                     SqlBatch::Waiting waiting) {
  if (const auto begun = pg_.exec("BEGIN"); !begun) return begun.error();
  const auto give_up = [this](PgError error) {
    if (pg_.is_open()) static_cast<void>(pg_.exec("ROLLBACK"));
    return error;
  };
  try {
    SqlBatch batch(pg_, config_.source, config_.experiment, experiments_, clock_.now());
    batch.apply(jobs, waiting);
  } catch (const PgFailure& failure) {
    experiments_.clear();
    return give_up(failure.error);
  }
  if (const auto moved = move_positions(reached); !moved) return give_up(moved.error());
  // Dead letters stand in the log before their records are passed over; written again they are the same.
  for (const auto& job : jobs)
    if (job.fate == SqlJob::Fate::dead)
      if (const auto buried = bury(job); !buried)
        return give_up({"58000", "a dead letter was not written: " + buried.error().message()});
  if (const auto committed = pg_.exec("COMMIT"); !committed) return committed.error();
  transactions_total_.Increment();
  count(jobs);
  note(reached);
  return {};
}

// By compare and set, in the transaction that has begun.
PgResult<void> MlflowSqlSink::move_positions(const std::map<StreamPartition, Offset>& reached) {
  for (const auto& [of, next] : reached) {
    const auto moved = pg_.exec(
        "INSERT INTO assay.positions AS p VALUES ($1, $2, $3, $4) ON CONFLICT (source, stream, partition) "
        "DO UPDATE SET next = excluded.next WHERE p.next = $5",
        {config_.source, std::string(name_of(of.stream)), std::to_string(of.partition), std::to_string(next),
         std::to_string(applied(of))});
    if (!moved) return moved.error();
    if (moved->affected() != 1) return PgError{"40001", "another sink has moved the position"};
  }
  return {};
}

Result<void> MlflowSqlSink::bury(const SqlJob& job) { return write_dead_letter_(letter_of(job, name(), clock_.now())); }

// One of them, or of what waits for them, is refused by the database for what it holds: it alone becomes a dead letter.
Result<void> MlflowSqlSink::commit_one_by_one(std::vector<SqlJob>& jobs,
                                              const std::map<StreamPartition, Offset>& reached) {
  for (auto& job : jobs) {
    std::vector<SqlJob> one;
    one.push_back(sql_job(job.of, job.offset, job.value));
    const std::map<StreamPartition, Offset> next =
        reached.empty() ? reached : std::map<StreamPartition, Offset>{{job.of, job.offset + 1}};
    auto done = commit(one, next, SqlBatch::Waiting::left);
    if (!done && done.error().final()) {
      one.front().fate = SqlJob::Fate::dead;
      one.front().problem = refused_words(done.error());
      done = commit(one, next, SqlBatch::Waiting::written);
    }
    if (!done) return fail(done.error());
  }
  waiting_ = true;
  look_at_ = {};
  return {};
}

void MlflowSqlSink::count(const std::vector<SqlJob>& jobs) {
  std::scoped_lock lock(mutex_);
  for (const auto& job : jobs) {
    using Fate = SqlJob::Fate;
    if (job.fate == Fate::waiting && !job.waited) {
      waiting_ = true;
      look_again_ = config_.look_first;
      look_at_ = std::min(look_at_, std::chrono::steady_clock::now() + look_again_);
    }
    if (job.fate == Fate::dead) refused_total_.Increment();
    if (job.of.stream == Stream::assessments && job.fate == Fate::waiting)
      waiting_assessments_.emplace(job.of.partition, job.offset);
    else if (job.of.stream == Stream::assessments && job.waited)
      waiting_assessments_.erase({job.of.partition, job.offset});
    if (job.of.stream != Stream::assessments || job.waited) continue;
    ++ledger_.read;
    ++(job.fate == Fate::applied     ? ledger_.applied
       : job.fate == Fate::duplicate ? ledger_.duplicate
       : job.fate == Fate::dead      ? ledger_.dead
                                     : ledger_.held);
  }
}

void MlflowSqlSink::note(const std::map<StreamPartition, Offset>& reached) {
  std::scoped_lock lock(mutex_);
  for (const auto& [of, next] : reached) unmirrored_[of] = positions_[of] = next;
}

// Also of partitions in which nothing moves: tools would take for applied what the mirror was told by someone else.
void MlflowSqlSink::tell_mirror() {
  if (!mirror_ || unmirrored_.empty()) return;
  std::vector<Position> positions;
  for (const auto& [of, next] : unmirrored_) positions.push_back({of, next});
  if (const auto told = mirror_->mirror(positions); !told) {  // the next turn tries again
    spdlog::debug("mlflow_positions_not_mirrored error=\"{}\"", told.error().message());
    return;
  }
  unmirrored_.clear();
}

PgResult<void> MlflowSqlSink::read_waiting() {
  const auto rows = pg_.exec(
      "SELECT partition, record_offset FROM assay.waiting WHERE source = $1 AND stream = 'assessments' LIMIT " +
          std::to_string(waiting_known_max + 1),
      {config_.source});
  if (!rows) return rows.error();
  std::set<std::pair<Partition, Offset>> found;
  for (int i = 0; i < rows->size(); ++i) found.emplace(static_cast<Partition>(rows->number(i, 0)), rows->number(i, 1));
  std::scoped_lock lock(mutex_);
  more_wait_ = rows->size() > waiting_known_max;
  waiting_assessments_ = std::move(found);
  return {};
}

// What waits for traces that come past us.
Result<void> MlflowSqlSink::look_after_waiting() {
  const auto begun = std::chrono::steady_clock::now();
  if (!waiting_ || begun < look_at_) return {};
  const auto count_waiting = [this]() -> PgResult<std::int64_t> {
    const auto n = pg_.exec("SELECT count(*) FROM assay.waiting WHERE source = $1", {config_.source});
    if (!n) return n.error();
    return n->number(0, 0);
  };
  const bool few = ready_max_ < ready_at_once;
  const auto jobs = commit_ready();
  if (!jobs) return fail(jobs.error());
  count(*jobs);
  // What is old and can be written is not buried: only when a look finds no more of it.
  const bool soon = few || ready_max_ < ready_at_once || static_cast<int>(jobs->size()) >= ready_at_once;
  if (!soon)
    if (const auto buried = bury_expired(); !buried) return buried;
  if (const auto read = read_waiting(); !read) return fail(read.error());
  const auto left = count_waiting();
  if (!left) return fail(left.error());
  waiting_ = *left > 0;
  waiting_gauge_.set(static_cast<double>(*left));
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begun);
  look_again_ = jobs->empty() ? std::min(look_again_ * 2, config_.look_max) : config_.look_first;
  look_at_ = begun + (soon ? took : std::max(look_again_, took * 10));
  return {};
}

// What can be written now, some of it. One that the database refuses is looked for: half as many each time, until it is
// the only one.
PgResult<std::vector<SqlJob>> MlflowSqlSink::commit_ready() {
  std::vector<SqlJob> jobs;
  if (const auto begun = pg_.exec("BEGIN"); !begun) return begun.error();
  try {
    SqlBatch batch(pg_, config_.source, config_.experiment, experiments_, clock_.now());
    jobs = batch.take_ready(ready_max_);
    batch.apply(jobs, ready_max_ == 1 ? SqlBatch::Waiting::left : SqlBatch::Waiting::written);
  } catch (const PgFailure& failure) {
    if (!failure.error.final()) return failure.error;
    experiments_.clear();
    if (const auto back = pg_.exec("ROLLBACK"); !back) return back.error();
    spdlog::warn("event=mlflow_waiting_refused at_once={} error={}", ready_max_, log_value(failure.error.message));
    if (ready_max_ == 1 && jobs.size() == 1) return bury_waiting(std::move(jobs.front()), failure.error);
    ready_max_ = std::max(1, ready_max_ / 2);
    return std::vector<SqlJob>();
  }
  for (const auto& job : jobs)
    if (job.fate == SqlJob::Fate::dead)
      if (const auto buried = bury(job); !buried) return PgError{"58000", "no dead letter"};
  if (const auto done = pg_.exec("COMMIT"); !done) return done.error();
  ready_max_ = std::min(ready_at_once, ready_max_ * 2);
  return jobs;
}

PgResult<std::vector<SqlJob>> MlflowSqlSink::bury_waiting(SqlJob job, const PgError& why) {
  job.fate = SqlJob::Fate::dead;
  job.problem = refused_words(why);
  if (const auto buried = bury(job); !buried) return PgError{"58000", "no dead letter"};
  const auto gone =
      pg_.exec("DELETE FROM assay.waiting WHERE source = $1 AND stream = $2 AND partition = $3 AND record_offset = $4",
               {config_.source, std::string(name_of(job.of.stream)), std::to_string(job.of.partition),
                std::to_string(job.offset)});
  if (!gone) return gone.error();
  std::vector<SqlJob> jobs;
  jobs.push_back(std::move(job));
  return jobs;
}

Result<void> MlflowSqlSink::bury_expired() {
  const auto before = (clock_.now() - config_.wait_max).time_since_epoch().count();
  if (const auto begun = pg_.exec("BEGIN"); !begun) return fail(begun.error());
  const auto rows = pg_.exec(
      "DELETE FROM assay.waiting w USING (SELECT ctid FROM assay.waiting WHERE source = $1 AND since_ms <= $2 "
      "ORDER BY since_ms LIMIT " +
          std::to_string(expired_at_once) +
          " FOR UPDATE SKIP LOCKED) old "
          "WHERE w.ctid = old.ctid RETURNING w.stream, w.partition, w.record_offset, w.value",
      {config_.source, std::to_string(before)});
  if (!rows) return fail(rows.error());
  for (int i = 0; i < rows->size(); ++i) {
    const auto stream = rows->text(i, 0) == name_of(Stream::traces) ? Stream::traces : Stream::assessments;
    auto job = sql_job({stream, static_cast<Partition>(rows->number(i, 1))}, rows->number(i, 2), rows->text(i, 3));
    job.problem = "MLflow has not heard of its trace";
    if (const auto buried = bury(job); !buried) return fail({"58000", "a dead letter was not written"});
    refused_total_.Increment();
  }
  if (const auto done = pg_.exec("COMMIT"); !done) return fail(done.error());
  return {};
}

Result<void, std::string> move_positions_back(const MlflowSqlConfig& config,
                                              const std::map<StreamPartition, Offset>& to) {
  PgConnection pg(config.url, config.password, config.limits);
  if (const auto opened = pg.open(); !opened) return opened.error().message;
  const auto known = pg.exec("SELECT 1 FROM assay.positions WHERE source = $1 LIMIT 1", {config.source});
  if (!known) return known.error().message;
  if (known->size() == 0) return "the database has no positions of " + config.source;
  if (const auto begun = pg.exec("BEGIN"); !begun) return begun.error().message;
  for (const auto& [of, next] : to) {
    const auto moved = pg.exec(
        "UPDATE assay.positions SET next = $4 WHERE source = $1 AND stream = $2 AND partition = $3 AND next > $4",
        {config.source, std::string(name_of(of.stream)), std::to_string(of.partition), std::to_string(next)});
    if (!moved) return moved.error().message;
  }
  if (const auto done = pg.exec("COMMIT"); !done) return done.error().message;
  return {};
}

}  // namespace assay
