#include "storage/store/report.hpp"

#include <iostream>

#include "ops/cli/local_store.hpp"
#include "ops/cli/options.hpp"
#include "storage/store/catalog.hpp"

namespace assay::cli {
namespace {

// `assay serve` always does; a front door with a view has kept a position of it since the first record.
Result<bool, std::string> keeps_store(const KeyValue& db) {
  const auto role = db.get(Family::meta, "role");
  if (!role) return "the store can't be read: " + role.error().message();
  if (*role != "ingest") return true;
  bool found = false;
  const auto scanned = db.scan(Family::meta, "sink/store/", "sink/store0", [&found](auto, auto) {
    found = true;
    return false;
  });
  if (!scanned) return "the store can't be read: " + scanned.error().message();
  return found;
}

}  // namespace

int report(std::vector<std::string> args) {
  CLI::App app("The figures of an experiment's feedback in a time window, from the store", "assay report");
  std::string data = "assay-data", experiment = "0", output = "text";
  double hours = 24;
  app.add_option("--data", data, "The data directory of `assay serve`, which may be running")->capture_default_str();
  app.add_option("--experiment", experiment, "The experiment, by id or name")->capture_default_str();
  app.add_option("--hours", hours, "The last so many hours")->check(CLI::Range(0.001, 1e6))->capture_default_str();
  app.add_option("--output", output, "text or json")->check(CLI::IsMember({"text", "json"}))->capture_default_str();
  if (const auto parsed = parse(app, std::move(args)); !parsed.run) return parsed.code;

  auto local = LocalStore::open(data, {"serve", "ingest"});
  if (!local) return complain(local.error());
  const auto kept = keeps_store((*local)->db());
  if (!kept) return complain(kept.error());
  if (!*kept) return complain(data + ": this door keeps no store: one with --view does");
  const Catalog catalog((*local)->db());
  const auto named = catalog.experiment_named(experiment), numbered = catalog.experiment(experiment);
  if (!named || !numbered) return complain("the store can't be read: " + (named ? numbered : named).error().message());
  if (*named) experiment = (*named)->experiment_id;
  const auto now = SystemClock().now();
  const auto window = std::chrono::milliseconds(static_cast<std::int64_t>(hours * 3'600'000));
  // A trace of this very millisecond belongs to the window.
  const auto made = make_report(Store((*local)->db()), experiment, now - window, now + std::chrono::milliseconds(1));
  if (!made) return complain("the store can't be read: " + made.error().message());
  if (made->total_traces == 0 && !*named && !*numbered && experiment != "0")
    return complain("there is no experiment \"" + experiment + "\"");
  std::cout << (output == "json" ? to_json(*made) + "\n" : to_text(*made));
  return ok;
}

}  // namespace assay::cli
