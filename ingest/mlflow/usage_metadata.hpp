#pragma once
#include <boost/json/object.hpp>

namespace assay {

// Of a trace's metadata what it used: mlflow.trace.tokenUsage and mlflow.trace.cost. MLflow's server keeps their
// numbers and writes the JSON anew, so what is no number is not in it, and where there is none at all the key is not
// there.
void normalise_usage(boost::json::object& metadata);

}  // namespace assay
