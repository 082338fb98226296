#include "ops/cli/sink_acts.hpp"

#include "ops/runtime/log.hpp"
#include "ops/runtime/parse_number.hpp"
#include "storage/sinks/positions.hpp"

namespace assay::cli {
namespace {

const std::string sink = "mlflow", server_key = positions_prefix(sink) + "server",
                  again_key = positions_prefix(sink) + "again", database = "postgresql";

}  // namespace

Result<std::optional<std::string>> take_mlflow_server(KeyValue& db, const MlflowOptions& options) {
  using Before = std::optional<std::string>;
  const auto known = db.get(Family::meta, server_key);
  if (!known) return known.error();
  const auto now = options.by_sql() ? database : options.rest.mlflow.url;
  if (*known == now) return Before();
  Changes changes;
  changes.put(Family::meta, server_key, now);
  if (const auto written = db.write(changes); !written) return written.error();
  return *known != database && now != database ? *known : Before();
}

Result<void> note_mlflow_server(KeyValue& db, const MlflowOptions& options, const std::string& replay) {
  const auto before = take_mlflow_server(db, options);
  if (!before) return before.error();
  if (*before)
    spdlog::warn(
        "event=sink_of_another_server sink={} before=\"{}\" now=\"{}\" act=\"goes on where it was, as with the same "
        "server under a new name; one that is new has nothing of what was committed before: {}\"",
        sink, **before, options.rest.mlflow.url, replay);
  return {};
}

std::string SinkActs::answer(const std::string& line) const {
  const auto name = line.substr(std::string_view("replay-sink ").size());
  if (name != sink) return "error there is no sink " + name + " to replay: " + sink + " is one";
  const auto server = db_.get(Family::meta, server_key);
  if (!server) return "error the store can't be read: " + server.error().message();
  if (!*server) return "error no sink " + name + " has begun yet: there is nothing to replay";
  if (*server == database)
    return "error the sink " + name +
           " has its positions in MLflow's database: with another one it begins anew by "
           "itself";
  Changes changes;
  changes.put(Family::meta, again_key, "1");
  const auto written = db_.write(changes);
  return written ? "ok" : "error the data can't be written: " + written.error().message();
}

Result<void> begin_anew_if_asked(KeyValue& db, Instant now) {
  const auto asked = db.get(Family::meta, again_key);
  if (!asked) return asked.error();
  if (!*asked) return {};
  Changes changes;
  changes.erase(Family::meta, again_key);
  const auto fed = db.get(Family::meta, feeder_position_key);
  if (!fed) return fed.error();
  const auto fed_ms = *fed ? parse_number<std::int64_t>(**fed) : std::nullopt;
  if (fed_ms && Instant(std::chrono::milliseconds(*fed_ms)) > now - FeederConfig().first_look_back)
    changes.erase(Family::meta, feeder_position_key);
  for (const auto stream : {Stream::traces, Stream::assessments}) {
    const auto positions = positions_prefix(sink) + std::string(name_of(stream));
    const auto scanned = db.scan(Family::meta, positions + "/", positions + "0", [&changes](auto key, auto) {
      changes.erase(Family::meta, std::string(key));
      return true;
    });
    if (!scanned) return scanned;
  }
  if (const auto written = db.write(changes); !written) return written;
  spdlog::info("event=sink_replayed sink={} act=\"from the beginning of the log\"", sink);
  return {};
}

}  // namespace assay::cli
