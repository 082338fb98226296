#include "ops/cli/kafka_verify.hpp"

#include <iostream>

#include "ops/cli/local_store.hpp"
#include "storage/log/kafka_offsets.hpp"
#include "storage/log/kafka_source.hpp"
#include "storage/log/read_all.hpp"
#include "storage/records/dead_letter_record.hpp"
#include "storage/sinks/mlflow_recount.hpp"
#include "storage/state/memory_key_value.hpp"
#include "storage/state/state_keys.hpp"
#include "storage/store/verify.hpp"

namespace assay::cli {
namespace {

constexpr std::chrono::seconds ask_limit{20};

std::vector<StreamPartition> all(const EventSources& sources, Stream stream) {
  std::vector<StreamPartition> out;
  for (Partition p = 0; p < sources.partitions(stream); ++p) out.push_back({stream, p});
  return out;
}

// How far a group has come; a partition without is at 0.
Result<KafkaOffsets::Offsets, std::string> positions_of(const KafkaConfig& kafka, const std::string& group,
                                                        std::span<const StreamPartition> of) {
  auto offsets = KafkaOffsets::open(kafka, group);
  if (!offsets) return offsets.error();
  auto committed = (*offsets)->committed(of, ask_limit);
  if (!committed) return "the positions of " + group + " can't be had: " + committed.error().message();
  return std::move(*committed);
}

// The ids of what is parked, as the resolver's state has them.
Result<void> read_parked(EventSources& sources, KeyValue& into) {
  return read_all(sources, Stream::parked, [&](std::span<const LogRecord> records) {
    Changes changes;
    for (const auto& record : records) {
      auto key = state::parked_key(record.partition, record.key);
      if (record.tombstone)
        changes.erase(Family::parked, std::move(key));
      else
        changes.put(Family::parked, std::move(key), {});
    }
    return into.write(changes);
  });
}

// The assessments that the sink gave up.
Result<std::set<std::string, std::less<>>> given_up(EventSources& sources, const std::string& step) {
  std::set<std::string, std::less<>> out;
  const auto read = read_all(sources, Stream::deadletters, [&](std::span<const LogRecord> records) {
    for (const auto& record : records) {
      if (record.tombstone) continue;
      const auto dead = parse_dead_letter(record.value);
      if (dead && dead->step == step && dead->record) out.insert(dead->record->items.front().assessment_id);
    }
    return Result<void>();
  });
  if (!read) return read.error();
  return out;
}

}  // namespace

int verify_kafka(const KafkaVerify& asked) {
  const auto& config = asked.kafka.config;
  auto opened = KafkaSources::open(config, asked.kafka.wait);
  if (!opened) return complain(opened.error());
  auto& sources = **opened;

  // Positions first: what the resolver has decided by now must be found in what is read afterwards.
  const auto feedback = all(sources, Stream::feedback), assessments = all(sources, Stream::assessments);
  const auto resolved = positions_of(config, "resolve", feedback);
  if (!resolved) return complain(resolved.error());
  std::unique_ptr<LocalStore> view;
  if (!asked.data.empty()) {
    auto local = LocalStore::open(asked.data, {"ingest"});
    if (!local) return complain(local.error());
    view = std::move(*local);
  }
  MemoryKeyValue parked;
  if (const auto read = read_parked(sources, parked); !read)
    return complain(topic_of(config, Stream::parked) + " can't be read to its end: " + read.error().message());
  const auto resolved_of = [&](Partition p) -> Result<Offset> {
    const auto at = resolved->find({Stream::feedback, p});
    return at == resolved->end() ? Offset(0) : at->second;
  };
  const MemoryKeyValue nothing;
  const auto found = assay::verify({.log = sources,
                                    .kv = view ? static_cast<const KeyValue&>(view->db()) : nothing,
                                    .resolved = resolved_of,
                                    .parked = &parked,
                                    .store = view != nullptr,
                                    .dedupe_window = asked.dedupe_window});
  if (!found) return complain("the topics can't be read to their end: " + found.error().message());

  std::optional<MlflowRecount> mlflow;
  if (!asked.mlflow_url.empty()) {
    auto positions = positions_of(config, "sink-mlflow", assessments);
    if (!positions) return complain(positions.error());
    auto dead = given_up(sources, "mlflow");
    if (!dead) return complain("the dead letters can't be read: " + dead.error().message());
    MlflowRecountInput input{.log = sources, .mlflow = {.url = asked.mlflow_url}};
    input.positions = std::move(*positions);
    input.dead = std::move(*dead);
    auto recounted = recount(input);
    if (!recounted) return complain(recounted.error());
    mlflow = std::move(*recounted);
  }

  if (asked.output == "json") {
    std::cout << R"({"topics":)" << to_json(*found);
    if (mlflow) std::cout << R"(,"mlflow":)" << to_json(*mlflow);
    std::cout << "}\n";
  } else {
    std::cout << to_text(*found);
    if (mlflow) std::cout << to_text(*mlflow);
  }
  return found->unaccounted() == 0 && (!mlflow || mlflow->unaccounted() == 0) ? ok : failure;
}

}  // namespace assay::cli
