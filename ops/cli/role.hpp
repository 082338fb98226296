#pragma once
// A data directory belongs to one kind of process: what `assay ingest` keeps in it is not what `assay serve` would
// read.
#include <optional>
#include <string>

#include "storage/state/key_value.hpp"

namespace assay::cli {

// In a sentence what stands against using it as `role`.
inline std::optional<std::string> claim_role(KeyValue& db, const std::string& directory, const std::string& role) {
  const auto found = db.get(Family::meta, "role");
  if (!found) return "the data in " + directory + " can't be read: " + found.error().message();
  if (*found && **found != role) return directory + " belongs to `assay " + **found + "`, not to `assay " + role + "`";
  if (*found) return std::nullopt;
  Changes changes;
  changes.put(Family::meta, "role", role);
  if (const auto written = db.write(changes); !written)
    return directory + " can't be written: " + written.error().message();
  return std::nullopt;
}

}  // namespace assay::cli
