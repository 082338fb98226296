#pragma once
// PATCH, DELETE /api/{2,3}.0/mlflow/traces/{trace_id}/tags
#include "ingest/mlflow/door.hpp"

namespace assay {

// The tags of traces that are not known here are the MLflow server's, where one stands behind this door.
void add_tag_routes(Router& router, MlflowDoor& door);

// Whether `key` may name a tag: MLflow's rules of names.
std::optional<MlflowError> problem_with_tag_name(std::string_view key, std::size_t length_max = 250);

// So much of a trace's tag is kept; what is shown of it is less (storage/store/trace_row.hpp).
inline constexpr std::size_t tag_characters_max = 8000;

}  // namespace assay
