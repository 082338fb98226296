"""What is said of a trace: in what order it comes back, and what of it can be read and changed while nobody knows the trace yet."""

import json
import uuid

import mlflow
from mlflow.entities import Expectation, Feedback

mlflow.set_experiment("said")


@mlflow.trace
def answer() -> str:
    for i in range(5):
        mlflow.log_feedback(trace_id=mlflow.get_active_trace_id(), name=f"n{i}", value=i)
    return "yes"


def shown(assessment: Feedback) -> list:
    return [assessment.value, assessment.rationale, assessment.metadata, assessment.source.source_type, assessment.valid]


def refusal(call, *args) -> str:
    try:
        return call(*args)
    except mlflow.MlflowException as e:
        return e.message


answer()
mlflow.flush_trace_async_logging()
first = mlflow.get_last_active_trace_id()
mlflow.log_assessment(first, Feedback(name="old", value=True, create_time_ms=1))

early = f"tr-{uuid.uuid4().hex}"
parked = mlflow.log_feedback(trace_id=early, name="early", value=True, rationale="r", metadata={"m": "1"}).assessment_id
refused = refusal(mlflow.update_assessment, early, parked, Expectation(name="early", value="x"))
updated = shown(mlflow.update_assessment(early, parked, Feedback(name="early", value=False, rationale="s")))
got = shown(mlflow.get_assessment(early, parked))
mlflow.override_feedback(trace_id=early, assessment_id=parked, value=0.5)
print(
    json.dumps(
        {
            "order": [a.name for a in mlflow.get_trace(first).info.assessments],
            "searched": [a.name for a in mlflow.search_traces(return_type="list")[0].info.assessments],
            "refused": refused,
            "updated": updated,
            "got": got,
            "overridden": shown(mlflow.get_assessment(early, parked))[-1],
        }
    )
)
