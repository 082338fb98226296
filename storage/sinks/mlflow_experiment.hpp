#pragma once
#include <compare>
#include <string>

namespace assay::mlflow {

// An experiment as a trace says it is in it.
struct ExperimentRef {
  std::string text;      // empty: the default one
  bool is_name = false;  // of its own word (experiment_name_key); otherwise an id, where it can be one
  auto operator<=>(const ExperimentRef&) const = default;
};

}  // namespace assay::mlflow
