#include "storage/sinks/store_sink.hpp"

#include <set>

#include "storage/records/dead_letter_record.hpp"
#include "storage/sinks/poison.hpp"
#include "storage/store/batch.hpp"
#include "storage/store/catalog.hpp"
#include "storage/store/keys.hpp"

namespace assay {
namespace {

// A record of the batch; of an assessment or a trace its place among those, or why it could not be read.
struct Item {
  const LogRecord* record;
  std::optional<std::size_t> place;
  std::string problem;
};

struct Parsed {
  std::vector<Item> items;
  std::vector<AssessmentRecord> assessments;
  std::vector<TraceRecord> traces;
};

template <class T>
void add(Result<T, Malformed> parsed, std::vector<T>& to, Item& item) {
  if (!parsed) {
    item.problem = parsed.error().reason;
    return;
  }
  item.place = to.size();
  to.push_back(std::move(*parsed));
}

Parsed parse(std::span<const LogRecord> records) {
  Parsed out;
  out.items.reserve(records.size());
  for (const auto& record : records) {
    auto& item = out.items.emplace_back(Item{&record});
    if (record.stream == Stream::assessments) add(read_assessment(record), out.assessments, item);
    if (record.stream == Stream::traces) add(read_trace(record), out.traces, item);
  }
  return out;
}

// What an entry of one experiment, or of one name of assessments, begins with.
std::string_view name_in(std::string_view index_key) { return index_key.substr(0, index_key.find('\0') + 1); }

std::string trace_in(std::string_view index_key) {
  const auto rest = store_keys::index_entry(index_key, name_in(index_key)).rest;
  return std::string(rest.substr(0, rest.find('\0')));
}

// At most so many keys of the index from `from` on, of its kind and under any name, of what is older than `until`.
Result<std::vector<std::string>> older(const KeyValue& kv, std::string from, Instant until, std::size_t most) {
  std::vector<std::string> keys;
  const auto end = after_prefix(from.substr(0, 1));
  while (!from.empty()) {
    std::string next_name;
    const auto visit = [&](std::string_view key, std::string_view) {
      const auto name = name_in(key);
      if (store_keys::index_entry(key, name).at < until) {
        keys.emplace_back(key);
        return keys.size() < most;
      }
      next_name = after_prefix(name);
      return false;
    };
    if (const auto scanned = kv.scan(Family::trace_index, from, end, visit); !scanned) return scanned.error();
    from = std::move(next_name);
  }
  return keys;
}

// Traces that are older than `until`, at most so many: by themselves, and those that nobody has told of by what was
// said of them first. `start`: the key to begin at, and then that to go on at: what has expired before leaves its
// tombstones behind, which whoever begins at the beginning walks over each time.
Result<std::set<std::string>> expired_traces(const KeyValue& kv, Instant until, std::size_t most, std::string& start) {
  const auto told = older(kv, start, until, most);
  if (!told) return told.error();
  if (!told->empty()) start = told->back();
  std::set<std::string> ids;
  for (const auto& key : *told) ids.insert(trace_in(key));
  std::string from = "n";
  while (ids.size() < most && !from.empty()) {
    const auto said = older(kv, from, until, most);
    if (!said) return said.error();
    std::vector<std::string> infos;
    for (const auto& key : *said) infos.push_back(store_keys::trace_info(trace_in(key)));
    const auto found = kv.multi_get(Family::traces, infos);
    if (!found) return found.error();
    for (std::size_t i = 0; i < infos.size(); ++i)
      if (!(*found)[i]) ids.insert(trace_in((*said)[i]));
    from = said->size() < most ? "" : said->back() + '\0';
  }
  return ids;
}

// One batch of records as changes of the store. What can't be read or applied becomes a dead letter.
class RecordApplier {
 public:
  RecordApplier(KeyValue& kv, bool tombstones, StoreBatch::SummedUp summed_up, std::string_view sink, Instant now)
      : batch_(kv, tombstones, std::move(summed_up)), catalog_(kv), sink_(sink), now_(now) {}

