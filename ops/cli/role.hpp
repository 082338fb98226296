#pragma once
// A data directory belongs to one kind of process: what `assay ingest` keeps in it is not what `assay serve` would
// read.
#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ops/cli/problem.hpp"
#include "storage/state/key_value.hpp"

namespace assay::cli {

// In a sentence what stands against reading it as the data of one of `roles`. One that nobody has claimed yet is
// anybody's.
inline std::optional<Problem> problem_with_role(const KeyValue& db, const std::string& directory,
                                                std::span<const std::string_view> roles) {
  const auto found = db.get(Family::meta, "role");
  if (!found) return Problem("the data in " + directory + " can't be read: " + found.error().message());
  if (!*found || std::find(roles.begin(), roles.end(), **found) != roles.end()) return std::nullopt;
  return Problem(directory + " belongs to `assay " + **found + "`, not to `assay " + std::string(roles.front()) + "`",
                 usage);
}

// A front door that has had a view: there is a store in its directory, be it empty. In Family::meta. DO NOT CHANGE.
inline const std::string view_key = "door/view";

// In a sentence what stands against using it as `role`; else it is `role`'s from now on.
inline std::optional<Problem> claim_role(KeyValue& db, const std::string& directory, std::string_view role) {
  if (auto problem = problem_with_role(db, directory, {&role, 1})) return problem;
  Changes changes;
  changes.put(Family::meta, "role", std::string(role));
  if (const auto written = db.write(changes); !written)
    return Problem(directory + " can't be written: " + written.error().message());
  return std::nullopt;
}

}  // namespace assay::cli
