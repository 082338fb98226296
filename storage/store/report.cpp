#include "storage/store/report.hpp"

#include <fmt/format.h>

#include "storage/records/json_writer.hpp"
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
    if (!number && !truth) return;
    auto& rating = report.ratings[name.substr(prefix.size())];
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

Result<Report> make_report(const Store& store, const std::string& experiment, Instant from, Instant to) {
  Report report{.experiment = experiment, .from = from, .to = to};
  error_code failure;
  const auto visited = store.traces_of_experiment(experiment, from, to, [&](std::string_view trace_id, Instant) {
    ++report.total_traces;
    const auto assessments = store.assessments_of(trace_id);
    if (!assessments) {
      failure = assessments.error();
      return false;
    }
    bool any = false;
    for (const auto& assessment : *assessments) {
      if (!assessment.valid || assessment.row.deleted() || !assessment.row.base()) continue;
      any = true;
      count(report, assessment);
    }
    report.traces_with_feedback += any;
    return true;
  });
  if (!visited) return visited.error();
  if (failure) return failure;
  return report;
}

std::string to_text(const Report& report) {
  auto out =
      fmt::format("experiment {}, {} to {}\n", report.experiment, format_time(report.from), format_time(report.to));
  out += fmt::format("traces                {}\n", report.total_traces);
  out += fmt::format("with feedback         {} ({:.1f} %)\n", report.traces_with_feedback, report.feedback_rate());
  out += fmt::format("positive              {} ({:.1f} % of traces with feedback)\n", report.positive,
                     report.positive_rate());
  out += fmt::format("negative              {}\n", report.negative);
  for (const auto& [name, rating] : report.ratings)
    out += fmt::format("average {:<13} {:.3f} (of {})\n", name, rating.sum / static_cast<double>(rating.count),
                       rating.count);
  return out;
}

std::string to_json(const Report& report) {
  std::string out;
  JsonWriter json(out);
  json.begin_object()
      .field("experiment", report.experiment)
      .field("from", format_time(report.from))
      .field("to", format_time(report.to));
  json.field("total_traces", report.total_traces).field("traces_with_feedback", report.traces_with_feedback);
  json.field("feedback_rate", report.feedback_rate()).field("positive_rate", report.positive_rate());
  json.field("positive_count", report.positive).field("negative_count", report.negative).key("ratings").begin_object();
  for (const auto& [name, rating] : report.ratings) json.field(name, rating.sum / static_cast<double>(rating.count));
  json.end_object().key("rating_counts").begin_object();
  for (const auto& [name, rating] : report.ratings) json.field(name, rating.count);
  json.end_object().end_object();
  return out;
}

}  // namespace assay
