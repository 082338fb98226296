"""What is hard to send: values that OpenTelemetry's protobuf has no place for, an export larger than most, records of great depth."""

import json

import mlflow

mlflow.set_experiment("hard")
ids = []
for value in (1, 2**63, "z" * 2_000_000, "y" * 3_000_000):
    with mlflow.start_span("outer") as outer:
        outer.set_inputs({"x": value})
        with mlflow.start_span("inner") as inner:
            inner.set_outputs({"a": [1, 2.5, None]})
    ids.append(outer.trace_id)
with mlflow.start_span("named") as named:
    mlflow.update_current_trace(client_request_id="", tags={"team": "a"})
mlflow.flush_trace_async_logging()
dataset = mlflow.genai.datasets.create_dataset("deep")
dataset.merge_records([{"inputs": {"q": json.loads("[" * 50 + "1" + "]" * 50)}}])
print(
    json.dumps(
        {
            "inputs": [str(mlflow.get_trace(trace_id).data.spans[0].inputs["x"])[:9] for trace_id in ids],
            "spans": [len(mlflow.get_trace(trace_id).data.spans) for trace_id in ids],
            "found": len(mlflow.search_traces(return_type="list")),
            "tags": mlflow.get_trace(named.trace_id).info.tags.get("team"),
            "deep": json.dumps(mlflow.genai.datasets.get_dataset(dataset_id=dataset.dataset_id).to_df()["inputs"][0]).count("["),
        }
    )
)
