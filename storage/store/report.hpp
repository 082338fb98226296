#pragma once
// The guide's figures: the traces of an experiment in a time window, and what was said of them.
#include <functional>
#include <string>

#include "storage/store/aggregates.hpp"

namespace assay {

struct Report {
  std::string experiment, experiment_name;  // its id; its name, where the store knows it
  Instant from, to;                         // to: when it was made
  Figures figures;

  // In percent; 0 where there is nothing to divide by. The positive rate is by traces with feedback, as the guide has
  // it.
  double feedback_rate() const;
  double positive_rate() const;
};

// The id of the experiment that somebody asks for, by id or else by name. One that the catalog does not know is there
// if it has traces: it is an MLflow's. None: there is no such experiment.
Result<std::optional<std::string>> experiment_id_of(const KeyValue& kv, const std::string& asked);

// `experiment`: its id, as traces name it. from <= request_time; a trace that a client's clock has dated after `now`
// belongs to the window. From the sums; from each trace of the window where the store is not summed up yet.
// Error::stopped once `go_on`, asked now and then, says no.
using GoOn = std::function<bool()>;
Result<Report> make_report(
    const KeyValue& kv, const std::string& experiment, Instant from, Instant now,
    const GoOn& go_on = [] { return true; });

// The same, from each trace.
Result<Figures> count_figures(const KeyValue& kv, const std::string& experiment, Instant from, const GoOn& go_on);

std::string to_text(const Report& report);
std::string to_json(const Report& report);

}  // namespace assay
