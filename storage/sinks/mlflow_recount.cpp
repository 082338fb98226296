#include "storage/sinks/mlflow_recount.hpp"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/json/parse.hpp>

#include "storage/log/read_all.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/records/trace_record.hpp"
#include "storage/sinks/poison.hpp"

namespace assay {
namespace {

constexpr std::size_t examples_max = 20;

struct AssessmentHistory {
  Partition partition = 0;
  bool created = false, deleted = false, in_flight = false, there = false;
};
using Traces =
    std::map<std::string, std::map<std::string, AssessmentHistory>>;  // trace_id -> assessment_id -> what was said
struct Missing {
  std::string_view trace_id, id;
  const AssessmentHistory* said;
};

class Recount {
 public:
  explicit Recount(const MlflowRecountInput& input) : in_(input), client_(input.mlflow, 1) {}

  Result<MlflowRecount, std::string> run() {
    const auto read = read_all(in_.log, Stream::assessments, [this](auto records) { return take(records); });
    if (!read) return "assay.assessments can't be read to its end: " + read.error().message();
    const auto ended = read_all(in_.log, Stream::traces, [this](auto records) { return take_deletions(records); });
    if (!ended) return "assay.traces can't be read to its end: " + ended.error().message();
    next_ = traces_.begin();
    for (std::size_t i = 0; i < in_.requests_max; ++i)
      asio::co_spawn(io_, ask(), [this](std::exception_ptr thrown) {
        if (thrown) thrown_ = thrown;
      });
    io_.run();
    if (thrown_) std::rethrow_exception(thrown_);
    if (!problem_.empty()) return problem_;
    judge_missing();
    return std::move(out_);
  }

 private:
  Result<void> take(std::span<const LogRecord> records) {
    for (const auto& record : records) {
      const auto parsed = read_assessment(record);
      if (!parsed) continue;
      auto& said = traces_[parsed->trace_id][parsed->assessment_id];
      said.partition = record.partition;
      said.created = said.created || parsed->op == Op::create;
      said.deleted = said.deleted || parsed->op == Op::erase;
      said.in_flight = said.in_flight || is_in_flight(record);
    }
    return {};
  }

  // What was said of a trace goes with it.
  Result<void> take_deletions(std::span<const LogRecord> records) {
    for (const auto& record : records) {
      const auto at = traces_.find(std::string(record.key));
      if (at == traces_.end() || record.tombstone) continue;
      const auto parsed = parse_trace_record(record.value);
      if (!parsed || !parsed->deleted) continue;
      for (auto& [id, said] : at->second) {
        said.deleted = true;
        said.in_flight = said.in_flight || is_in_flight(record);
      }
    }
    return {};
  }

  bool is_in_flight(const LogRecord& record) const {
    const auto position = in_.positions.find({record.stream, record.partition});
    return position == in_.positions.end() || record.offset >= position->second;
  }

  Task<void> ask() {
    while (next_ != traces_.end() && problem_.empty()) {
      auto& [trace_id, all] = *next_++;
      auto path = "/api/3.0/mlflow/traces/" + percent_encoded(trace_id);
      auto answer = co_await client_.ask("GET", std::move(path));
      std::set<std::string, std::less<>> shown;
      if (answer.kind == MlflowAnswer::Kind::ok) {
        if (!read_shown(answer.body, shown)) problem_ = "MLflow's answer about " + trace_id + " can't be read";
      } else if (answer.kind != MlflowAnswer::Kind::not_found) {
        problem_ = in_.mlflow.url + " does not answer about " + trace_id + ": " + answer.message;
      }
      if (problem_.empty()) judge(trace_id, all, shown);
    }
  }

