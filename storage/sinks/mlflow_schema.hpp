#pragma once
// The database of an MLflow server: whether it is one that we know, and our own schema in it.
#include "storage/sinks/pg_connection.hpp"

namespace assay::mlflow {

// The alembic revisions whose tables of traces, spans and assessments are those that mlflow_columns.hpp describes.
inline constexpr std::string_view known_revisions[] = {"75868b020152", "dc11669786a5"};  // 3.16, 3.17

// Refuses in words what is no MLflow database, or one of an unknown revision. Makes the schema `assay` where it is not
// there.
struct SchemaProblem {
  std::string words;
  bool final = false;  // not before somebody changes something
};
Result<void, SchemaProblem> check_schema(PgConnection& pg);

}  // namespace assay::mlflow
