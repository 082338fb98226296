#include <algorithm>
#include <charconv>
#include <set>

#include "ops/cli/forgetting.hpp"
#include "ops/cli/kafka_letters.hpp"
#include "ops/cli/local_store.hpp"
#include "storage/log/kafka_offsets.hpp"
#include "storage/log/kafka_topics.hpp"
#include "storage/log/read_all.hpp"
#include "storage/records/assessment_record.hpp"
#include "storage/records/parked_record.hpp"
#include "storage/records/trace_record.hpp"

namespace assay::cli {
namespace {

constexpr std::chrono::seconds ask_limit{20};

// What stands on assay.assessments, assay.traces, assay.parked and assay.catalog of one user, and was not deleted there
// since.
class Standing {
 public:
  Standing(const std::string& user, std::span<const std::string> gone)
      : user_(user), asked_(gone.begin(), gone.end()) {}

  void add_assessment(const LogRecord& record) {
    const auto assessment = parse_assessment_record(record.value);
    if (!assessment) return;
    if (assessment->op == Op::erase)
      assessments_.erase(assessment->assessment_id);
    else if (assessment->op == Op::create && is_said_by(assessment->json, user_))
      assessments_[assessment->assessment_id] = assessment->trace_id;
  }

  void add_trace(const LogRecord& record) {
    const auto trace = parse_trace_record(record.value);
    if (!trace) return;
    if (trace->deleted) {
      traces_.erase(trace->trace_id);
      deleted_.insert(trace->trace_id);
    } else if (is_asked_by(trace->info, user_)) {
      traces_.insert(trace->trace_id);
      asked_.insert(trace->trace_id);
    }
  }

  void add_parked(const LogRecord& record) {
    const std::string record_id(record.key);
    parked_.erase(record_id);
    if (record.tombstone) return;
    if (auto found = parked_by(record.value, user_)) parked_[record_id] = std::move(*found);
  }

  // After all traces: what was made of a trace is known by that.
  void add_catalog(const LogRecord& record) {
    const std::string key(record.key);
    dataset_records_.erase(key);
    if (record.tombstone) {  // of a dataset: its records go with it
      dataset_records_.erase(dataset_records_.lower_bound(key + "/"), dataset_records_.lower_bound(key + "0"));
    } else if (auto found = copied_from(record.value, asked_, user_)) {
      dataset_records_[key] = std::move(*found);
    }
  }

  // A deleted trace has taken its assessments with it.
  SaidBy said() && {
    SaidBy out;
    for (const auto& [id, trace_id] : assessments_)
      if (!deleted_.contains(trace_id)) out.assessments.push_back({id, trace_id});
    out.traces.assign(traces_.begin(), traces_.end());
    for (auto& [id, parked] : parked_) out.parked.push_back(std::move(parked));
    for (auto& [key, found] : dataset_records_) out.dataset_records.push_back(std::move(found));
    return out;
  }

 private:
  const std::string& user_;
  std::map<std::string, std::string> assessments_;  // id → trace_id
  std::set<std::string> traces_, deleted_;
  std::set<std::string> asked_;  // traces of the user's, deleted ones too
  std::map<std::string, SaidBy::Parked> parked_;
  std::map<std::string, SaidBy::DatasetEntry> dataset_records_;  // by key: dataset/ID/RECORD; '0' comes behind '/'
};

class KafkaForgetting final : public Forgetting {
 public:
  KafkaForgetting(const KafkaOptions& kafka, std::string view) : kafka_(kafka), view_(std::move(view)) {}

  Result<void, std::string> connect() {
    auto sources = KafkaSources::open(kafka_.config, kafka_.wait);
    if (!sources) return sources.error();
    sources_ = std::move(*sources);
    auto offsets = KafkaOffsets::open(kafka_.config, "resolve");
    if (!offsets) return offsets.error();
    offsets_ = std::move(*offsets);
    return {};
  }

