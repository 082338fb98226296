#pragma once
// An MLflow server's REST API as the sink uses it: each answer judged for what it means to a record.
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "ops/runtime/http_client.hpp"
#include "ops/runtime/task.hpp"
#include "storage/sinks/concurrency_limit.hpp"
#include "storage/sinks/mlflow_experiment.hpp"
#include "storage/sinks/rate_limiter.hpp"

namespace assay {

struct MlflowConfig {
  std::string url;                                       // http://127.0.0.1:5000, without a slash at the end
  std::string authorization = {};                        // the header's value, from the environment; never logged
  std::string experiment = "Default";                    // of traces that name none
  std::string ca_file = {};                              // PEM, in addition to the system's
  unsigned reads_per_second = 0, writes_per_second = 0;  // 0: no limit but the server's own
  HttpLimits limits = {.first_byte = std::chrono::seconds(20), .whole = std::chrono::seconds(30)};
};

struct MlflowAnswer {
  enum class Kind {
    ok,
    not_found,    // the trace or the assessment is not there
    exists,       // a constraint violation: maybe it is there already
    refused,      // final: it will never take it; `message` says why
    not_offered,  // spans by OTLP: it has no such path, or its store takes none
    unavailable,  // down, slow, overloaded or not letting us in: try again later
  } kind = Kind::unavailable;
  // A 500 in MLflow's own words: it is there, and something of this very request may be too much for it.
  bool broke = false;
  std::string message;
  std::string body;
  unsigned status = 0;  // 0: none came
};

using MlflowVersion = std::pair<int, int>;             // {3, 17}; {0, 0}: it does not say
inline constexpr MlflowVersion takes_otlp_from{3, 4};  // spans by OTLP
inline constexpr MlflowVersion keeps_totals_from{3,
                                                 17};  // said of a trace, where its spans come later: seen of this one

// One io_context. Keeps to the rates; where the server says when to come again (Retry-After), everybody waits until
// then, a minute at most.
class MlflowClient {
 public:
  MlflowClient(MlflowConfig config, std::size_t requests_max);

  // How many requests at once do it good.
  std::size_t concurrency() const { return limit_.current(); }

  // `path` from the root, beginning with a slash.
  Task<MlflowAnswer> ask(std::string method, std::string path, std::string body = {});
  // A decimal number that is not said to be a name is an id, as it is; anything else is a name (empty: the configured
  // one), looked up and, where it does not exist, created. Remembered. The id is the answer's body.
  Task<MlflowAnswer> experiment(mlflow::ExperimentRef wanted);
  // Remembered for a minute, and until it does not answer: it may come back as another one.
  Task<MlflowVersion> version();
  // `request`: an ExportTraceServiceRequest of traces in this experiment.
  Task<MlflowAnswer> send_spans(std::string experiment_id, std::string request);

 private:
  Task<MlflowAnswer> send(HttpRequest request, bool reads);
  Task<void> take_turn(bool reads);
  std::optional<std::chrono::milliseconds> told_to_wait(const HttpResponse& response);

  MlflowConfig config_;
  ConcurrencyLimit limit_;
  RateLimiter reads_, writes_;
  std::chrono::steady_clock::time_point not_before_{};
  std::map<std::string, std::string> experiments_;
  MlflowVersion version_;
  std::chrono::steady_clock::time_point version_until_{};
  HttpClient http_;
};

// In the words of an MLflow that keeps no artifacts, to each of them: how to change that.
inline constexpr std::string_view no_artifacts_words = "--serve-artifacts";

// For a path or a query.
std::string percent_encoded(std::string_view text);

}  // namespace assay
