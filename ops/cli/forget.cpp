// assay forget: takes away what one user said, and says what went where, and what goes when.
#include <iostream>
#include <set>
#include <thread>

#include "ops/cli/forgetting.hpp"
#include "ops/cli/options.hpp"
#include "storage/records/json_writer.hpp"

namespace assay::cli {
namespace {

using namespace std::chrono_literals;

std::vector<std::string> acts_for(const SaidBy& said) {
  std::vector<std::string> lines;
  for (const auto& [id, trace_id] : said.assessments) lines.push_back("forget-assessment\t" + id + "\t" + trace_id);
  std::set<std::string> early;  // feedback and all changes of it go with one deletion
  for (const auto* list : {&said.in_flight, &said.parked})
    for (const auto& one : *list)
      early.insert((one.by_trace_id ? "forget-assessment\t" : "forget-parked\t") + one.assessment_id + "\t" + one.id);
  lines.insert(lines.end(), early.begin(), early.end());
  for (const auto& id : said.traces) lines.push_back("forget-trace\t" + id);
  for (const auto& [dataset_id, record_id] : said.dataset_records)
    lines.push_back("forget-dataset-record\t" + dataset_id + "\t" + record_id);
  for (const auto& letter : said.dead_letters) lines.push_back("purge " + letter.record_id);
  return lines;
}

struct Report {
  std::string user;
  SaidBy found, left;
  bool done = false;  // the deletions were appended
  std::string log_dropped_by;
  bool waits() const {
    return !left.assessments.empty() || !left.traces.empty() || !left.dead_letters.empty() || !left.in_flight.empty() ||
           !left.dataset_records.empty() || !left.parked.empty();
  }
  bool complete() const { return done && !waits(); }
};

// The index has their ids, and not whose they are.
constexpr const char* not_known_here = "traces that were logged straight to an MLflow server: delete those there";

std::string text_of(const Report& report) {
  std::string out;
  const auto line = [&](const char* what, std::size_t found, std::size_t left) {
    out += std::string(what) + ": " + std::to_string(found) + " found";
    if (report.done) out += ", " + std::to_string(found - std::min(found, left)) + " taken away";
    if (report.done && left > 0) out += ", " + std::to_string(left) + " not yet";
    out += "\n";
  };
  line("assessments", report.found.assessments.size(), report.left.assessments.size());
  line("traces, with all that was said about them", report.found.traces.size(), report.left.traces.size());
  line("parked feedback", report.found.parked.size(), report.left.parked.size());
  line("feedback on its way", report.found.in_flight.size(), report.left.in_flight.size());
  line("dead letters", report.found.dead_letters.size(), report.left.dead_letters.size());
  line("records of datasets, made of these traces or by the user", report.found.dataset_records.size(),
       report.left.dataset_records.size());
  out += std::string("not known here: ") + not_known_here + "\n";
  if (!report.done) return out += "nothing was changed\n";
  for (const auto& parked : report.left.parked)
    out += "parked " + parked.assessment_id + " waits for its trace until " + parked.expires_at +
           ": its deletion has not been read yet; forget once more to see it gone\n";
  out += "sinks (MLflow among them): they delete the same, each as soon as it has read so far\n";
  out += "the event log: what it still keeps of all this is dropped by " + report.log_dropped_by +
         ", once every reader has passed it\n";
  return out;
}

std::string json_of(const Report& report) {
  std::string out;
  JsonWriter json(out);
  const auto part = [&](const char* what, std::size_t found, std::size_t left) {
    json.key(what).begin_object().field("found", found);
    if (report.done) json.field("left", left);
    json.end_object();
  };
  json.begin_object().field("user", report.user).field("done", report.complete());
  part("assessments", report.found.assessments.size(), report.left.assessments.size());
  part("traces", report.found.traces.size(), report.left.traces.size());
  part("parked", report.found.parked.size(), report.left.parked.size());
  part("in_flight", report.found.in_flight.size(), report.left.in_flight.size());
  part("dead_letters", report.found.dead_letters.size(), report.left.dead_letters.size());
  part("dataset_records", report.found.dataset_records.size(), report.left.dataset_records.size());
  if (!report.left.parked.empty()) {
    json.key("waits_for_its_trace").begin_array();
    for (const auto& parked : report.left.parked)
      json.begin_object().field("assessment_id", parked.assessment_id).field("until", parked.expires_at).end_object();
    json.end_array();
  }
  json.field("not_known_here", not_known_here);
  if (report.done) json.field("log_dropped_by", report.log_dropped_by);
  json.end_object();
  return out += "\n";
}

}  // namespace

int forget(std::vector<std::string> args) {
  CLI::App app(
      "Takes away what one user said: feedback, and traces of what the user asked. Exit code 1: something is left",
      "assay forget");
  std::string data = "assay-data", user, output = "text";
  std::chrono::milliseconds retention = std::chrono::hours(7 * 24), wait = 30s;
  bool dry_run = false;
  app.add_option("--user", user, "Whose: the user_id, as it came with feedback and chats")->required();
  app.add_option(
         "--data", data,
         "The data directory of `assay serve`; with --kafka that of a front door with a view, which has what the "
         "topics have dropped. It may be running")
      ->capture_default_str();
  app.add_flag("--dry-run", dry_run, "Only say what would go");
  add_duration(app, "--log-retention", retention, "As `assay serve` has it: says when the log drops its records");
  add_duration(app, "--wait", wait, "For the store, or the workers, to have taken it away");
  app.add_option("--output", output, "text or json")->check(CLI::IsMember({"text", "json"}))->capture_default_str();
  KafkaOptions kafka;
  kafka.add_to(app, false);
  const auto settle = [&]() -> std::optional<std::string> {
    if (user.empty()) return "--user is empty";
    return kafka.config.brokers.empty() ? std::nullopt : kafka.settle_for_tool();
  };
  if (const auto parsed = parse(app, std::move(args), settle); !parsed.run) return parsed.code;

  std::unique_ptr<Forgetting> place;
  if (kafka.config.brokers.empty()) {
    place = forgetting_in(data, retention);
  } else {
    auto opened = forgetting_on(kafka, app.count("--data") > 0 ? data : "");
    if (!opened) return complain(opened.error());
    place = std::move(*opened);
  }

  UsersIds ids;
  auto found = place->find(user, ids);
  if (!found) return complain(found.error());
  Report report{.user = user, .found = std::move(*found)};
  if (!dry_run) {
    if (const auto problem = place->act(acts_for(report.found)); !problem.empty()) return complain(problem);
    report.done = true;
    report.log_dropped_by = place->log_drops();
    // What is parked loses its words as soon as its deletion is resolved, the rest goes when the store has read so far.
    const auto deadline = std::chrono::steady_clock::now() + wait;
    for (;;) {
      auto left = place->find(user, ids);
      if (!left) return complain(left.error());
      report.left = std::move(*left);
      if (!report.waits() || std::chrono::steady_clock::now() >= deadline) break;
      std::this_thread::sleep_for(200ms);
    }
  }
  std::cout << (output == "json" ? json_of(report) : text_of(report));
  return report.done && report.waits() ? failure : ok;
}

}  // namespace assay::cli
