#pragma once
// Whether the MLflow server behind this door has a trace: asked for `--unknown-trace=reject`, of what nobody here
// knows.
#include <optional>
#include <string>

#include "ops/runtime/http_client.hpp"
#include "ops/runtime/metrics.hpp"
#include "storage/records/feedback_record.hpp"

namespace assay {

struct TracesBehindConfig {
  std::string url;                 // http(s)://HOST[:PORT], without a slash at the end
  std::string ca_file = {};        // PEM, in addition to the system's
  std::string authorization = {};  // the header's value; never logged
  std::size_t questions_max = 32;  // at once; over it a question fails
  // Of one request; a client_request_id takes two and more.
  HttpLimits limits = {.connect = std::chrono::seconds(2),
                       .first_byte = std::chrono::seconds(5),
                       .between_reads = std::chrono::seconds(5),
                       .whole = std::chrono::seconds(5)};
};

// Thread-safe.
class TracesBehind {
 public:
  TracesBehind(TracesBehindConfig config, Metrics& metrics);

  // The trace that is named there, of several the latest; none: there is none. An error: it can't be said; the server
  // was away, or its filter can't quote the id.
  Task<Result<std::optional<std::string>>> find(const Target& target);

 private:
  using Found = Result<std::optional<std::string>>;
  Task<Found> find_trace(std::string trace_id);
  Task<Found> find_request(std::string client_request_id);
  Task<Result<HttpResponse>> ask(std::string method, std::string path, std::string body);

  const TracesBehindConfig config_;
  HttpClient http_;
  Counter &asked_total_, &failed_total_;
};

}  // namespace assay
