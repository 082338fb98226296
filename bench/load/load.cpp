#include "bench/load/load.hpp"

#include <fmt/format.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <optional>
#include <thread>
#include <unordered_map>
#include <unordered_set>

#include "bench/load/connection.hpp"
#include "bench/load/share.hpp"
#include "ops/runtime/clock.hpp"
#include "ops/runtime/ids.hpp"
#include "ops/runtime/thread.hpp"
#include "storage/records/json_writer.hpp"

namespace assay::load {
namespace {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

std::string request_text(std::string_view method, std::string_view target, std::string_view body,
                         std::string_view headers = {}) {
  if (body.empty()) return fmt::format("{} {} HTTP/1.1\r\nHost: assay\r\n{}\r\n", method, target, headers);
  return fmt::format(
      "{} {} HTTP/1.1\r\nHost: assay\r\nContent-Type: application/json\r\n{}Content-Length: {}\r\n\r\n{}", method,
      target, headers, body.size(), body);
}

// The value of "assessment_id":"…" in an answer.
std::string_view assessment_id_in(std::string_view body) {
  constexpr std::string_view name = R"("assessment_id":")";
  const auto at = body.find(name);
  if (at == body.npos) return {};
  const auto value = body.substr(at + name.size());
  return value.substr(0, value.find('"'));
}

class Run {
 public:
  explicit Run(const LoadConfig& config)
      : config_(config), io_(1), server_(asio::ip::make_address(config.host), config.port) {}

  Result<LoadResult, std::string> run() {
    if (auto problem = refused()) return *problem;
    if (config_.make_traces) {
      phase([this](int i) { return send_traces(static_cast<std::uint64_t>(i), false); });
      if (!problem_.empty()) return problem_;
    }
    start_ = Steady::now() + (config_.rate > 0 ? 10ms : 0ms);  // so that no connection is late at the first one
    phase([this](int i) { return send_feedback(static_cast<std::uint64_t>(i)); });
    result_.seconds = std::chrono::duration<double>(Steady::now() - start_).count();
    if (config_.make_traces && config_.early_share > 0) {
      phase([this](int i) { return send_traces(static_cast<std::uint64_t>(i), true); });
      if (!problem_.empty()) return problem_;
    }
    if (config_.check) check();
    if (!problem_.empty()) return problem_;
    return result_;
  }

 private:
  // Nobody listens there, now at the start: later on a server may be away for a moment.
  std::optional<std::string> refused() {
    asio::ip::tcp::socket socket(io_);
    error_code ec;
    socket.connect(server_, ec);
    if (ec == asio::error::connection_refused) return "the server can't be reached: " + ec.message();
    return {};
  }

  // Not one thing more than `end`: what still runs then is not gone on with.
  template <class Make>
  void phase(Make make, Steady::time_point end = Steady::time_point::max()) {
    for (int i = 0; i < config_.connections; ++i)
      asio::co_spawn(io_, make(i), [this](std::exception_ptr e) {
        if (!e) return;
        try {
          std::rethrow_exception(e);
        } catch (const std::exception& x) {
          problem_ = x.what();
        }
      });
    io_.restart();
    if (end == Steady::time_point::max())
      io_.run();
    else
      io_.run_until(end);
  }

  std::string trace_id(std::uint64_t n) const { return load::trace_id(config_.run, n); }
  std::string request_id(std::uint64_t n) const { return load::request_id(config_.run, n); }

  // `early`: those whose feedback comes before them, or all others.
  Task<void> send_traces(std::uint64_t first, bool early) {
    Connection connection(io_.get_executor(), server_);
    const auto step = static_cast<std::uint64_t>(config_.connections);
    for (auto n = first; n < config_.traces && problem_.empty(); n += step) {
      if (is_early(n, config_.early_share) != early) continue;
      const auto now = format_time(SystemClock().now());
      const auto body = fmt::format(
          R"({{"trace":{{"trace_info":{{"trace_id":"{}","client_request_id":"{}","trace_location":{{"type":"MLFLOW_EXPERIMENT","mlflow_experiment":{{"experiment_id":"0"}}}},"request_time":"{}","execution_duration":"0.1s","state":"OK","tags":{{"mlflow.traceName":"load"}}}}}}}})",
          trace_id(n), request_id(n), now);
      const auto text = request_text("POST", "/api/3.0/mlflow/traces", body);
      for (int tries = 0;; ++tries) {
        const auto answer = co_await connection.ask(text);
        if (answer && answer->status == 200) break;
        const bool later = !answer || answer->status == 503;
        if (!later || tries >= 100) {
          problem_ = answer ? fmt::format("a trace was answered {}: {}", answer->status, answer->body)
                            : "the server can't be reached: " + answer.error().message();
          co_return;
        }
        Timer pause(io_.get_executor(), 100ms);
        co_await pause.async_wait(as_result);
      }
    }
  }

