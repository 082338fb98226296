"""An application that makes its experiments at the server it is pointed at, and traces into them. Prints name -> the ids of its traces."""

import json
import sys

import mlflow
from mlflow import MlflowClient
from mlflow.entities import AssessmentSource

seen: dict[str, list[str]] = {}
for name in sys.argv[1:]:
    mlflow.set_experiment(name)
    with mlflow.start_span(name="answer") as span:
        span.set_outputs("42")
    mlflow.flush_trace_async_logging()
    mlflow.log_feedback(trace_id=span.trace_id, name="good", value=True, source=AssessmentSource("HUMAN", "ana"))
    seen[name] = [span.trace_id]

# Deleted while a trace is under way: its spans come all the same.
client = MlflowClient()
made = client.create_experiment(f"{sys.argv[1]}-deleted")
root = client.start_trace("late", experiment_id=made)
client.delete_experiment(made)
client.end_trace(root.trace_id)
mlflow.flush_trace_async_logging()
late = client.get_trace(root.trace_id)

# All of an experiment, however the client says so.
mlflow.set_experiment(f"{sys.argv[1]}-emptied")
with mlflow.start_span(name="gone"):
    pass
mlflow.flush_trace_async_logging()
emptied = client.get_experiment_by_name(f"{sys.argv[1]}-emptied").experiment_id
gone = client.delete_traces(emptied, max_timestamp_millis=sys.maxsize)
print(json.dumps({"traces": seen, "late": [span.name for span in late.data.spans] if late else None, "gone": gone}))
