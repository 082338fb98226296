#include "ingest/http/not_here.hpp"

namespace assay {
namespace {

struct Missing {
  std::string_view path;  // what it begins with, behind the version
  std::string_view what;
};
constexpr Missing missing[] = {
    {"mlflow/runs", "runs"},
    {"mlflow/metrics", "runs"},
    {"mlflow/traces/link-to-run", "runs"},
    {"mlflow/traces/metrics", "metrics of traces"},
    {"mlflow/traces/calculate-filter-correlation", "correlations of filters"},
    {"mlflow/traces/link-prompts", "prompts"},
    {"mlflow/prompt-optimization", "prompts"},
    {"mlflow/registered-models", "models and prompts"},
    {"mlflow/model-versions", "models and prompts"},
    {"mlflow/logged-models", "models"},
    {"mlflow/scorers", "scorers"},
    {"mlflow/issues", "issues"},
    {"mlflow/label-schemas", "label schemas"},
    {"mlflow/review-queues", "review queues"},
    {"mlflow/gateway", "gateways"},
    {"mlflow/webhooks", "webhooks"},
    {"mlflow/workspaces", "workspaces"},
    {"mlflow/artifacts", "artifacts"},
    {"mlflow/get-trace-artifact", "artifacts"},
    {"mlflow-artifacts", "artifacts"},
};

}  // namespace

bool under(std::string_view path, std::string_view prefix) {
  return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

std::string_view not_here(std::string_view path) {
  for (const std::string_view api : {"/api/", "/ajax-api/"}) {
    if (!path.starts_with(api)) continue;
    path.remove_prefix(api.size());
    path.remove_prefix(path.substr(0, path.find('/')).size());
    if (path.starts_with('/')) path.remove_prefix(1);
    for (const auto& [at, what] : missing)
      if (under(path, at)) return what;
  }
  return {};
}

}  // namespace assay
