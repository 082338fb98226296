#include "storage/store/report.hpp"

#include <fmt/format.h>

#include "storage/records/json_writer.hpp"
#include "storage/store/aggregates_upkeep.hpp"
#include "storage/store/catalog.hpp"

namespace assay {
static double percent(std::int64_t part, std::int64_t whole) {
  return whole ? 100.0 * static_cast<double>(part) / static_cast<double>(whole) : 0;
}

double Report::feedback_rate() const { return percent(figures.with_feedback, figures.traces); }
double Report::positive_rate() const { return percent(figures.said.positive, figures.with_feedback); }

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

Result<Figures> count_figures(const KeyValue& kv, const std::string& experiment, Instant from, const GoOn& go_on) {
  const Store store(kv);
  Figures figures;
  error_code failure;
  const auto count_trace = [&](std::string_view trace_id, Instant) {
    if (!go_on()) {
      failure = Error::stopped;
      return false;
    }
    const auto assessments = store.assessments_of(trace_id);
    if (!assessments) {
      failure = assessments.error();
      return false;
    }
    figures.add(share_of({}, rows_of(*assessments)));
    return true;
  };
  const auto visited = store.traces_of_experiment(experiment, from, Instant::max(), count_trace);
  if (!visited) return visited.error();
  if (failure) return failure;
  return figures;
}

Result<Report> make_report(const KeyValue& kv, const std::string& experiment, Instant from, Instant now,
                           const GoOn& go_on) {
  Report report{.experiment = experiment, .from = from, .to = now};
  const auto known = Catalog(kv).experiment(experiment);
  if (!known) return known.error();
  if (*known) report.experiment_name = (*known)->name;
  const auto summed_up = is_summed_up(kv);
  if (summed_up.has_error()) return summed_up.error();
  auto figures = *summed_up ? figures_since(kv, experiment, from, go_on) : count_figures(kv, experiment, from, go_on);
  if (!figures) return figures.error();
  report.figures = std::move(*figures);
  return report;
}

std::string to_text(const Report& report) {
  const auto& [traces, with_feedback, said] = report.figures;
  const auto name = report.experiment_name.empty() ? "" : " (" + report.experiment_name + ")";
  auto out = fmt::format("experiment {}{}, {} to {}\n", report.experiment, name, format_time(report.from),
                         format_time(report.to));
  out += fmt::format("traces                {}\n", traces);
  out += fmt::format("with feedback         {} ({:.1f} %)\n", with_feedback, report.feedback_rate());
  out += fmt::format("positive              {} ({:.1f} % of traces with feedback)\n", said.positive,
                     report.positive_rate());
  out += fmt::format("negative              {}\n", said.negative);
  for (const auto& [name, rating] : said.ratings)
    out += fmt::format("average {:<13} {:.3f} (of {})\n", name, rating.average(), rating.count);
  if (said.left_out > 0)
    out += fmt::format("left out              {} (no number, or too large a one)\n", said.left_out);
  return out;
}

std::string to_json(const Report& report) {
  const auto& [traces, with_feedback, said] = report.figures;
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("experiment", report.experiment);
  if (!report.experiment_name.empty()) json.field("experiment_name", report.experiment_name);
  json.field("from", format_time(report.from)).field("to", format_time(report.to));
  json.field("total_traces", traces).field("traces_with_feedback", with_feedback);
  json.field("feedback_rate", report.feedback_rate()).field("positive_rate", report.positive_rate());
  json.field("positive_count", said.positive).field("negative_count", said.negative).key("ratings").begin_object();
  for (const auto& [name, rating] : said.ratings) json.field(name, rating.average());
  json.end_object().key("rating_counts").begin_object();
  for (const auto& [name, rating] : said.ratings) json.field(name, rating.count);
  json.end_object().field("values_left_out", said.left_out).end_object();
  return out;
}

}  // namespace assay