  std::string feedback_text(std::uint64_t n) const {
    // Times a prime: feedbacks that come one after the other are about traces far apart, as users' are.
    const auto of = n * 2'654'435'761 % config_.traces;
    if (config_.search) {
      const auto body = fmt::format(
          R"({{"locations":[{{"type":"MLFLOW_EXPERIMENT","mlflow_experiment":{{"experiment_id":"0"}}}}],"filter":"attributes.client_request_id = '{}'","max_results":1}})",
          request_id(n * 7919 % config_.traces));
      return request_text("POST", "/api/3.0/mlflow/traces/search", body);
    }
    if (config_.mlflow) {
      const auto id = trace_id(of);
      const auto now = format_time(SystemClock().now());
      const auto body = fmt::format(
          R"({{"assessment":{{"assessment_name":"user_feedback","trace_id":"{}","source":{{"source_type":"HUMAN","source_id":"u-{}"}},"create_time":"{}","last_update_time":"{}","feedback":{{"value":{}}},"rationale":"answer {} of the load generator","valid":true}}}})",
          id, n % 1000, now, now, n % 3 != 0, n);
      return request_text("POST", "/api/3.0/mlflow/traces/" + id + "/assessments", body);
    }
    const auto target =
        config_.by_trace_id
            ? "/feedback?trace_id=" + trace_id(of) + "&user_id=u-" + std::to_string(n % 1000)
            : "/feedback?client_request_id=" + request_id(of) + "&user_id=u-" + std::to_string(n % 1000);
    const auto body = fmt::format(R"({{"is_correct":{},"comment":"answer {} of the load generator"}})", n % 3 != 0, n);
    const auto key =
        config_.keyed || config_.repeat_share > 0 ? fmt::format("Idempotency-Key: {}-{}\r\n", config_.run, n) : "";
    return request_text("POST", target, body, key);
  }

  Task<void> send_feedback(std::uint64_t first) {
    Connection connection(io_.get_executor(), server_);
    Timer timer(io_.get_executor());
    const auto step = static_cast<std::uint64_t>(config_.connections);
    const auto end = start_ + config_.duration;
    for (auto n = first; config_.requests_max == 0 || n < config_.requests_max; n += step) {
      const auto text = feedback_text(n);
      auto intended = Steady::now();
      if (config_.rate > 0) {
        intended = start_ + std::chrono::duration_cast<Steady::duration>(
                                std::chrono::duration<double>(static_cast<double>(n) / config_.rate));
        if (intended >= end) break;
        if (intended > Steady::now()) {
          timer.expires_at(intended);
          co_await timer.async_wait(as_result);
        } else {
          ++result_.late;
        }
      } else if (intended >= end) {
        break;
      }
      co_await send_one(connection, text, intended);
      if (is_repeated(n, config_.repeat_share)) co_await send_one(connection, text, Steady::now());
    }
  }

  Task<void> send_one(Connection& connection, const std::string& text, Steady::time_point intended) {
    ++result_.sent;
    const auto answer = co_await connection.ask(text);
    if (!answer) {
      ++result_.connection_errors;
      Timer pause(io_.get_executor(), 10ms);
      co_await pause.async_wait(as_result);
      co_return;
    }
    result_.latency.record(static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(Steady::now() - intended).count()));
    ++result_.statuses[answer->status];
    if (answer->status / 100 != 2) co_return;
    ++result_.accepted;
    if (config_.check)
      if (const auto id = assessment_id_in(answer->body); !id.empty()) accepted_.emplace(id);
  }

  // What is counted of an id: as of the last time that it was asked for.
  using State = std::uint64_t LoadResult::*;
  struct Asked {
    std::string id;
    State last;
  };
  static State state_in(std::string_view receipt) {
    const auto is = [&receipt](std::string_view state) { return receipt.find(state) != receipt.npos; };
    return is(R"("state":"committed")") ? &LoadResult::committed
           : is(R"("state":"parked")")  ? &LoadResult::parked
           : is(R"("state":"dead")")    ? &LoadResult::dead
                                        : &LoadResult::pending;
  }

