#pragma once
// MLflow's door in process, over a log in memory: what it writes is in the store at once.
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include "ingest/mlflow/mlflow_routes.hpp"
#include "ingest/mlflow/trace_routes.hpp"
#include "ingest/otlp/otlp_route.hpp"
#include "ops/runtime/run_task.hpp"
#include "storage/log/memory_log.hpp"
#include "storage/log/read_all.hpp"
#include "storage/sinks/store_sink.hpp"
#include "storage/state/memory_key_value.hpp"
#include "storage/store/store.hpp"
#include "storage/view/store_view.hpp"
#include "tests/support/hand_clock.hpp"
#include "tests/unit/storage/store_records.hpp"

namespace assay {

using namespace testing_records;
using namespace std::chrono_literals;

class MlflowDoorTest : public testing::Test {
 protected:
  MlflowDoorTest() {
    add_mlflow_routes(router_, door_);
    add_otlp_route(router_, door_);
  }
  unsigned post(std::string path, std::string body, std::string experiment = {}) {
    return send(http::verb::post, std::move(path), std::move(body), std::move(experiment));
  }
  unsigned send(http::verb method, std::string path, std::string body, std::string experiment = {},
                std::string query = {}) {
    const HeaderField headers[] = {{"Content-Type", "application/json"}, {"x-mlflow-experiment-id", experiment}};
    const auto size = body.size();
    body.resize(size + 64);
    const auto found = router_.find(method, path);
    Request request{.method = method, .path = path, .query = query};
    for (std::size_t i = 0; i < found.params.size(); ++i) request.params[i] = found.params[i];
    request.body = std::string_view(body).substr(0, size);
    request.headers = headers;
    IoContext context(1);
    auto answer = run_task(context, std::get<Handler>(found.route->handler)(request));
    said_ = answer.body;
    apply();
    return answer.status;
  }
  // What was logged is in the view.
  void apply() {
    for (const auto stream : {Stream::traces, Stream::assessments, Stream::catalog})
      EXPECT_TRUE(read_all(log_, stream, [&](std::span<const LogRecord> records) { return sink_.apply(records); }));
  }
  // As the worker does with what was said last.
  void resolve_last() {
    std::optional<FeedbackRecord> last;
    EXPECT_TRUE(read_all(log_, Stream::feedback, [&](std::span<const LogRecord> records) {
      last = *parse_feedback_record(records.back().value);
      return Result<void>();
    }));
    ASSERT_TRUE(last);
    log_.put(forward(last->items.front(), last->op, last->target, last->accepted_at, last->target.id));
    apply();
  }
  std::string make(const std::string& name) {
    EXPECT_EQ(post("/api/2.0/mlflow/experiments/create", R"({"name":")" + name + "\"}"), 200u);
    return std::string(boost::json::parse(said_).at("experiment_id").as_string());
  }
  unsigned start(const std::string& trace_id, const std::string& experiment) {
    return post("/api/3.0/mlflow/traces",
                R"({"trace":{"trace_info":{"trace_id":")" + trace_id + R"(","state":"OK","request_time":")" +
                    format_time(at(1)) + R"(","trace_metadata":{"assay.experiment":"another's"},"trace_location":{)" +
                    R"("type":"MLFLOW_EXPERIMENT","mlflow_experiment":{"experiment_id":")" + experiment + "\"}}}}}");
  }
  unsigned spans(const std::string& hex, const std::string& experiment) {
    return post("/v1/traces",
                R"({"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":")" + hex +
                    R"(","spanId":"1011121314151617","name":"root","startTimeUnixNano":"1000000000",)" +
                    R"("endTimeUnixNano":"3000000000"}]}]}]})",
                experiment);
  }
  std::string name_of(const std::string& trace_id) {
    const auto row = Store(kv_).trace(trace_id);
    if (!row || !*row) return "no trace";
    return (*row)->text_at("trace_metadata.assay.experiment").value_or("none");
  }

  MemoryKeyValue kv_;
  HandClock clock_{t0};
  StoreSink sink_{kv_, clock_};
  MemoryLog log_;
  StoreView view_{kv_, log_, [this](std::chrono::milliseconds) -> Task<Result<void>> {
                    apply();
                    co_return Result<void>();
                  }};
  RecentTraces recent_;
  Metrics metrics_;
  MlflowDoor door_{{}, log_, &view_, recent_, clock_, {}, FeedbackMetrics(metrics_)};
  Router router_;
  std::string said_;
};

}  // namespace assay
