#pragma once
// The part of `assay verify` that is the same wherever the log is: the recount of an MLflow, and what is said of both.
#include <map>
#include <optional>
#include <string>

#include "storage/sinks/mlflow_recount.hpp"
#include "storage/view/verify.hpp"

namespace assay::cli {

// `positions`: of the sink. An error is a sentence.
Result<MlflowRecount, std::string> recount_mlflow(EventSources& log, const MlflowConfig& mlflow,
                                                  std::map<StreamPartition, Offset> positions);

// Prints both; `of`: what JSON calls the first one, empty where it stands alone. The exit code.
int tell(const Verification& found, const std::optional<MlflowRecount>& mlflow, const std::string& of,
         const std::string& output);

}  // namespace assay::cli