  // Asks for the receipt of every accepted id until each has come to its end or the time is up; of the others counts
  // what was last known of them.
  void check() {
    for (const auto& id : accepted_) unsettled_.push_back({id, &LoadResult::pending});
    result_.checked = unsettled_.size();
    const auto end = Steady::now() + config_.check_for;
    for (;;) {
      next_ = 0;
      phase([this](int) { return ask_receipts(); }, end);
      std::erase_if(unsettled_, [](const Asked& asked) {
        return asked.last == &LoadResult::committed || asked.last == &LoadResult::dead;
      });
      if (unsettled_.empty() || !problem_.empty() || Steady::now() >= end) break;
      std::this_thread::sleep_for(200ms);
    }
    for (const auto& asked : unsettled_) ++(result_.*asked.last);
  }

  Task<void> ask_receipts() {
    Connection connection(io_.get_executor(), server_);
    while (next_ < unsettled_.size() && problem_.empty()) {
      auto& asked = unsettled_[next_++];
      const auto answer = co_await connection.ask(request_text("GET", "/feedback/" + asked.id, {}));
      if (answer && answer->status == 501) {
        problem_ = "there are no receipts to check by: " + std::string(answer->body);
        co_return;
      }
      asked.last = answer && answer->status == 200 ? state_in(answer->body) : &LoadResult::missing;
      if (asked.last == &LoadResult::committed || asked.last == &LoadResult::dead) ++(result_.*asked.last);
    }
  }

  const LoadConfig config_;
  IoContext io_;
  asio::ip::tcp::endpoint server_;
  Steady::time_point start_;
  LoadResult result_;
  std::string problem_;
  std::unordered_set<std::string> accepted_;
  std::vector<Asked> unsettled_;
  std::size_t next_ = 0;
};

}  // namespace

std::string trace_id(std::string_view run, std::uint64_t n) {
  return derived_id(trace_prefix, {run, std::to_string(n)});
}
std::string request_id(std::string_view run, std::uint64_t n) { return fmt::format("req-{}-{}", run, n); }

Result<LoadResult, std::string> run_load(const LoadConfig& config) {
  run_as_batch();
  return Run(config).run();
}

std::string to_text(const LoadConfig& config, const LoadResult& r) {
  std::string out = fmt::format(
      "{} connections, {}, {:.1f} s\n", config.connections,
      config.rate > 0 ? fmt::format("{:.0f} requests/s intended (open loop)", config.rate) : "closed loop", r.seconds);
  out += fmt::format("sent      {}\naccepted  {} ({:.0f}/s)\n", r.sent, r.accepted,
                     static_cast<double>(r.accepted) / r.seconds);
  for (const auto& [status, count] : r.statuses) out += fmt::format("  {}     {}\n", status, count);
  if (r.connection_errors) out += fmt::format("connection errors {}\n", r.connection_errors);
  out += fmt::format("latency ms  p50 {:.2f}  p90 {:.2f}  p99 {:.2f}  p99.9 {:.2f}  max {:.2f}\n",
                     static_cast<double>(r.latency.quantile(0.5)) / 1e3,
                     static_cast<double>(r.latency.quantile(0.9)) / 1e3,
                     static_cast<double>(r.latency.quantile(0.99)) / 1e3,
                     static_cast<double>(r.latency.quantile(0.999)) / 1e3, static_cast<double>(r.latency.max()) / 1e3);
  if (config.check)
    out += fmt::format("check: {} ids, committed {}, parked {}, dead {}, pending {}, missing {}\n", r.checked,
                       r.committed, r.parked, r.dead, r.pending, r.missing);
  return out;
}

std::string to_json(const LoadConfig& config, const LoadResult& r) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("connections", config.connections).field("rate", config.rate).field("seconds", r.seconds);
  json.field("sent", r.sent)
      .field("accepted", r.accepted)
      .field("late", r.late)
      .field("connection_errors", r.connection_errors);
  json.key("statuses").begin_object();
  for (const auto& [status, count] : r.statuses) json.field(std::to_string(status), count);
  json.end_object().key("latency_us").begin_object();
  json.field("p50", r.latency.quantile(0.5))
      .field("p90", r.latency.quantile(0.9))
      .field("p99", r.latency.quantile(0.99));
  json.field("p999", r.latency.quantile(0.999)).field("max", r.latency.max()).end_object();
  if (config.check) {
    json.key("check").begin_object().field("ids", r.checked).field("committed", r.committed).field("parked", r.parked);
    json.field("dead", r.dead).field("pending", r.pending).field("missing", r.missing).end_object();
  }
  json.end_object();
  return out;
}

}  // namespace assay::load
