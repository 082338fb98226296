"""What an application with an earlier client does: traces, tags, searches, and feedback where its version has that. Prints what it saw."""

import json
import sys

import mlflow
from mlflow.entities import AssessmentSource

HUMAN = AssessmentSource(source_type="HUMAN", source_id="ana")


@mlflow.trace(name="answer")
def answer(question: str) -> str:
    mlflow.update_current_trace(tags={"mode": "test"})
    with mlflow.start_span("think") as span:
        span.set_inputs({"question": question})
        span.set_outputs({"thought": 1})
    return "42"


def main() -> None:
    experiment = mlflow.set_experiment("/earlier")
    answer("why?")
    mlflow.flush_trace_async_logging()
    trace_id = mlflow.get_last_active_trace_id()
    seen: dict = {"version": mlflow.__version__, "trace_id": trace_id}
    mlflow.set_trace_tag(trace_id, "kept", "yes")
    mlflow.set_trace_tag(trace_id, "gone", "yes")
    mlflow.delete_trace_tag(trace_id, "gone")
    trace = mlflow.get_trace(trace_id)
    seen["state"] = str(trace.info.state).rpartition(".")[2]
    seen["spans"] = sorted(span.name for span in trace.data.spans)
    seen["inputs"] = next(span.inputs for span in trace.data.spans if span.name == "think")
    seen["tags"] = {key: value for key, value in trace.info.tags.items() if not key.startswith(("mlflow.", "assay."))}
    seen["took_ms"] = trace.info.execution_duration

    def search(filter_string: str | None) -> list[str]:
        return [found.info.trace_id for found in mlflow.search_traces(experiment_ids=[experiment.experiment_id], filter_string=filter_string, return_type="list")]

    seen["found"] = {clause or "all": search(clause) for clause in (None, "tags.kept = 'yes'", "tags.gone = 'yes'", "attributes.status = 'OK'")}
    if sys.argv[1] == "assess":
        given = mlflow.log_feedback(trace_id=trace_id, name="correct", value=True, rationale="so it is", source=HUMAN)
        mlflow.update_assessment(trace_id=trace_id, assessment_id=given.assessment_id, assessment=mlflow.entities.Feedback(name="correct", value=False))
        expected = mlflow.log_expectation(trace_id=trace_id, name="expected", value="42", source=HUMAN)
        mlflow.delete_assessment(trace_id=trace_id, assessment_id=expected.assessment_id)
        found = mlflow.get_trace(trace_id).info.assessments
        seen["assessments"] = {a.name: [a.feedback.value, a.rationale, a.source.source_id] for a in found}
    print(json.dumps(seen))


main()