  Result<void> apply(const Parsed& parsed) {
    if (const auto loaded = batch_.load(parsed.assessments, parsed.traces); !loaded) return loaded;
    for (const auto& item : parsed.items)
      if (const auto applied = apply(item, parsed); !applied) return applied;
    return {};
  }
  Result<Changes> finish() {
    auto changes = batch_.finish();
    if (!changes) return changes;
    changes->append(catalog_.finish());
    changes->append(std::move(dead_));
    return changes;
  }
  bool deleted_a_trace() const { return batch_.deleted_a_trace(); }
  // Of what was applied here.
  std::map<Partition, SinkLedger>& ledgers() { return ledgers_; }

 private:
  Result<void> apply(const Item& item, const Parsed& parsed) {
    const auto& record = *item.record;
    switch (record.stream) {
      case Stream::deadletters:
        if (record.tombstone)
          dead_.erase(Family::dead, std::string(record.key));
        else
          dead_.put(Family::dead, std::string(record.key), std::string(record.value));
        return {};
      case Stream::catalog:
        return settle(record, catalog_.apply(record.key, record.value, record.tombstone));
      case Stream::traces:
        if (item.place) return settle(record, batch_.apply(parsed.traces[*item.place]));
        bury(record, item.problem);
        return {};
      default:
        count(record, item.place ? batch_.apply(parsed.assessments[*item.place], record.partition, record.offset)
                                 : Result<Applied, Malformed>(Malformed{item.problem}));
        return {};
    }
  }
  template <class T>
  Result<void> settle(const LogRecord& record, const Result<Result<T, Malformed>>& outcome) {
    if (!outcome) return outcome.error();
    if (!*outcome) bury(record, outcome->error().reason);
    return {};
  }
  void count(const LogRecord& record, const Result<Applied, Malformed>& outcome) {
    auto& ledger = ledgers_[record.partition];
    ++ledger.read;
    if (outcome) {
      ++(*outcome == Applied::applied ? ledger.applied : *outcome == Applied::held ? ledger.held : ledger.duplicate);
    } else {
      ++ledger.dead;
      bury(record, outcome.error().reason);
    }
  }
  void bury(const LogRecord& record, const std::string& problem) {
    auto dead = poison(record, problem, sink_, now_);
    dead_.put(Family::dead, dead.record_id, *to_record(dead).value);
  }

