#include "storage/store/report.hpp"

#include <iostream>

#include "ops/cli/local_store.hpp"
#include "ops/cli/options.hpp"

namespace assay::cli {
namespace {

CLI::Validator number_of_hours() {
  auto check = [](std::string& text) {
    double hours = 0;
    if (CLI::detail::lexical_cast(text, hours) && hours >= 0.001 && hours <= 1e6) return std::string();
    return "\"" + text + "\" is not a number of hours such as 24 or 0.5";
  };
  return {check, "HOURS"};
}

}  // namespace

int report(std::vector<std::string> args) {
  CLI::App app("The figures of an experiment's feedback in a time window, from the store", "assay report");
  std::string data = "assay-data", experiment = "0", output = "text";
  double hours = 24;
  app.add_option("--data", data, "The data directory of `assay serve`, which may be running")->capture_default_str();
  app.add_option("--experiment", experiment, "The experiment, by id or name")->capture_default_str();
  app.add_option("--hours", hours, "The last so many hours")->check(number_of_hours())->capture_default_str();
  app.add_option("--output", output, "text or json")->check(CLI::IsMember({"text", "json"}))->capture_default_str();
  const auto settle = [&]() -> std::optional<std::string> {
    if (experiment.empty()) return "--experiment: it is empty";
    return std::nullopt;
  };
  if (const auto parsed = parse(app, std::move(args), settle); !parsed.run) return parsed.code;

  auto local = LocalStore::open(data, {"serve", "ingest"});
  if (!local) return complain(local.error());
  const auto kept = (*local)->keeps_store();
  if (!kept) return complain(kept.error());
  if (!*kept) return complain(data + ": this door keeps no store: one with --view does");
  const auto found = experiment_id_of((*local)->db(), experiment);
  if (!found) return complain("the store can't be read: " + found.error().message());
  if (!*found) return complain("there is no experiment of the id or name \"" + experiment + "\"");
  const auto now = SystemClock().now();
  const auto window = std::chrono::milliseconds(static_cast<std::int64_t>(hours * 3'600'000));
  const auto made = make_report((*local)->db(), **found, now - window, now);
  if (!made) return complain("the store can't be read: " + made.error().message());
  std::cout << (output == "json" ? to_json(*made) + "\n" : to_text(*made));
  return ok;
}

}  // namespace assay::cli
