#pragma once
// What the routes of MLflow's API share: the door's parts, requests read as MLflow's server reads them, its errors.
#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "ingest/feedback/feedback_metrics.hpp"
#include "ingest/feedback/recent_traces.hpp"
#include "ingest/feedback/unknown_traces.hpp"
#include "ingest/http/query.hpp"
#include "ingest/http/router.hpp"
#include "ingest/mlflow/async_mutex.hpp"
#include "ingest/mlflow/message_fields.hpp"
#include "ops/runtime/side_threads.hpp"
#include "storage/log/event_log.hpp"
#include "storage/store/view.hpp"

namespace assay {

struct MlflowDoorConfig {
  bool server_behind = false;   // an MLflow server stands behind this door: what is not known here is asked of it
  bool own_experiments = true;  // false: one that is not known here may be of an MLflow that a sink writes to
  std::chrono::milliseconds view_wait{2'000};     // for a view to have applied what was acknowledged
  std::chrono::milliseconds spans_wait{3'000};    // for spans that are on their way when a whole trace is asked for
  std::size_t assessment_bytes_max = 512u << 10;  // body of one
  std::size_t trace_bytes_max = 4u << 20;         // body of StartTraceV3, of a dataset's records
  std::size_t spans_bytes_max = 16u << 20;        // of an export or an upload of spans
  std::size_t search_examined_max = 100'000;      // traces that one search looks at
  std::size_t batch_bytes_max = 64u << 20;        // of several whole traces in one answer
};

// One a front door; outlives the router.
struct MlflowDoor {
  MlflowDoorConfig config;
  EventLog& log;
  View* view;  // null: a Kafka front door without one
  RecentTraces& recent;
  const Clock& clock;
  AsyncMutex catalog;  // changes of experiments and datasets read, decide and write one after the other
  FeedbackMetrics metrics;
  UnknownTraces* unknown = nullptr;  // who answers as MLflow does of a trace that is not there; null: it is waited for
  // For what may be of megabytes: whole traces, exports of spans. Half of the processors, and as many as wait for a
  // thread without being late for it.
  SideThreads aside{"assay-aside", std::max(1u, std::thread::hardware_concurrency() / 2), 256};
};

// An error in MLflow's words: its code decides the status.
struct MlflowError {
  MlflowError() = default;
  MlflowError(std::string code, std::string message) : code(std::move(code)), message(std::move(message)) {}
  std::string code, message;
};
inline MlflowError invalid_parameter(std::string message) { return {"INVALID_PARAMETER_VALUE", std::move(message)}; }
inline MlflowError does_not_exist(std::string message) { return {"RESOURCE_DOES_NOT_EXIST", std::move(message)}; }
Response error_response(const MlflowError& error);

// Registers under /api/ and /ajax-api/, with a look at who asks: clients before 3.0 speak another protocol.
// `path`: "3.0/mlflow/traces".
void add_mlflow(Router& router, http::verb method, std::string_view path, const Handler& handler, RouteOptions options);

// A body that is not said to be JSON: a foreign web page can send it without asking first.
std::optional<MlflowError> problem_with_content_type(const Request& request);
// The fields of the body under their snake-case names; what is no JSON counts as empty.
Result<boost::json::object, MlflowError> read_body(const Request& request);
// A body's field that must be there and not empty.
Result<std::string, MlflowError> required_text(const boost::json::object& body, std::string_view name);
std::string text_in(const boost::json::object& body, std::string_view name);
// None where it is not there, or no whole number of 64 bits.
std::optional<std::int64_t> integer_in(const boost::json::object& body, std::string_view name);
// Of the fields that are there, the first that is not what MLflow's server takes, in its words.
enum class FieldType { text, whole, list };
struct Field {
  std::string_view name;
  FieldType type;
};
std::optional<MlflowError> problem_with_types(const boost::json::object& body, std::initializer_list<Field> fields);
// A list of strings; a refusal where it is something else. Empty where it is not there.
Result<std::vector<std::string>, MlflowError> texts_in(const boost::json::object& body, std::string_view name);
MlflowError missing(std::string_view name);
MlflowError wrong_value(std::string_view name, const boost::json::value& value, std::string_view python_type);
// What Python calls the type of a value.
std::string_view python_type(const boost::json::value& value);

// 200 with a JSON body; `durable`: with the header that says where a write stands.
Response answer(std::string body);
Response durable(const MlflowDoor& door, std::string body);

// Everything that was acknowledged before can be read; otherwise the refusal: 501 without a view.
Task<std::optional<Response>> ready_to_read(MlflowDoor& door, const Request& request);
// A change of experiments or datasets: no other one runs until `turn` dies, and all that the earlier ones have made can
// be read. Otherwise the refusal.
struct CatalogTurn {
  std::optional<AsyncMutex::Turn> turn;
  std::optional<Response> refused;
};
Task<CatalogTurn> begin_change(MlflowDoor& door, const Request& request);
// All or none; the refusal where it was not written.
Task<std::optional<Response>> write_all(MlflowDoor& door, const Request& request, std::vector<Record> records);
// What becomes of a failed read.
Response read_failed(const Request& request, error_code ec);

}  // namespace assay
