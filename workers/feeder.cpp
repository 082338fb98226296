#include "workers/feeder.hpp"

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <map>

#include "ops/runtime/log.hpp"
#include "ops/runtime/log_value.hpp"
#include "ops/runtime/parse_number.hpp"
#include "ops/runtime/thread.hpp"
#include "storage/records/request_record.hpp"
#include "storage/sinks/mlflow_search.hpp"
#include "storage/state/parked_state.hpp"
#include "storage/state/partition_state.hpp"
#include "workers/backoff.hpp"

namespace assay {
namespace {

Error failed(const MlflowAnswer& answer) {
  return answer.kind == MlflowAnswer::Kind::unavailable ? Error::sink_unavailable : Error::unsupported;
}

std::string began_since(Instant at) { return "timestamp_ms >= " + std::to_string(at.time_since_epoch().count()); }

// As many experiments as one question may name.
std::vector<std::vector<std::string>> at_once(const std::vector<std::string>& ids) {
  std::vector<std::vector<std::string>> out;
  for (const auto& id : ids) {
    if (out.empty() || out.back().size() == mlflow::experiments_at_once) out.emplace_back();
    out.back().push_back(id);
  }
  return out;
}

Record request_record(const std::string& id, const std::string& trace_id, Instant now) {
  return {.stream = Stream::requests, .key = id, .value = trace_id, .accepted_at = now};
}

// MLflow takes names that our doors do not, and an application may name a trace by another one's id: the resolver would
// have a dead letter for each.
bool may_be_told(const std::string& id, const std::string& trace_id) {
  return !problem_with_request({.stream = Stream::requests, .partition = 0, .offset = 0, .key = id, .value = trace_id});
}

}  // namespace

Feeder::Feeder(FeederConfig config, EventLog& log, KeyValue& local, const Clock& clock, Metrics& metrics,
               FeederIndex index)
    : config_(std::move(config)),
      log_(log),
      local_(local),
      index_(std::move(index)),
      clock_(clock),
      fed_total_(metrics.counter("assay_feeder_traces_total", "Traces found in MLflow and said to assay.requests")),
      failures_total_(metrics.counter("assay_feeder_failures_total", "Looks at MLflow that failed")),
      client_(config_.mlflow, 1),
      question_(config_.stuck_after) {}

Feeder::~Feeder() { stop(); }

void Feeder::start() {
  thread_ = std::jthread([this](std::stop_token stop) {
    Backoff backoff(config_.interval, std::chrono::minutes(1));
    auto whole_at = std::chrono::steady_clock::now();
    while (!stop.stop_requested()) {
      const bool whole = std::chrono::steady_clock::now() >= whole_at;
      const auto done = look_or_fail(whole);
      auto pause = config_.interval;
      if (done) {
        backoff.reset();
        if (whole) whole_at = std::chrono::steady_clock::now() + config_.whole_every;
      } else if (!stop.stop_requested()) {
        failures_total_.Increment();
        pause = backoff.next();
        spdlog::warn("event=feeder_failed error={} answer={} again_in_ms={}", log_value(done.error().message()),
                     log_value(refusal_), pause.count());
      }
      sleep_unless_stopped(stop, pause);
    }
  });
}

void Feeder::stop() {
  if (stopped_.exchange(true)) return;
  thread_.request_stop();
  asio::post(*io_, [this] { cancel_.emit(asio::cancellation_type::terminal); });
  if (thread_.joinable()) thread_.join();
}

// What is thrown (the system has no memory) is a failure as any other.
Result<std::size_t> Feeder::look_or_fail(bool whole) {
  try {
    return look(whole);
  } catch (const std::exception& e) {
    spdlog::error("event=feeder_failed problem={}", log_value(e.what()));
    return make_error_code(Error::storage_failed);
  }
}

Result<std::size_t> Feeder::look(bool whole) {
  Result<std::size_t> out = make_error_code(Error::stopped);
  if (stopped_) return out;
  const StallWatch::Step looking(question_);
  std::exception_ptr thrown;
  auto ended = [&out, &thrown](std::exception_ptr e, Result<std::size_t> done) {
    thrown = e;
    if (!e) out = std::move(done);
  };
  io_->restart();
  asio::co_spawn(*io_, look_once(whole), asio::bind_cancellation_slot(cancel_.slot(), std::move(ended)));
  io_->run();
  if (thrown && !stopped_) std::rethrow_exception(thrown);  // by a stop it is cancelled
  return out;
}

Task<Result<std::size_t>> Feeder::look_once(bool whole) {
  refusal_.clear();
  const auto begun = clock_.now();
  const auto from = since();
  if (!from) co_return from.error();
  Result<std::vector<std::string>> filters = std::vector<std::string>();
  if (whole) filters = whole_filters(begun, *from);
  if (!filters) co_return filters.error();
  const auto ids = co_await experiments();
  if (!ids) co_return ids.error();
  const auto parts = at_once(*ids);
  std::size_t said = 0;
  if (!whole) {
    for (const auto& some : parts) {
      const auto read = co_await read_newest(some, *from);
      if (!read) co_return read;
      said += *read;
    }
    co_return said;
  }
  for (const auto& filter : *filters) {
    const bool window = filter == filters->front();
    for (const auto& some : parts) {
      const auto read = co_await read_all(some, filter);
      if (!read && (window || stopped_)) co_return read;
      if (read) said += *read;
      // What is asked beside the window fails by itself: an id that the filter does not take, or so many traces that
      // without an index it takes too long.
      if (!read && read.error() != Error::unsupported) {
        failures_total_.Increment();
        spdlog::warn("event=feeder_question_failed error={} answer={}", log_value(read.error().message()),
                     log_value(refusal_));
        break;
      }
    }
    if (!window) continue;
    if (const auto kept = save_position(begun); !kept) co_return kept.error();
    if (long_ones_due(begun)) long_ones_at_ = begun + config_.overlap;
  }
  co_return said;
}

// What a reading of the whole window asks for: first that.
Result<std::vector<std::string>> Feeder::whole_filters(Instant now, Instant since) {
  std::vector<std::string> filters{began_since(since)};
  // MLflow has no index for how long they took, nor for their client_request_ids.
  const auto long_ago = began_since(now - config_.first_look_back);
  const auto long_ms = (config_.overlap * 4 / 5).count();
  if (long_ones_due(now)) filters.push_back(long_ago + " AND execution_time_ms >= " + std::to_string(long_ms));
  const auto ids = next_waiting();
  if (!ids) return ids.error();
  if (ids->empty()) return filters;
  std::string list;
  for (const auto& id : *ids) list.append(list.empty() ? "'" : ",'").append(id).append("'");
  filters.push_back("request_id IN (" + list + ")");
  filters.push_back("client_request_id IN (" + list + ") AND " + long_ago);
  return filters;
}

Task<Result<std::size_t>> Feeder::read_all(const std::vector<std::string>& experiments, const std::string& filter) {
  std::size_t said = 0;
  std::string token;
  for (bool more = true; more;) {
    auto page = co_await search(experiments, filter, mlflow::Order::oldest_first, token);
    if (!page) co_return page.error();
    if (const auto turned = turn_page(token, std::move(page->next), 0); !turned) co_return turned.error();
    more = !token.empty() && !page->traces.empty();
    const auto fresh = co_await append_found(std::move(page->traces));
    if (!fresh) co_return fresh;
    said += *fresh;
  }
  co_return said;
}

// Back to a page that brings nothing new.
Task<Result<std::size_t>> Feeder::read_newest(const std::vector<std::string>& experiments, Instant since) {
  const auto filter = began_since(since);
  std::vector<mlflow::FoundTrace> newest_first;
  std::string token;
  for (bool more = true; more;) {
    auto page = co_await search(experiments, filter, mlflow::Order::newest_first, token);
    if (!page) co_return page.error();
    if (const auto turned = turn_page(token, std::move(page->next), newest_first.size()); !turned)
      co_return turned.error();
    more = !token.empty() &&
           std::ranges::any_of(page->traces, [this](const mlflow::FoundTrace& one) { return is_fresh(one); });
    std::ranges::move(page->traces, std::back_inserter(newest_first));
  }
  std::ranges::reverse(newest_first);
  co_return co_await append_found(std::move(newest_first));
}

// Some of what waits in this process, beginning behind those of the last time. An id that MLflow's filter can't quote
// is left out.
Result<std::vector<std::string>> Feeder::next_waiting() {
  std::vector<std::string> ids;
  error_code failure;
  const auto [last_partition, last_id] = wait_cursor_;
  wait_cursor_ = {};
  index_.states([&](Partition partition, const KeyValue& state) {
    if (failure || ids.size() >= config_.asked_max || partition < last_partition) return;
    const auto after = partition == last_partition ? last_id : std::string();
    const auto some = awaited_ids(state, partition, after, config_.asked_max - ids.size());
    if (!some) {
      failure = some.error();
      return;
    }
    ids.insert(ids.end(), some->begin(), some->end());
    if (ids.size() >= config_.asked_max) wait_cursor_ = {partition, ids.back()};
  });
  if (failure) return failure;
  std::erase_if(ids, [](const std::string& id) { return !mlflow::quotable(id); });
  return ids;
}

Task<Result<std::vector<std::string>>> Feeder::experiments() {
  std::vector<std::string> ids;
  std::string token;
  for (bool more = true; more;) {
    auto body = mlflow::experiments_question(token);
    const auto answer = co_await ask(mlflow::experiments_path, std::move(body));
    if (!answer) co_return answer.error();
    auto page = mlflow::experiments_in(*answer);
    if (!page) co_return page.error();
    std::ranges::move(page->ids, std::back_inserter(ids));
    if (const auto turned = turn_page(token, std::move(page->next), ids.size()); !turned) co_return turned.error();
    more = !token.empty();
  }
  co_return ids;
}

Task<Result<mlflow::TracesPage>> Feeder::search(const std::vector<std::string>& experiments, std::string filter,
                                                mlflow::Order order, std::string token) {
  auto body =
      mlflow::traces_question({.experiments = experiments, .filter = filter, .order = order, .page_token = token});
  const auto answer = co_await ask(mlflow::traces_path, std::move(body));
  if (!answer) co_return answer.error();
  co_return mlflow::traces_in(*answer);
}

// A server that is broken, or a proxy that keeps answers, gives the same page again and again: it has no last. More
// than can be gathered is left to the reading of the whole window, which says page by page.
Result<void> Feeder::turn_page(std::string& token, std::string next, std::size_t gathered) {
  const bool again = !next.empty() && next == token;
  token = std::move(next);
  if (!again && gathered <= config_.known_max) return {};
  refusal_ = again ? "the same next_page_token again" : "more pages than can be gathered";
  return Error::unsupported;
}

// refusal_ says what the answer was until the next one that is good.
Task<Result<std::string>> Feeder::ask(const char* path, std::string body) {
  question_.begin();
  auto answer = co_await client_.ask("POST", path, std::move(body));
  refusal_.clear();
  if (answer.kind == MlflowAnswer::Kind::ok) co_return std::move(answer.body);
  refusal_ = std::string(path) + ": " + answer.message;
  co_return make_error_code(failed(answer));
}

std::string Feeder::key_of(const mlflow::FoundTrace& trace) {
  std::string key = trace.trace_id;
  for (const auto& id : trace.request_ids) key.append("\n").append(id);
  return key;
}

// The ids that name a trace, as far as that is known here.
Result<std::set<std::string>> Feeder::known_of(const std::vector<std::string>& ids) const {
  std::map<Partition, std::vector<std::string>> by_partition;
  const auto partitions = log_.partitions(Stream::requests);
  if (partitions > 0)  // Kafka has said how many
    for (const auto& id : ids) by_partition[partition_of(id, partitions)].push_back(id);
  std::set<std::string> known;
  error_code failure;
  index_.states([&](Partition partition, const KeyValue& state) {
    const auto& its = by_partition[partition];
    const auto traces = find_traces(state, partition, its);
    if (!traces) failure = traces.error();
    for (std::size_t i = 0; traces && i < its.size(); ++i)
      if ((*traces)[i]) known.insert(its[i]);
  });
  if (failure) return failure;
  return known;
}

// Those that were not said in this life, nor by anybody else; a trace that has a name since it was said is said again,
// where the name is not another trace's.
Task<Result<std::size_t>> Feeder::append_found(std::vector<mlflow::FoundTrace> traces) {
  std::erase_if(traces, [this](const mlflow::FoundTrace& one) { return !is_fresh(one); });
  if (traces.empty()) co_return std::size_t(0);
  question_.begin();
  const auto applied = co_await index_.applied();
  if (!applied) co_return applied.error();
  std::vector<std::string> ids;
  for (const auto& trace : traces) {
    ids.push_back(trace.trace_id);
    ids.insert(ids.end(), trace.request_ids.begin(), trace.request_ids.end());
  }
  const auto known = known_of(ids);
  if (!known) co_return known.error();
  std::vector<Record> records;
  std::size_t said = 0;
  for (const auto& trace : traces) {
    const bool told = known->contains(trace.trace_id);
    std::vector<std::string> names;
    if (!told) names.push_back(trace.trace_id);
    for (const auto& id : trace.request_ids)
      if (!told || !known->contains(id)) names.push_back(id);
    std::erase_if(names, [&](const std::string& id) { return !may_be_told(id, trace.trace_id); });
    for (const auto& name : names) records.push_back(request_record(name, trace.trace_id, clock_.now()));
    said += !names.empty();
  }
  if (!records.empty()) {
    const auto appended = co_await log_.append_all(std::move(records));
    for (const auto& one : appended)
      if (!one) co_return one.error();
  }
  for (const auto& trace : traces) remember(key_of(trace));
  fed_total_.Increment(static_cast<double>(said));
  co_return said;
}

void Feeder::remember(std::string key) {
  if (!known_.insert(key).second) return;
  known_order_.push_back(std::move(key));
  if (known_order_.size() <= config_.known_max) return;
  known_.erase(known_order_.front());
  known_order_.pop_front();
}

Result<Instant> Feeder::since() const {
  const auto value = local_.get(Family::meta, feeder_position_key);
  if (!value) return value.error();
  if (!*value) return clock_.now() - config_.first_look_back;
  const auto ms = parse_number<std::int64_t>(**value);
  if (!ms) return make_error_code(Error::corrupt);
  const auto now = clock_.now();
  const Instant at{std::chrono::milliseconds(*ms)};
  // Of a clock that was ahead: nobody knows for how long it looked for what was yet to come.
  return at > now ? now - config_.first_look_back : at - config_.overlap;
}

Result<void> Feeder::save_position(Instant at) {
  Changes changes;
  changes.put(Family::meta, feeder_position_key, std::to_string(at.time_since_epoch().count()));
  return local_.write(changes);
}

}  // namespace assay