  StoreBatch batch_;
  CatalogBatch catalog_;
  Changes dead_;
  std::map<Partition, SinkLedger> ledgers_;
  const std::string_view sink_;
  const Instant now_;
};

}  // namespace

StoreSink::StoreSink(KeyValue& kv, const Clock& clock, Metrics* metrics, std::chrono::milliseconds retention)
    : kv_(kv),
      clock_(clock),
      commit_seconds_(metrics ? &metrics->latency("assay_sink_commit_seconds",
                                                  "From accepted at the front door to readable in the sink",
                                                  {{"sink", "store"}})
                              : nullptr),
      retention_(retention),
      upkeep_(kv, positions_prefix(name())) {}

Result<Offset> StoreSink::position(StreamPartition of) {
  const auto next = load_position(kv_, name(), of);
  if (!next) return next;
  const auto tombstones = kv_.get(Family::meta, store_keys::tombstones);
  if (!tombstones) return tombstones.error();
  const auto ledger = kv_.get(Family::meta, store_keys::ledger(of));
  if (!ledger) return ledger.error();
  tombstones_ = tombstones->has_value();
  std::scoped_lock lock(mutex_);
  applied_[of] = *next;
  if (of.stream == Stream::assessments) {
    const auto kept = *ledger ? decode_sink_ledger(**ledger) : SinkLedger{};
    if (!kept) return make_error_code(Error::corrupt);
    ledgers_[of.partition] = *kept;
  }
  return next;
}

Result<void> StoreSink::apply(std::span<const LogRecord> records) {
  constexpr std::size_t traces_at_once = 64, traces_when_idle = 2'000;  // of those that are still to be summed up
  if (!upkeep_.loaded())
    if (const auto loaded = upkeep_.load(); !loaded) return loaded;
  if (const auto summed = upkeep_.go_on(records.empty() ? traces_when_idle : traces_at_once); !summed) return summed;
  if (const auto expired = expire(); !expired) return expired;
  if (records.empty()) return {};
  const auto parsed = parse(records);
  RecordApplier applier(kv_, tombstones_, summed_up(), name(), clock_.now());
  if (const auto applied = applier.apply(parsed); !applied) return applied;

  auto finished = applier.finish();
  if (!finished) return finished.error();
  auto& changes = *finished;
  std::map<StreamPartition, Offset> reached;
  for (const auto& record : records) reached[{record.stream, record.partition}] = record.offset + 1;
  for (const auto& [of, next] : reached) {
    auto key = position_key(name(), of);
    upkeep_.note(key, next);
    changes.put(Family::meta, std::move(key), std::to_string(next));
  }
  upkeep_.write(changes);
  auto& ledgers = applier.ledgers();
  {
    std::scoped_lock lock(mutex_);
    for (auto& [partition, ledger] : ledgers)
      if (const auto known = ledgers_.find(partition); known != ledgers_.end()) ledger += known->second;
  }
  for (const auto& [partition, ledger] : ledgers)
    changes.put(Family::meta, store_keys::ledger({Stream::assessments, partition}), encode(ledger));
  if (const auto written = kv_.write(changes); !written) {
    upkeep_.write_failed();
    return written;
  }

  tombstones_ = tombstones_ || applier.deleted_a_trace();
  {
    std::scoped_lock lock(mutex_);
    for (const auto& [of, next] : reached) applied_[of] = next;
    for (const auto& [partition, ledger] : ledgers) ledgers_[partition] = ledger;
  }
  if (!commit_seconds_) return {};
  const auto now = clock_.now();
  for (const auto& record : parsed.assessments)
    commit_seconds_->Observe(std::max(0.0, std::chrono::duration<double>(now - record.accepted_at).count()));
  return {};
}

// Once a minute; a little at a time, so that what is new does not wait for it.
Result<void> StoreSink::expire() {
  constexpr std::size_t at_once = 256;
  const auto now = clock_.now();
  if (retention_.count() == 0 || (looked_at_ && now >= *looked_at_ && now - *looked_at_ < std::chrono::minutes(1)))
    return {};
  const auto expired = expired_traces(kv_, now - retention_, at_once, expired_to_);
  if (!expired) return expired.error();
  std::vector<TraceRecord> deletions;
  for (const auto& id : *expired) deletions.push_back({.deleted = true, .trace_id = id, .accepted_at = now});
  if (deletions.size() < at_once) {
    looked_at_ = now;
    expired_to_ = of_experiments;  // what has come late is found in a minute
  }
  if (deletions.empty()) return {};
  StoreBatch batch(kv_, tombstones_, summed_up());
  if (const auto loaded = batch.load({}, deletions); !loaded) return loaded;
  for (const auto& deletion : deletions)
    if (const auto outcome = batch.apply(deletion); !outcome) return outcome.error();
  const auto changes = batch.finish();
  if (!changes) return changes.error();
  if (const auto written = kv_.write(*changes); !written) return written;
  tombstones_ = tombstones_ || batch.deleted_a_trace();
  return {};
}

Offset StoreSink::applied(StreamPartition of) const {
  std::scoped_lock lock(mutex_);
  const auto at = applied_.find(of);
  return at == applied_.end() ? 0 : at->second;
}

SinkLedger StoreSink::ledger() const {
  std::scoped_lock lock(mutex_);
  SinkLedger sum;
  for (const auto& [partition, ledger] : ledgers_) sum += ledger;
  return sum;
}

SinkLedger StoreSink::ledger(Partition partition) const {
  std::scoped_lock lock(mutex_);
  const auto at = ledgers_.find(partition);
  return at == ledgers_.end() ? SinkLedger{} : at->second;
}

}  // namespace assay