  Result<SaidBy, std::string> find(const std::string& user, std::span<const std::string> gone) override {
    // Positions first: what was resolved by then is found in the topics that are read after it.
    const auto resolved = positions();
    if (!resolved) return resolved.error();
    Standing standing(user, gone);
    for (const auto& [stream, add] :
         {std::pair(Stream::assessments, &Standing::add_assessment), std::pair(Stream::traces, &Standing::add_trace),
          std::pair(Stream::parked, &Standing::add_parked), std::pair(Stream::catalog, &Standing::add_catalog)}) {
      const auto read = read_all(*sources_, stream, [&](std::span<const LogRecord> records) {
        for (const auto& record : records) (standing.*add)(record);
        return Result<void>();
      });
      if (!read) return unreadable(stream, read.error());
    }
    auto said = std::move(standing).said();
    auto in_flight = find_in_flight(*sources_, *resolved, user);
    if (!in_flight) return unreadable(Stream::feedback, in_flight.error());
    said.in_flight = std::move(*in_flight);

    auto letters = KafkaLetters::open(kafka_);
    if (!letters) return letters.error();
    letters_ = std::move(*letters);
    if (const auto added = add(letters_->store(), user, gone, said); !added) return added.error();
    if (view_.empty()) return said;
    auto local = LocalStore::open(view_, {"ingest"});
    if (!local) return local.error();
    if (const auto added = add((*local)->db(), user, gone, said); !added) return added.error();
    return said;
  }

  std::string act(const std::vector<std::string>& lines) override {
    for (const auto& line : lines) {
      const auto answer = letters_->answer(line);
      if (!answer.reached || answer.line != "ok") return answer.line;
    }
    return {};
  }

  std::string log_drops() override {
    const auto topics = describe_topics(kafka_.config, kafka_.wait);
    if (!topics) return "a time that the brokers did not tell (" + topics.error() + ")";
    std::chrono::milliseconds longest{0};
    for (const auto& topic : *topics) {
      if (topic.stream == Stream::requests || topic.stream == Stream::parked || topic.stream == Stream::catalog)
        continue;
      const auto set = topic.settings.find("retention.ms");
      std::int64_t kept = -1;
      if (set != topic.settings.end())
        std::from_chars(set->second.data(), set->second.data() + set->second.size(), kept);
      if (kept < 0) return "nobody: " + topic.name + " has no retention.ms";
      longest = std::max(longest, std::chrono::milliseconds(kept));
    }
    return format_time(SystemClock().now() + longest);
  }

 private:
  static std::string unreadable(const std::string& topic, error_code why) {
    return topic + " can't be read to its end: " + why.message();
  }
  std::string unreadable(Stream stream, error_code why) const {
    return unreadable(topic_of(kafka_.config, stream), why);
  }

  Result<ResolvedTo, std::string> positions() {
    std::vector<StreamPartition> all;
    for (Partition p = 0; p < sources_->partitions(Stream::feedback); ++p) all.push_back({Stream::feedback, p});
    const auto committed = offsets_->committed(all, ask_limit);
    if (!committed) return "the workers' positions can't be had: " + committed.error().message();
    ResolvedTo out;
    for (const auto& [where, offset] : *committed) out[where.partition] = offset;
    return out;
  }

  // What a store knows beyond the topics.
  static Result<void, std::string> add(const KeyValue& store, const std::string& user,
                                       std::span<const std::string> gone, SaidBy& said) {
    std::vector<std::string> asked(gone.begin(), gone.end());
    asked.insert(asked.end(), said.traces.begin(), said.traces.end());
    auto more = find_said_by(store, user, asked);
    if (!more) return "the store can't be read: " + more.error().message();
    const auto merge = [](auto& into, auto& from, auto id) {
      std::set<std::string> known;
      for (const auto& one : into) known.insert(id(one));
      for (auto& one : from)
        if (known.insert(id(one)).second) into.push_back(std::move(one));
    };
    const auto itself = [](const std::string& id) { return id; };
    merge(said.assessments, more->assessments, [](const SaidBy::Assessment& one) { return one.id; });
    merge(said.traces, more->traces, itself);
    merge(said.dead_letters, more->dead_letters, itself);
    merge(said.dataset_records, more->dataset_records,
          [](const SaidBy::DatasetEntry& one) { return one.dataset_id + "/" + one.record_id; });
    return {};
  }

  const KafkaOptions& kafka_;
  const std::string view_;
  std::unique_ptr<KafkaSources> sources_;
  std::unique_ptr<KafkaOffsets> offsets_;
  std::unique_ptr<KafkaLetters> letters_;  // as of the last find()
};

}  // namespace

Result<std::unique_ptr<Forgetting>, std::string> forgetting_on(const KafkaOptions& kafka, const std::string& view) {
  auto self = std::make_unique<KafkaForgetting>(kafka, view);
  if (const auto connected = self->connect(); !connected) return connected.error();
  return std::unique_ptr<Forgetting>(std::move(self));
}

}  // namespace assay::cli
