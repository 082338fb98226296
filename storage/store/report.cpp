#include "storage/store/report.hpp"

#include <fmt/format.h>

#include "storage/records/json_writer.hpp"
#include "storage/store/catalog.hpp"
#include "storage/store/feedback_value.hpp"

namespace assay {
namespace {

constexpr std::string_view prefix = "user_";

void count(Report& report, const Store::Assessment& assessment) {
  const auto name = assessment.row.name();
  const auto value = feedback_value(assessment.row.json(assessment.valid));
  if (name == "user_feedback") {
    ++(truthy(value) ? report.positive : report.negative);
  } else if (name.starts_with(prefix)) {
    const auto* number = std::get_if<double>(&value);
    const auto* truth = std::get_if<bool>(&value);
    if (!number && !truth) {
      ++report.left_out;
      return;
    }
    auto& rating = report.ratings[name == prefix ? name : name.substr(prefix.size())];
    rating.sum += number ? *number : (*truth ? 1 : 0);
    ++rating.count;
  }
}

}  // namespace

double Report::feedback_rate() const {
  return total_traces ? 100.0 * static_cast<double>(traces_with_feedback) / static_cast<double>(total_traces) : 0;
}

double Report::positive_rate() const {
  return traces_with_feedback ? 100.0 * static_cast<double>(positive) / static_cast<double>(traces_with_feedback) : 0;
}

Result<std::optional<std::string>> experiment_id_of(const KeyValue& kv, const std::string& asked) {
  const Catalog catalog(kv);
  const auto numbered = catalog.experiment(asked);
  if (!numbered) return numbered.error();
  if (*numbered) return std::optional(asked);
  const auto named = catalog.experiment_named(asked);
  if (!named) return named.error();
  if (*named) return std::optional((*named)->experiment_id);
  bool any = false;
  const auto visited = Store(kv).traces_of_experiment(asked, Instant(), Instant::max(), [&any](auto, auto) {
    any = true;
    return false;
  });
  if (!visited) return visited.error();
  return any ? std::optional(asked) : std::nullopt;
}

Result<Report> make_report(const KeyValue& kv, const std::string& experiment, Instant from, Instant now,
                           const GoOn& go_on) {
  const Store store(kv);
  Report report{.experiment = experiment, .from = from, .to = now};
  const auto known = Catalog(kv).experiment(experiment);
  if (!known) return known.error();
  if (*known) report.experiment_name = (*known)->name;
  error_code failure;
  const auto count_trace = [&](std::string_view trace_id, Instant) {
    if (!go_on()) {
      failure = Error::stopped;
      return false;
    }
    ++report.total_traces;
    const auto assessments = store.assessments_of(trace_id);
    if (!assessments) {
      failure = assessments.error();
      return false;
    }
    bool any = false;
    for (const auto& assessment : *assessments) {
      if (!assessment.valid || assessment.row.is_expectation()) continue;  // the right answer is nobody's opinion
      any = true;
      count(report, assessment);
    }
    report.traces_with_feedback += any;
    return true;
  };
  const auto visited = store.traces_of_experiment(experiment, from, Instant::max(), count_trace);
  if (!visited) return visited.error();
  if (failure) return failure;
  return report;
}

std::string to_text(const Report& report) {
  const auto name = report.experiment_name.empty() ? "" : " (" + report.experiment_name + ")";
  auto out = fmt::format("experiment {}{}, {} to {}\n", report.experiment, name, format_time(report.from),
                         format_time(report.to));
  out += fmt::format("traces                {}\n", report.total_traces);
  out += fmt::format("with feedback         {} ({:.1f} %)\n", report.traces_with_feedback, report.feedback_rate());
  out += fmt::format("positive              {} ({:.1f} % of traces with feedback)\n", report.positive,
                     report.positive_rate());
  out += fmt::format("negative              {}\n", report.negative);
  for (const auto& [name, rating] : report.ratings)
    out += fmt::format("average {:<13} {:.3f} (of {})\n", name, rating.sum / static_cast<double>(rating.count),
                       rating.count);
  if (report.left_out > 0)
    out += fmt::format("left out              {} (values that are no number)\n", report.left_out);
  return out;
}

std::string to_json(const Report& report) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("experiment", report.experiment);
  if (!report.experiment_name.empty()) json.field("experiment_name", report.experiment_name);
  json.field("from", format_time(report.from)).field("to", format_time(report.to));
  json.field("total_traces", report.total_traces).field("traces_with_feedback", report.traces_with_feedback);
  json.field("feedback_rate", report.feedback_rate()).field("positive_rate", report.positive_rate());
  json.field("positive_count", report.positive).field("negative_count", report.negative).key("ratings").begin_object();
  for (const auto& [name, rating] : report.ratings) json.field(name, rating.sum / static_cast<double>(rating.count));
  json.end_object().key("rating_counts").begin_object();
  for (const auto& [name, rating] : report.ratings) json.field(name, rating.count);
  json.end_object().field("values_left_out", report.left_out).end_object();
  return out;
}

}  // namespace assay
