#include "ingest/mlflow/probe_routes.hpp"

namespace assay {
namespace {

Task<Response> fixed(std::string_view type, std::string_view body) {
  co_return Response{.content_type = type, .body = std::string(body)};
}

constexpr std::string_view server_info =
    R"({"store_type":"SqlStore","workspaces_enabled":false,"trace_archival_enabled":false,)"
    R"("multipart_uploads_enabled":false,"multipart_downloads_enabled":false,"presigned_upload_run_id_supported":false,)"
    R"("presigned_upload_model_id_supported":false,"features_enabled":{"gateway":false}})";

}  // namespace

void add_probe_routes(Router& router) {
  const RouteOptions always{.scope = Scope::open, .admission = {}, .body_bytes_max = 1024};
  router.add(
      http::verb::get, "/version", [](Request&) { return fixed(text_type, mlflow_version); }, always);
  router.add(
      http::verb::get, "/health", [](Request&) { return fixed(text_type, "OK"); }, always);
  add_mlflow(
      router, http::verb::get, "3.0/mlflow/server-info", [](Request&) { return fixed(json_type, server_info); },
      always);
}

}  // namespace assay
