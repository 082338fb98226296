#include <algorithm>
#include <charconv>
#include <set>

#include "ops/cli/forget_standing.hpp"
#include "ops/cli/forgetting.hpp"
#include "ops/cli/kafka_letters.hpp"
#include "ops/cli/local_store.hpp"
#include "storage/log/kafka_offsets.hpp"
#include "storage/log/kafka_topics.hpp"
#include "storage/log/read_all.hpp"

namespace assay::cli {
namespace {

constexpr std::chrono::seconds ask_limit{20};

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

  Result<SaidBy, Problem> find(const std::string& user, UsersIds& ids) override {
    // Positions first: what was resolved by then is found in the topics that are read after it.
    const auto resolved = positions();
    if (!resolved) return resolved.error();
    auto in_flight = find_in_flight(*sources_, *resolved, user, ids);
    if (!in_flight) return unreadable(Stream::feedback, in_flight.error());
    Standing standing(user, ids);
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
    said.in_flight = std::move(*in_flight);

    auto letters = KafkaLetters::open(kafka_);
    if (!letters) return letters.error();
    letters_ = std::move(*letters);
    if (const auto added = add(letters_->store(), user, ids, said); !added) return added.error();
    if (!view_.empty()) {
      auto local = LocalStore::open(view_, {"ingest"});
      if (!local) return local.error();
      if (const auto added = add((*local)->db(), user, ids, said); !added) return added.error();
    }
    said.keep(ids.assessments);
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
  static Result<void, std::string> add(const KeyValue& store, const std::string& user, UsersIds& ids, SaidBy& said) {
    auto more = find_said_by(store, user, ids);
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
    merge(said.dead_letters, more->dead_letters, [](const SaidBy::Letter& one) { return one.record_id; });
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
