#include "ops/cli/kafka_verify.hpp"

#include <algorithm>
#include <iterator>

#include "ops/cli/local_store.hpp"
#include "ops/cli/mlflow_verify.hpp"
#include "storage/log/kafka_offsets.hpp"
#include "storage/log/kafka_source.hpp"
#include "storage/log/read_all.hpp"
#include "storage/records/remains_record.hpp"
#include "storage/state/memory_key_value.hpp"
#include "storage/state/state_keys.hpp"

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
      if (remains_of(record.key)) continue;
      auto key = state::parked_key(record.partition, record.key);
      if (record.tombstone)
        changes.erase(Family::parked, std::move(key));
      else
        changes.put(Family::parked, std::move(key), {});
    }
    return into.write(changes);
  });
}

}  // namespace

int verify_kafka(const KafkaVerify& asked) {
  const auto& config = asked.kafka.config;
  auto opened = KafkaSources::open(config, asked.kafka.wait);
  if (!opened) return complain(opened.error());
  auto& sources = **opened;

  // Positions first: what the resolver has decided by now must be found in what is read afterwards.
  const auto feedback = all(sources, Stream::feedback);
  const auto resolved = positions_of(config, "resolve", feedback);
  if (!resolved) return complain(resolved.error());
  std::unique_ptr<LocalStore> view;
  if (!asked.data.empty()) {
    auto local = LocalStore::open(asked.data, {"ingest"});
    if (!local) return complain(local.error());
    const auto kept = (*local)->keeps_store();
    if (!kept) return complain(kept.error());
    if (!*kept) return complain(asked.data + ": this door keeps no store to recount: one with --view does");
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
  if (!asked.mlflow.url.empty()) {
    auto followed = all(sources, Stream::assessments);
    std::ranges::copy(all(sources, Stream::traces), std::back_inserter(followed));
    auto positions = positions_of(config, "sink-mlflow", followed);
    if (!positions) return complain(positions.error());
    auto recounted = recount_mlflow(sources, asked.mlflow, std::move(*positions));
    if (!recounted) return complain(recounted.error());
    mlflow = std::move(*recounted);
  }
  return tell(*found, mlflow, "topics", asked.output);
}

}  // namespace assay::cli