  static bool read_shown(std::string_view body, std::set<std::string, std::less<>>& shown) {
    error_code ec;
    const auto json = boost::json::parse({body.data(), body.size()}, ec);
    if (ec) return false;
    const auto* list = json.find_pointer("/trace/trace_info/assessments", ec);
    if (!list) return true;  // none
    if (!list->is_array()) return false;
    for (const auto& one : list->get_array())
      if (const auto* id = one.find_pointer("/assessment_id", ec); id && id->is_string())
        shown.emplace(id->get_string().c_str());
    return true;
  }

  void judge(const std::string& trace_id, std::map<std::string, AssessmentHistory>& all,
             const std::set<std::string, std::less<>>& shown) {
    for (auto& [id, said] : all) {
      auto& count = out_.partitions[said.partition];
      ++count.logged;
      const bool there = said.there = shown.contains(id);
      if (said.in_flight)
        ++count.in_flight;
      else if (said.deleted && !there)
        ++count.deleted;
      else if (said.created && !said.deleted && there)
        ++count.shown;
      else if (in_.dead.contains(id))
        ++count.dead;
      else if (!said.created && !there)
        ++count.held;
      else if (said.created && !said.deleted)
        missing_.push_back({trace_id, id, &said});
      else
        unaccounted({trace_id, id, &said});
    }
  }

  // An id that was given again to another trace: MLflow shows the first, or that was deleted.
  void judge_missing() {
    if (missing_.empty()) return;
    std::set<std::string_view> shown, deleted;
    for (const auto& [trace_id, all] : traces_)
      for (const auto& [id, said] : all) {
        if (said.there) shown.insert(id);
        if (said.deleted && !said.there) deleted.insert(id);
      }
    for (const auto& one : missing_) {
      auto& count = out_.partitions[one.said->partition];
      if (shown.contains(one.id))
        ++count.shown;
      else if (deleted.contains(one.id))
        ++count.deleted;
      else
        unaccounted(one);
    }
  }

  void unaccounted(const Missing& one) {
    ++out_.partitions[one.said->partition].unaccounted;
    if (out_.examples.size() == examples_max) return;
    const std::string what = one.said->deleted ? " was deleted and is shown" : " is not shown";
    out_.examples.push_back(std::string(one.id) + what + " by MLflow on " + std::string(one.trace_id));
  }

  const MlflowRecountInput& in_;
  IoContext io_{1};
  MlflowClient client_;
  Traces traces_;
  Traces::iterator next_;
  std::vector<Missing> missing_;
  std::string problem_;
  std::exception_ptr thrown_;
  MlflowRecount out_;
};

}  // namespace

std::int64_t MlflowRecount::unaccounted() const {
  std::int64_t sum = 0;
  for (const auto& [p, count] : partitions) sum += count.unaccounted;
  return sum;
}

Result<MlflowRecount, std::string> recount(const MlflowRecountInput& input) { return Recount(input).run(); }

std::string to_text(const MlflowRecount& found) {
  std::string out;
  for (const auto& [p, n] : found.partitions)
    out += fmt::format(
        "mlflow/{}: {} assessments = {} shown + {} deleted + {} held + {} dead + {} in flight; {} unaccounted\n", p,
        n.logged, n.shown, n.deleted, n.held, n.dead, n.in_flight, n.unaccounted);
  for (const auto& example : found.examples) out += "  " + example + "\n";
  return out + fmt::format("unaccounted in MLflow: {}\n", found.unaccounted());
}

std::string to_json(const MlflowRecount& found) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("partitions").begin_array();
  for (const auto& [p, n] : found.partitions) {
    json.begin_object().field("partition", p).field("logged", n.logged).field("shown", n.shown);
    json.field("deleted", n.deleted).field("held", n.held).field("dead", n.dead).field("in_flight", n.in_flight);
    json.field("unaccounted", n.unaccounted).end_object();
  }
  json.end_array().key("examples").begin_array();
  for (const auto& example : found.examples) json.value(example);
  json.end_array().field("unaccounted", found.unaccounted()).end_object();
  return out;
}

}  // namespace assay
