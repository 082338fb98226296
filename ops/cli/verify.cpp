#include "storage/store/verify.hpp"

#include <iostream>

#include "ops/cli/local_store.hpp"
#include "ops/cli/options.hpp"
#include "storage/state/partition_state.hpp"

namespace assay::cli {

int verify(std::vector<std::string> args) {
  CLI::App app("Recounts every record of the log against the sinks and says what is unaccounted for", "assay verify");
  std::string data = "assay-data", output = "text";
  app.add_option("--data", data, "The data directory of `assay serve`, which may be running")->capture_default_str();
  app.add_option("--output", output, "text or json")->check(CLI::IsMember({"text", "json"}))->capture_default_str();
  if (const auto parsed = parse(app, std::move(args)); !parsed.run) return parsed.code;

  auto local = LocalStore::open(data);
  if (!local) return complain(local.error());
  auto& db = (*local)->db();
  const auto resolved = [&db](Partition partition) -> Result<Offset> {
    const auto meta = load_meta(db, partition);
    if (!meta) return meta.error();
    return meta->feedback;
  };
  const auto found = assay::verify({.log = (*local)->log(), .kv = db, .resolved = resolved});
  if (!found) return complain("the data can't be read: " + found.error().message());
  std::cout << (output == "json" ? to_json(*found) + "\n" : to_text(*found));
  return found->unaccounted() == 0 ? ok : failure;
}

}  // namespace assay::cli
