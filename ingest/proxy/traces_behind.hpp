#pragma once
// Which traces the MLflow server behind this door has: asked for `--unknown-trace=reject`, of what nobody here knows.
#include <map>
#include <string>
#include <vector>

#include "ops/runtime/http_client.hpp"
#include "ops/runtime/metrics.hpp"
#include "storage/records/feedback_record.hpp"

namespace assay {

struct TracesBehindConfig {
  std::string url;                          // http(s)://HOST[:PORT], without a slash at the end
  std::string ca_file = {};                 // PEM, in addition to the system's
  std::string authorization = {};           // the header's value; never logged
  std::size_t questions_max = 32;           // requests at once; over it a question fails
  std::chrono::milliseconds whole{10'000};  // of one question with all its requests
  HttpLimits limits = {.connect = std::chrono::seconds(2),
                       .first_byte = std::chrono::seconds(5),
                       .between_reads = std::chrono::seconds(5),
                       .whole = std::chrono::seconds(5)};
};

// Thread-safe.
class TracesBehind {
 public:
  TracesBehind(TracesBehindConfig config, Metrics& metrics);

  // Of each target whose id names a trace there: id -> trace_id, of several the latest. An error: it can't be said; the
  // server was away or too slow, or its filter can't quote one of the ids (Error::unsupported).
  using Named = std::map<std::string, std::string>;
  Task<Result<Named>> find(const std::vector<Target>& targets);

 private:
  using Time = std::chrono::steady_clock::time_point;
  // Everything that a question needs. Lives in find()'s frame.
  struct Question {
    std::vector<std::string> experiments;
    Time until;
    Named named;
  };
  Task<Result<void>> find_by(std::string_view field, std::vector<std::string> ids, Question& question);
  Task<Result<void>> search(const std::vector<std::string>& experiments, const std::string& filter, Question& question);
  Task<Result<std::vector<std::string>>> experiments(Time until);
  Task<Result<std::string>> ask(const char* path, std::string body, Time until);

  const TracesBehindConfig config_;
  HttpClient http_;
  Counter &asked_total_, &failed_total_;
};

}  // namespace assay
