#include "storage/sinks/mlflow_rest_writer.hpp"

#include <utility>

#include "ops/runtime/log.hpp"
#include "storage/sinks/mlflow_otlp.hpp"
#include "storage/store/feedback_tag.hpp"

namespace assay {
namespace {

using mlflow::Outcome, mlflow::Written;

constexpr const char* start_path = "/api/3.0/mlflow/traces";

constexpr std::size_t said_max = 20'000;

std::string name_of(const TraceRow& row) {
  return row.text_at("tags." + std::string(mlflow::trace_name_tag)).value_or("");
}

// Flask unquotes a path before it looks for its route, in which an id has no slash; a dot or two are a step on the way.
bool has_path(std::string_view id) { return id.find('/') == id.npos && id != "." && id != ".."; }
Written no_path() { return {.outcome = Outcome::dead, .why = "MLflow's REST API has no path for its id"}; }

Written local_failure(error_code ec) { return {.outcome = Outcome::again, .failure = ec}; }

std::string trace_path(std::string_view trace_id) { return "/api/3.0/mlflow/traces/" + percent_encoded(trace_id); }
std::string tags_path(std::string_view trace_id) {
  return "/api/2.0/mlflow/traces/" + percent_encoded(trace_id) + "/tags";
}
std::string assessment_path(const AssessmentRecord& record) {
  return trace_path(record.trace_id) + "/assessments/" + percent_encoded(record.assessment_id);
}

}  // namespace

MlflowWriter::MlflowWriter(const MlflowSinkConfig& config, const SinkMarks& marks, MlflowSpans& spans,
                           const Clock& clock)
    : config_(config), marks_(marks), spans_(spans), clock_(clock), client_(config.mlflow, config.requests_max) {}

Task<Written> MlflowWriter::write_trace(const std::string& trace_id, const News& news) {
  if (!has_path(trace_id)) co_return no_path();
  const auto gone = marks_.ended(trace_id);
  if (!gone) co_return local_failure(gone.error());
  if (*gone) co_return co_await erase(trace_id);
  if (const auto to = spans_.gathers(trace_id, clock_.now()))
    co_return Written{.outcome = Outcome::gathers, .gathers_to = *to};
  const auto row = marks_.trace(trace_id);
  if (!row) co_return local_failure(row.error());
  if (row->empty()) co_return Written{.outcome = Outcome::dead, .why = "trace_info or spans can't be read"};
  const auto facts = mlflow::facts_of(row->info_json(trace_id, "", ""));
  const auto its_news = news();
  if (!facts.located) co_return co_await write_tags(trace_id, its_news, true);
  auto known = *row;
  co_return co_await start(trace_id, its_news, std::move(known));
}

// Tags alone: those that there are, and those that its records took away.
Task<Written> MlflowWriter::write_tags(const std::string& trace_id, const mlflow::TraceNews& news, bool its_name) {
  const auto row = marks_.trace(trace_id);
  if (!row) co_return local_failure(row.error());
  std::set<std::string> removed(news.removed_tags.begin(), news.removed_tags.end());
  const auto info = row->info_json(trace_id, "", "");
  const auto path = tags_path(trace_id);
  for (auto& body : mlflow::tag_bodies(info)) {
    auto where = path;
    const auto key = mlflow::key_of_tag_body(body);
    removed.erase(key);
    if (!its_name && key == mlflow::trace_name_tag) continue;
    auto answer = co_await client_.ask("PATCH", std::move(where), std::move(body));
    // A tag of a trace that is not there breaks a foreign key.
    const bool missing =
        answer.kind == MlflowAnswer::Kind::refused && answer.message.find("IntegrityError") != answer.message.npos;
    if (missing) answer.kind = MlflowAnswer::Kind::not_found;
    const auto done = judge(answer);
    if (done.outcome != Outcome::applied) co_return done;
  }
  for (const auto& key : removed) {
    auto where = path;
    auto body = mlflow::untag_body(key);
    auto answer = co_await client_.ask("DELETE", std::move(where), std::move(body));
    if (answer.kind == MlflowAnswer::Kind::not_found) continue;
    const auto done = judge(answer);
    if (done.outcome != Outcome::applied) co_return done;
  }
  co_return Written{Outcome::applied};
}

Task<Written> MlflowWriter::start(const std::string& trace_id, const mlflow::TraceNews& news, TraceRow row) {
  auto spans = spans_.read(trace_id);
  if (!spans) co_return local_failure(spans.error());
  conclude_usage(row, std::move(spans->usage));
  const auto info = row.info_json(trace_id, "", "");
  const auto facts = mlflow::facts_of(info);
  Started trace{.trace_id = trace_id, .times = mlflow::times_of(info), .final = facts.final};
  const bool is_part = row.is_concluded() && !spans->has_root;
  std::optional<mlflow::SeenTrace> seen;
  if (config_.tag_traces || is_part) {
    auto path = trace_path(trace_id);
    const auto before = co_await client_.ask("GET", std::move(path));
    if (before.kind == MlflowAnswer::Kind::unavailable) co_return judge(before);
    seen = this->seen(before.body);
  }
  // A chat that joined a trace, or spans below another's root: who has that may tell MLflow of it past us, and has
  // then.
  trace.anothers = is_part && seen && !is_as_said(*seen, trace_id, row, trace.times);
  if (trace.anothers) {
    trace.experiment_id = seen->experiment_id;
  } else {
    auto wanted = facts.experiment;
    const auto experiment = co_await client_.experiment(std::move(wanted));
    if (experiment.kind != MlflowAnswer::Kind::ok) co_return judge(experiment);
    trace.experiment_id = experiment.body;
    // Starting a trace anew may replace its tags: what was said of it so far must stay.
    const bool tagged = config_.tag_traces && seen;
    trace.request = mlflow::start_trace(info, trace.experiment_id, tagged ? seen->wanted_tag : "");
    auto body = trace.request;
    const auto started = co_await client_.ask("POST", start_path, std::move(body));
    if (started.kind != MlflowAnswer::Kind::ok) co_return judge(started);
    if (is_part) remember_said(trace_id, row, trace.times);
  }
  trace.spans = std::move(*spans);
  trace.news.insert(news.spans.begin(), news.spans.end());
  const auto said = co_await write_spans(trace);
  // Starting a trace adds tags and takes none away.
  const bool untags = !news.removed_tags.empty();
  if (said.outcome != Outcome::applied || (!trace.anothers && !untags)) co_return said;
  co_return co_await write_tags(trace_id, news, !trace.anothers);
}

// Into MLflow's table of spans, where it has one that takes them; else into the artifact of the trace.
Task<Written> MlflowWriter::write_spans(Started& trace) {
  if (trace.spans.bytes > 0 && mlflow::otlp_trace_id(trace.trace_id)) {
    const auto version = co_await client_.version();
    if (version >= takes_otlp_from) {
      const auto sent = co_await send_spans(trace, version);
      if (sent) co_return *sent;
    }
  }
  co_return co_await put_artifact(trace);
}

// None: it takes none this way.
Task<std::optional<Written>> MlflowWriter::send_spans(const Started& trace, MlflowVersion version) {
  const auto otlp_id = mlflow::otlp_trace_id(trace.trace_id);
  bool moved = false;
  std::optional<std::string> after = "";
  while (after) {
    auto request = spans_.request(trace.trace_id, *otlp_id, *after, trace.news);
    if (!request) co_return local_failure(request.error());
    if (request->body.empty()) break;
    after = request->last;
    moved |= version < keeps_totals_from || trace.times.are_moved_by(*request->first_ms, *request->last_ms);
    auto experiment_id = trace.experiment_id;
    auto body = std::move(request->body);
    const auto sent = co_await client_.send_spans(std::move(experiment_id), std::move(body));
    if (sent.kind == MlflowAnswer::Kind::not_offered) co_return std::nullopt;
    if (sent.kind != MlflowAnswer::Kind::ok) co_return judge(sent);
  }
  // It takes the first start and the last end of the spans for the trace's, whatever was said of that; an earlier one
  // may add what they used to what was said.
  if (moved && !trace.anothers) {
    auto body = trace.request;
    const auto again = co_await client_.ask("POST", start_path, std::move(body));
    if (again.kind != MlflowAnswer::Kind::ok) co_return judge(again);
  }
  spans_.was_sent(trace.trace_id, trace.spans.bytes, clock_.now());
  co_return Written{Outcome::applied};
}

// All of them at once, when there will be no more. Of another's trace the artifact is another's.
Task<Written> MlflowWriter::put_artifact(Started& trace) {
  if (trace.anothers) trace.spans.leave_out();
  if (trace.final && trace.spans.said > 0) {
    auto path = "/api/2.0/mlflow-artifacts/artifacts/" + trace.experiment_id + "/traces/" +
                percent_encoded(trace.trace_id) + "/artifacts/traces.json";
    const auto put = co_await client_.ask("PUT", std::move(path), std::move(trace.spans.json));
    const bool refused = put.kind == MlflowAnswer::Kind::refused && put.body.find(no_artifacts_words) != put.body.npos;
    if (refused && !std::exchange(spans_refused_, true))
      spdlog::error(
          "event=mlflow_spans_refused why=\"MLflow runs with --no-serve-artifacts: traces go without spans\"");
    if (!refused && put.kind != MlflowAnswer::Kind::ok) co_return judge(put);
  }
  spans_.was_said(trace.trace_id, trace.spans, clock_.now());
  co_return Written{Outcome::applied};
}

Task<Written> MlflowWriter::erase(const std::string& trace_id) {
  auto path = trace_path(trace_id);
  const auto before = co_await client_.ask("GET", std::move(path));
  if (before.kind == MlflowAnswer::Kind::not_found) co_return Written{Outcome::duplicate};
  const auto seen = before.kind == MlflowAnswer::Kind::ok ? this->seen(before.body) : std::nullopt;
  if (!seen) co_return judge(before);
  auto body = mlflow::delete_trace(seen->experiment_id, trace_id);
  const auto erased = co_await client_.ask("POST", "/api/2.0/mlflow/traces/delete-traces", std::move(body));
  co_return judge(erased);
}

Task<Written> MlflowWriter::write(const AssessmentRecord& record) {
  // Nothing of a deleted trace, or of a deleted assessment, comes back.
  for (const auto* id : {&record.trace_id, &record.assessment_id}) {
    const auto gone = marks_.ended(*id);
    if (!gone) co_return local_failure(gone.error());
    if (*gone && (id == &record.trace_id || record.op != Op::erase)) co_return Written{Outcome::duplicate};
  }
  if (!has_path(record.trace_id) || (record.op != Op::create && !has_path(record.assessment_id))) co_return no_path();
  if (record.op == Op::create) co_return co_await create(record);
  if (record.op == Op::update) co_return co_await change(record);
  co_return co_await erase(record);
}

Task<Written> MlflowWriter::erase(const AssessmentRecord& record) {
  auto path = assessment_path(record);
  auto body = mlflow::delete_assessment(record);
  const auto erased = co_await client_.ask("DELETE", std::move(path), std::move(body));
  if (erased.kind == MlflowAnswer::Kind::not_found)
    co_return Written{Outcome::applied};  // the mark is what it came to make
  co_return judge(erased);
}

// What of it no later one has changed again; said twice it is the same.
Task<Written> MlflowWriter::change(const AssessmentRecord& record) {
  const auto row = marks_.changes(record.assessment_id);
  if (!row) co_return local_failure(row.error());
  const Stamp stamp{record.accepted_at.time_since_epoch().count(), record.record_id};
  std::map<std::string, Stamp> before;  // a copy: others go on while this waits
  if (const auto said = said_with_create_.find(record.assessment_id); said != said_with_create_.end())
    before = said->second;
  bool was_said = false;
  const auto wins = [&](const std::string& path) {
    const auto at = row->changes().find(path);
    if (at == row->changes().end() || at->second.stamp != stamp) return false;
    const auto said = before.find(path);
    if (said == before.end() || said->second != stamp) return true;
    was_said = true;
    return false;
  };
  auto body = mlflow::update_assessment(record, wins);
  if (!body) co_return Written{was_said ? Outcome::applied : Outcome::duplicate};
  auto path = assessment_path(record);
  auto updated = co_await client_.ask("PATCH", std::move(path), std::move(*body));
  // The value of a feedback says nothing of an expectation, and the other way round; the rest of the change counts.
  if (updated.kind == MlflowAnswer::Kind::refused && updated.message.find("Cannot update") != std::string::npos) {
    body = mlflow::update_assessment(
        record, [&](const std::string& field) { return field != "feedback" && field != "expectation" && wins(field); });
    if (!body) co_return Written{Outcome::duplicate};
    path = assessment_path(record);
    updated = co_await client_.ask("PATCH", std::move(path), std::move(*body));
  }
  co_return judge(updated);
}

// So that MLflow does not stamp them anew, with its own clock.
void MlflowWriter::remember(const std::string& assessment_id,
                            const std::map<std::string, AssessmentRow::Register>& changes) {
  constexpr std::size_t remembered_max = 10'000;  // what is forgotten is said twice
  if (said_with_create_.size() >= remembered_max) said_with_create_.clear();
  auto& said = said_with_create_[assessment_id];
  for (const auto& [path, change] : changes) said[path] = change.stamp;
}

// With the changes that have come by now.
Task<Written> MlflowWriter::create(const AssessmentRecord& record) {
  auto path = trace_path(record.trace_id) + "/assessments";
  const auto overridden = mlflow::overridden_by(record);
  Result<bool> gone = false;
  if (!overridden.empty()) gone = marks_.ended(overridden);
  if (!gone) co_return local_failure(gone.error());
  auto row = marks_.changes(record.assessment_id);
  if (!row) co_return local_failure(row.error());
  const auto changes = row->changes();
  auto whole_now = record;
  if (!changes.empty() && row->apply(record, 0, 0)) whole_now.json = row->json(true);
  auto body = mlflow::create_assessment(whole_now, *gone);
  auto where = path;
  auto created = co_await client_.ask("POST", std::move(where), std::move(body));
  if (created.kind == MlflowAnswer::Kind::ok && !changes.empty()) remember(record.assessment_id, changes);
  if (created.kind == MlflowAnswer::Kind::refused && !changes.empty()) {  // of a change, it may be: they come, too
    body = mlflow::create_assessment(record, *gone);
    created = co_await client_.ask("POST", std::move(path), std::move(body));
  }
  if (created.kind != MlflowAnswer::Kind::exists) co_return judge(created);
  if (has_path(record.assessment_id)) {
    auto that = assessment_path(record);
    const auto seen = co_await client_.ask("GET", std::move(that));
    if (seen.kind == MlflowAnswer::Kind::ok) co_return Written{Outcome::duplicate};
    if (seen.kind != MlflowAnswer::Kind::not_found) co_return judge(seen);
  }
  // The trace is there and this is not on it: the id is another trace's, and what was committed first stays.
  auto whole = trace_path(record.trace_id);
  const auto trace = co_await client_.ask("GET", std::move(whole));
  if (trace.kind == MlflowAnswer::Kind::ok) co_return Written{Outcome::duplicate};
  co_return judge(trace);
}

Task<Written> MlflowWriter::tag(const std::string& trace_id) {
  auto path = trace_path(trace_id);
  auto answer = co_await client_.ask("GET", std::move(path));
  const auto seen = answer.kind == MlflowAnswer::Kind::ok ? this->seen(answer.body) : std::nullopt;
  if (seen && seen->wanted_tag.empty() && seen->tag) {
    auto tags = tags_path(trace_id);
    auto body = mlflow::untag_body(feedback_tag_name);
    answer = co_await client_.ask("DELETE", std::move(tags), std::move(body));
  } else if (seen && !seen->wanted_tag.empty() && seen->wanted_tag != seen->tag) {
    auto tags = tags_path(trace_id);
    auto body = mlflow::tag_body(feedback_tag_name, seen->wanted_tag);
    answer = co_await client_.ask("PATCH", std::move(tags), std::move(body));
  }
  co_return judge(answer);
}

std::optional<mlflow::SeenTrace> MlflowWriter::seen(std::string_view body) const {
  return mlflow::seen_trace(body, [this](const std::string& id) -> std::optional<Instant> {
    const auto known = marks_.changes(id);
    if (!known || known->changes().empty()) return {};
    return known->after() - std::chrono::milliseconds(1);
  });
}

void MlflowWriter::remember_said(const std::string& trace_id, const TraceRow& row, const mlflow::TraceTimes& times) {
  if (said_.size() >= said_max) said_.clear();
  said_.insert_or_assign(trace_id, Said{times.begin_ms, name_of(row)});
}

// What we told MLflow of a trace ourselves reads back as we say it now, or as we said it last.
bool MlflowWriter::is_as_said(const mlflow::SeenTrace& seen, const std::string& trace_id, const TraceRow& row,
                              const mlflow::TraceTimes& times) const {
  const auto last = said_.find(trace_id);
  const bool told = last != said_.end();
  const bool begins = seen.times.begin_ms == times.begin_ms || (told && seen.times.begin_ms == last->second.begin_ms);
  return begins && (seen.name == name_of(row) || (told && seen.name == last->second.name));
}

Task<bool> MlflowWriter::answers() {
  std::string one = R"({"max_results":1})";
  const auto answer = co_await client_.ask("POST", "/api/2.0/mlflow/experiments/search", std::move(one));
  co_return answer.kind == MlflowAnswer::Kind::ok;
}

Written MlflowWriter::judge(const MlflowAnswer& answer) {
  const bool answered = answer.kind != MlflowAnswer::Kind::unavailable || answer.broke;
  Written written{.outcome = answer.broke ? Outcome::broke : Outcome::silent,
                  .why = (answered ? "MLflow answered " : "no answer of MLflow's own: ") + answer.message};
  switch (answer.kind) {
    case MlflowAnswer::Kind::ok:
      taken_at_ = clock_.now();
      written.outcome = Outcome::applied;
      break;
    case MlflowAnswer::Kind::not_found:
      written.outcome = Outcome::waits;
      break;
    case MlflowAnswer::Kind::refused:
      written.outcome = Outcome::dead;
      break;
    case MlflowAnswer::Kind::exists:
    case MlflowAnswer::Kind::not_offered:
    case MlflowAnswer::Kind::unavailable:
      break;
  }
  return written;
}

}  // namespace assay
