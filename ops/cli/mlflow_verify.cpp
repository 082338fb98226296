#include "ops/cli/mlflow_verify.hpp"

#include <iostream>

#include "ops/cli/options.hpp"
#include "storage/log/read_all.hpp"
#include "storage/records/dead_letter_record.hpp"

namespace assay::cli {
namespace {

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

Result<MlflowRecount, std::string> recount_mlflow(EventSources& log, const MlflowConfig& mlflow,
                                                  std::map<StreamPartition, Offset> positions) {
  auto dead = given_up(log, "mlflow");
  if (!dead) return "the dead letters can't be read: " + dead.error().message();
  MlflowRecountInput input{.log = log, .mlflow = mlflow};
  input.positions = std::move(positions);
  input.dead = std::move(*dead);
  return recount(input);
}

int tell(const Verification& found, const std::optional<MlflowRecount>& mlflow, const std::string& of,
         const std::string& output) {
  if (output != "json") {
    std::cout << to_text(found) << (mlflow ? to_text(*mlflow) : "");
  } else if (of.empty()) {
    std::cout << to_json(found) << "\n";
  } else {
    std::cout << "{\"" << of << "\":" << to_json(found);
    if (mlflow) std::cout << R"(,"mlflow":)" << to_json(*mlflow);
    std::cout << "}\n";
  }
  return found.unaccounted() == 0 && (!mlflow || mlflow->unaccounted() == 0) ? ok : failure;
}

}  // namespace assay::cli
