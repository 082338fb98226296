#include "workers/feeder.hpp"

#include <simdjson.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <charconv>
#include <condition_variable>

#include "ops/runtime/log.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/records/request_record.hpp"
#include "storage/sinks/mlflow_json.hpp"
#include "workers/backoff.hpp"

namespace assay {
namespace {

// DO NOT CHANGE: milliseconds since the epoch, in decimal, in Family::meta.
constexpr const char* position_key = "feeder/mlflow";
constexpr std::size_t page_size = 500;  // MLflow's most
constexpr std::size_t experiments_at_once = 100;

Error failed(const MlflowAnswer& answer) {
  return answer.kind == MlflowAnswer::Kind::unavailable ? Error::sink_unavailable : Error::unsupported;
}

std::string text_at(simdjson::dom::element root, std::string_view pointer) {
  std::string_view text;
  return root.at_pointer(pointer).get_string().get(text) ? std::string() : std::string(text);
}

}  // namespace

Feeder::Feeder(FeederConfig config, EventLog& log, KeyValue& local, const Clock& clock, Metrics& metrics)
    : config_(std::move(config)),
      log_(log),
      local_(local),
      clock_(clock),
      fed_total_(metrics.counter("assay_feeder_traces_total", "Traces found in MLflow and said to assay.requests")),
      failures_total_(metrics.counter("assay_feeder_failures_total", "Looks at MLflow that failed")),
      client_(config_.mlflow, 1) {}

Feeder::~Feeder() { stop(); }

void Feeder::start() {
  thread_ = std::jthread([this](std::stop_token stop) {
    Backoff backoff(config_.interval, std::chrono::minutes(1));
    auto whole_at = clock_.now();
    while (!stop.stop_requested()) {
      const bool whole = clock_.now() >= whole_at;
      const auto done = look(whole);
      auto pause = config_.interval;
      if (done) {
        backoff.reset();
        if (whole) whole_at = clock_.now() + config_.whole_every;
      } else if (!stop.stop_requested()) {
        failures_total_.Increment();
        pause = backoff.next();
        spdlog::warn("event=feeder_failed error=\"{}\" again_in_ms={}", done.error().message(), pause.count());
      }
      std::mutex mutex;
      std::unique_lock lock(mutex);
      std::condition_variable_any().wait_for(lock, stop, pause, [] { return false; });
    }
  });
}

void Feeder::stop() {
  if (stopped_.exchange(true)) return;
  thread_.request_stop();
  asio::post(io_, [this] { cancel_.emit(asio::cancellation_type::terminal); });
  if (thread_.joinable()) thread_.join();
}

Result<std::size_t> Feeder::look(bool whole) {
  Result<std::size_t> out = make_error_code(Error::stopped);
  if (stopped_) return out;
  io_.restart();
  asio::co_spawn(io_, look_once(whole),
                 asio::bind_cancellation_slot(cancel_.slot(), [&out](std::exception_ptr e, Result<std::size_t> done) {
                   if (!e) out = std::move(done);
                 }));
  io_.run();
  return out;
}

Task<Result<std::size_t>> Feeder::look_once(bool whole) {
  const auto begun = clock_.now();
  const auto from = since();
  if (!from) co_return from.error();
  const auto ids = co_await experiments();
  if (!ids) co_return ids.error();
  std::size_t said = 0;
  for (std::size_t at = 0; at < ids->size(); at += experiments_at_once) {
    const auto end = std::min(ids->size(), at + experiments_at_once);
    const std::vector<std::string> some(ids->begin() + static_cast<std::ptrdiff_t>(at),
                                        ids->begin() + static_cast<std::ptrdiff_t>(end));
    std::string token;
    for (bool more = true; more;) {
      auto page = co_await search(some, *from, std::move(token));
      if (!page) co_return page.error();
      const auto fresh = co_await say(page->traces);
      if (!fresh) co_return fresh.error();
      said += *fresh;
      token = std::move(page->next);
      more = !token.empty() && !page->traces.empty() && (whole || *fresh > 0);
    }
  }
  if (whole)
    if (const auto kept = came_to(begun); !kept) co_return kept.error();
  co_return said;
}

Task<Result<std::vector<std::string>>> Feeder::experiments() {
  std::vector<std::string> ids;
  std::string token;
  for (bool more = true; more;) {
    std::string body;
    JsonWriter json(body);
    json.begin_object().field("max_results", 1000);
    if (!token.empty()) json.field("page_token", token);
    json.end_object();
    const auto answer = co_await client_.ask("POST", "/api/2.0/mlflow/experiments/search", std::move(body));
    if (answer.kind != MlflowAnswer::Kind::ok) co_return make_error_code(failed(answer));
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    if (parser.parse(answer.body).get(root)) co_return make_error_code(Error::unsupported);
    simdjson::dom::array list;
    if (!root["experiments"].get(list))
      for (const auto experiment : list) ids.push_back(text_at(experiment, "/experiment_id"));
    token = text_at(root, "/next_page_token");
    more = !token.empty();
  }
  co_return ids;
}

// Newest first.
Task<Result<Feeder::Page>> Feeder::search(const std::vector<std::string>& experiments, Instant since,
                                          std::string token) {
  std::string body;
  JsonWriter json(body);
  json.begin_object().key("locations").begin_array();
  for (const auto& id : experiments) {
    json.begin_object().field("type", "MLFLOW_EXPERIMENT").key("mlflow_experiment").begin_object();
    json.field("experiment_id", id).end_object().end_object();
  }
  json.end_array().field("filter", "timestamp_ms >= " + std::to_string(since.time_since_epoch().count()));
  json.field("max_results", page_size).key("order_by").begin_array().value("timestamp_ms DESC").end_array();
  if (!token.empty()) json.field("page_token", token);
  json.end_object();
  const auto answer = co_await client_.ask("POST", "/api/3.0/mlflow/traces/search", std::move(body));
  if (answer.kind != MlflowAnswer::Kind::ok) co_return make_error_code(failed(answer));
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (parser.parse(answer.body).get(root)) co_return make_error_code(Error::unsupported);
  Page page;
  page.next = text_at(root, "/next_page_token");
  simdjson::dom::array list;
  if (!root["traces"].get(list))
    for (const auto trace : list) {
      Found found{.trace_id = text_at(trace, "/trace_id")};
      if (found.trace_id.empty()) continue;
      for (const std::string path : {"/client_request_id", "/trace_metadata/assay.client_request_id"})
        if (auto id = text_at(trace, path); !id.empty()) found.request_ids.push_back(std::move(id));
      page.traces.push_back(std::move(found));
    }
  co_return page;
}

std::string Feeder::key_of(const Found& trace) {
  std::string key = trace.trace_id;
  for (const auto& id : trace.request_ids) key.append("\n").append(id);
  return key;
}

// Those that were not said in this life; a trace that has a name since it was said is said again.
Task<Result<std::size_t>> Feeder::say(const std::vector<Found>& traces) {
  std::vector<Record> records;
  std::vector<const Found*> fresh;
  for (const auto& trace : traces) {
    if (known_.contains(key_of(trace))) continue;
    fresh.push_back(&trace);
    auto its = request_records(trace.trace_id, "", clock_.now());
    for (const auto& id : trace.request_ids) {
      auto more = request_records(trace.trace_id, id, clock_.now());
      for (auto& record : more)
        if (record.key == id) its.push_back(std::move(record));
    }
    for (auto& record : its) records.push_back(std::move(record));
  }
  if (records.empty()) co_return std::size_t(0);
  const auto appended = co_await log_.append_all(std::move(records));
  for (const auto& one : appended)
    if (!one) co_return one.error();
  for (const auto* trace : fresh) remember(key_of(*trace));
  fed_total_.Increment(static_cast<double>(fresh.size()));
  co_return fresh.size();
}

void Feeder::remember(std::string key) {
  if (!known_.insert(key).second) return;
  known_order_.push_back(std::move(key));
  if (known_order_.size() <= config_.known_max) return;
  known_.erase(known_order_.front());
  known_order_.pop_front();
}

Result<Instant> Feeder::since() const {
  const auto value = local_.get(Family::meta, position_key);
  if (!value) return value.error();
  if (!*value) return clock_.now() - config_.first_look_back;
  std::int64_t ms = 0;
  const auto& text = **value;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), ms);
  if (ec != std::errc() || end != text.data() + text.size()) return make_error_code(Error::corrupt);
  return Instant(std::chrono::milliseconds(ms)) - config_.overlap;
}

Result<void> Feeder::came_to(Instant at) {
  Changes changes;
  changes.put(Family::meta, position_key, std::to_string(at.time_since_epoch().count()));
  return local_.write(changes);
}

}  // namespace assay
