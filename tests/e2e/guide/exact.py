"""Scores as Python counts them: each is read back as the double that was sent, and found by it."""

import json

import mlflow

mlflow.set_experiment("exact")
SCORES = [1 / 11, 11 / 12, -1 / 3, 1e-7, 5.0]
with mlflow.start_span("judged") as span:
    span.set_inputs({"scores": SCORES})
mlflow.flush_trace_async_logging()
said = [mlflow.log_feedback(trace_id=span.trace_id, name=f"score{i}", value=score) for i, score in enumerate(SCORES)]
expected = mlflow.log_expectation(trace_id=span.trace_id, name="list", value=SCORES)
dataset = mlflow.genai.datasets.create_dataset("exact")
dataset.merge_records([{"inputs": {"scores": SCORES}}])
print(
    json.dumps(
        {
            "answered": [one.value for one in said] == SCORES,
            "got": [mlflow.get_assessment(span.trace_id, one.assessment_id).value for one in said] == SCORES,
            "listed": [one.value for one in mlflow.get_trace(span.trace_id).info.assessments[: len(SCORES)]] == SCORES,
            "expected": mlflow.get_assessment(span.trace_id, expected.assessment_id).value == SCORES,
            "span": mlflow.get_trace(span.trace_id).data.spans[0].inputs["scores"] == SCORES,
            "dataset": mlflow.genai.datasets.get_dataset(dataset_id=dataset.dataset_id).to_df()["inputs"][0]["scores"] == SCORES,
            "found": [len(mlflow.search_traces(filter_string=f"feedback.score{i} = '{score}'")) for i, score in enumerate(SCORES)],
        }
    )
)
