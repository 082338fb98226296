// assay sinks: how far the workers' sinks on Kafka have come; and, of `assay serve` too, from the beginning once more.
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <set>

#include "ops/cli/kafka_options.hpp"
#include "ops/cli/local_owner.hpp"
#include "ops/runtime/error.hpp"
#include "storage/log/kafka_offsets.hpp"
#include "storage/log/kafka_source.hpp"
#include "storage/sinks/mlflow_sql.hpp"

namespace assay::cli {
namespace {

const std::string group_prefix = "sink-";

struct SinksOptions {
  KafkaOptions kafka;
  std::string verb, name, data;
  std::chrono::milliseconds since{0};
  bool some = false;   // `since` was given
  MlflowSqlConfig db;  // its url empty: none was named
};

std::vector<StreamPartition> followed(const EventSources& sources) {
  std::vector<StreamPartition> out;
  for (const auto stream : {Stream::traces, Stream::assessments})
    for (Partition p = 0; p < sources.partitions(stream); ++p) out.push_back({stream, p});
  return out;
}

// Those of the partitions behind whose position no record stands: the end of a transaction takes an offset, too.
std::set<StreamPartition> nothing_behind(KafkaSources& sources, std::vector<StartAt> positions,
                                         std::chrono::milliseconds limit) {
  std::set<StreamPartition> out;
  if (positions.empty()) return out;
  const auto source = sources.open(positions);
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (source && !positions.empty() && std::chrono::steady_clock::now() < deadline) {
    std::erase_if(positions, [&](const StartAt& one) {
      const auto records = (*source)->read_from(one.from, 1);
      if (!records || !records->empty()) return true;
      const auto end = (*source)->end(one.from);
      const bool read = end && (*source)->position(one.from) >= *end;
      if (read) out.insert(one.from);
      return read;
    });
    if (!positions.empty()) (*source)->await(positions.front().from, std::chrono::milliseconds(100));
  }
  return out;
}

int list(const SinksOptions& asked, KafkaSources& sources, std::span<const StreamPartition> where) {
  const auto& config = asked.kafka.config;
  const auto any = KafkaOffsets::open(config, group_prefix);
  if (!any) return complain(any.error());
  const auto groups = (*any)->groups(group_prefix, asked.kafka.wait);
  if (!groups) return complain("the groups can't be listed: " + groups.error().message());
  const auto begins = (*any)->begins(where, asked.kafka.wait), ends = (*any)->ends(where, asked.kafka.wait);
  if (!begins || !ends) return complain("the topics' offsets can't be had");
  for (const auto& group : *groups) {
    const auto offsets = KafkaOffsets::open(config, group.name);
    if (!offsets) return complain(offsets.error());
    const auto committed = (*offsets)->committed(where, asked.kafka.wait);
    if (!committed) return complain("the positions of " + group.name + " can't be had");
    std::cout << group.name.substr(group_prefix.size()) << "  " << group.state << "  members " << group.members << "\n";
    KafkaOffsets::Offsets positions;
    std::vector<StartAt> late;
    for (const auto& of : where) {
      const auto at = committed->find(of);
      const auto position = positions[of] = std::max(begins->at(of), at == committed->end() ? 0 : at->second);
      if (position < ends->at(of)) late.push_back({of, position});
    }
    const auto nothing = nothing_behind(sources, std::move(late), asked.kafka.wait);
    for (const auto& of : where)
      std::cout << "  " << name_of(of.stream) << "/" << of.partition << "  position " << positions[of] << "  behind "
                << (nothing.contains(of) ? 0 : ends->at(of) - positions[of]) << "\n";
  }
  if (groups->empty()) std::cout << "no sink has begun yet\n";
  return ok;
}

int replay(const SinksOptions& asked, std::span<const StreamPartition> where) {
  const auto& config = asked.kafka.config;
  const auto group = group_prefix + asked.name;
  const auto offsets = KafkaOffsets::open(config, group);
  if (!offsets) return complain(offsets.error());
  const auto groups = (*offsets)->groups(group, asked.kafka.wait);
  if (!groups) return complain("the groups can't be listed: " + groups.error().message());
  const auto known = std::find_if(groups->begin(), groups->end(), [&](const auto& one) { return one.name == group; });
  if (known == groups->end()) return complain("no sink " + asked.name + " has begun yet: there is nothing to replay");
  const std::string stop_first = "the sink " + asked.name +
                                 " is at work: stop the workers first (one that had --instance-id is a member until "
                                 "its --session-timeout is over)";
  if (known->members > 0) return complain(stop_first);
  auto from = asked.some ? (*offsets)->since(where, SystemClock().now() - asked.since, asked.kafka.wait)
                         : (*offsets)->begins(where, asked.kafka.wait);
  if (!from) return complain("the topics' offsets can't be had: " + from.error().message());
  // Back only: what lies between a sink that is late and that moment must not be passed over.
  const auto current = (*offsets)->committed(where, asked.kafka.wait);
  if (!current) return complain("the positions of the sink can't be had: " + current.error().message());
  for (auto& [of, offset] : *from)
    if (const auto at = current->find(of); at != current->end()) offset = std::min(offset, at->second);
  const auto notes = (*offsets)->notes(where, asked.kafka.wait);
  if (!notes) return complain("the positions of the sink can't be had: " + notes.error().message());
  const bool mirrored =
      !notes->empty() && std::ranges::all_of(*notes, [](const auto& n) { return n == mirrored_note; });
  if (mirrored && asked.db.url.empty())
    return complain("the sink " + asked.name +
                    " keeps its positions in MLflow's database: name that, as the workers do, by --mlflow-db");
  if (!asked.db.url.empty())
    if (const auto moved = move_positions_back(asked.db, *from); !moved)
      return complain("the positions in MLflow's database can't be set: " + moved.error());
  if (const auto set = (*offsets)->commit(*from); !set)
    return complain(set.error() == Error::unsupported ? stop_first
                                                      : "the positions can't be set: " + set.error().message());
  const auto ends = (*offsets)->ends(where, asked.kafka.wait);
  Offset records = 0;
  for (const auto& of : where) records += ends ? ends->at(of) - from->at(of) : 0;
  std::cout << asked.name << " will apply " << records << " offsets again when the workers start\n";
  return ok;
}

// Of `assay serve`, which keeps them beside its log.
int replay_in(const std::string& data, const std::string& name) {
  const auto owner = LocalOwner::open(data);
  if (!owner) return complain(owner.error());
  constexpr std::string_view error = "error ";
  const auto answer = (*owner)->answer("replay-sink " + name);
  if (!answer.reached || answer.line != "ok")
    return complain(answer.line.starts_with(error) ? answer.line.substr(error.size()) : answer.line);
  std::cout << name << " will apply all that the log still has when `assay serve` starts next\n";
  return ok;
}

}  // namespace

int sinks(std::vector<std::string> args) {
  CLI::App app(
      "How far the workers' sinks on Kafka have come; of these, or of `assay serve`, from the log's beginning once "
      "more",
      "assay sinks");
  SinksOptions asked;
  app.add_option("verb", asked.verb, "list or replay")
      ->required()
      ->check(CLI::IsMember({"list", "replay"}))
      ->configurable(false);
  app.add_option("name", asked.name, "For replay: which sink, e.g. mlflow")->configurable(false);
  asked.kafka.add_to(app, false);
  app.add_option("--data", asked.data, "Of replay: the data directory of `assay serve`, which may be running");
  app.add_option("--mlflow-db", asked.db.url,
                 "Of replay, where the workers have it: the PostgreSQL in which the sink keeps its positions");
  add_duration(app, "--since", asked.since, "Of replay: only what was written so long ago or later; else all there is");
  const bool to_kafka = says(args, "--kafka"), to_data = says(args, "--data");
  const auto on_kafka = [&] { return !asked.kafka.config.brokers.empty() && (to_kafka || !to_data); };
  const auto settle = [&]() -> std::optional<std::string> {
    if (asked.verb == "replay" && asked.name.empty()) return "sinks replay takes a sink's name";
    if (asked.verb == "list" && !asked.name.empty()) return "sinks list takes no name: it lists all";
    if (to_kafka && to_data && asked.verb == "replay") return "--kafka and --data are both given: which is meant?";
    if (!on_kafka()) {
      if (asked.verb == "list")
        return "sinks list needs --kafka; of `assay serve` see assay_sink_lag_records in /metrics";
      if (asked.data.empty()) return "sinks replay needs --kafka, or --data of `assay serve`";
      if (app.count("--since") > 0) return "--since is of --kafka";
      if (!asked.db.url.empty())
        return "--mlflow-db is of --kafka: `assay serve` begins anew by itself in a database that is another";
      return {};
    }
    if (auto problem = asked.kafka.settle_for_tool()) return problem;
    if (asked.db.url.empty()) return {};
    const auto problem = problem_with_conninfo(asked.db.url);
    return problem ? std::optional("--mlflow-db: " + *problem) : std::nullopt;
  };
  if (const auto parsed = parse(app, std::move(args), settle); !parsed.run) return parsed.code;
  if (!on_kafka()) return replay_in(asked.data, asked.name);
  if (const auto* password = std::getenv("ASSAY_MLFLOW_DB_PASSWORD")) asked.db.password = password;
  asked.some = app.count("--since") > 0;
  const auto sources = KafkaSources::open(asked.kafka.config, asked.kafka.wait);
  if (!sources) return complain(sources.error());
  asked.db.source = (*sources)->cluster_id() + "/" + asked.kafka.config.topic_prefix;
  const auto where = followed(**sources);
  return asked.verb == "list" ? list(asked, **sources, where) : replay(asked, where);
}

}  // namespace assay::cli
