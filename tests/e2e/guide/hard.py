"""What is hard to send: values that OpenTelemetry's protobuf has no place for, an export larger than most, records and spans of great depth."""

import json
import os
import uuid

import mlflow
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

experiment = mlflow.set_experiment("hard").experiment_id


def lists(depth: int) -> AnyValue:
    value = AnyValue(string_value="deep")
    for _ in range(depth):
        value = AnyValue(array_value=ArrayValue(values=[value]))
    return value


def objects(depth: int) -> AnyValue:
    value = AnyValue(string_value="deep")
    for _ in range(depth):
        value = AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="k", value=value)]))
    return value


def read_back(value: AnyValue) -> list[bool]:
    """A value of a span, an event and a link, sent by another tracer."""
    sent = ExportTraceServiceRequest()
    trace_id = uuid.uuid4()
    span = sent.resource_spans.add().scope_spans.add().spans.add(trace_id=trace_id.bytes, span_id=b"12345678", name="s", start_time_unix_nano=1, end_time_unix_nano=2)
    for attributes in (span.attributes, span.events.add(name="e").attributes, span.links.add(trace_id=trace_id.bytes, span_id=b"12345678").attributes):
        attributes.add(key="k", value=value)
    headers = {"Content-Type": "application/x-protobuf", "x-mlflow-experiment-id": experiment}
    requests.post(os.environ["MLFLOW_TRACKING_URI"] + "/v1/traces", data=sent.SerializeToString(), headers=headers, timeout=60).raise_for_status()
    span = mlflow.get_trace(f"tr-{trace_id.hex}").data.spans[0]
    return ["deep" in str(found.attributes["k"]) for found in (span, span.events[0])]


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
found = len(mlflow.search_traces(return_type="list"))
spans = [read_back(value) for value in (lists(28), lists(47), lists(48), objects(31), objects(32))]
dataset = mlflow.genai.datasets.create_dataset("deep")
dataset.merge_records([{"inputs": {"q": json.loads("[" * 50 + "1" + "]" * 50)}}])
print(
    json.dumps(
        {
            "inputs": [str(mlflow.get_trace(trace_id).data.spans[0].inputs["x"])[:9] for trace_id in ids],
            "spans": [len(mlflow.get_trace(trace_id).data.spans) for trace_id in ids],
            "found": found,
            "read": spans == [[True, True]] * 5,
            "tags": mlflow.get_trace(named.trace_id).info.tags.get("team"),
            "deep": json.dumps(mlflow.genai.datasets.get_dataset(dataset_id=dataset.dataset_id).to_df()["inputs"][0]).count("["),
        }
    )
)
