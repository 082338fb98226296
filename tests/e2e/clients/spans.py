"""spans.py EXPERIMENT READ_URL: logs a trace with the MLflow of MLFLOW_TRACKING_URI and says what is found of it at READ_URL."""

import json
import sys
import time

import httpx
import mlflow
from mlflow import MlflowClient
from mlflow.entities import Link, SpanEvent

FILTERS = [
    "span.name = 'think'",
    "span.type = 'LLM'",
    "span.status = 'OK'",
    "span.content LIKE '%needle%'",
    "span.attributes.mlflow.spanInputs LIKE '%needle%'",
    "trace.text LIKE '%needle%'",
    "span.name = 'nobody'",
]


def log(experiment: str) -> str:
    mlflow.set_experiment(experiment)
    with mlflow.start_span("answer", span_type="AGENT") as root:
        root.set_inputs({"question": "warum, ñandú 🐎?", "list": [1, 2.5, True, None, {"deep": [[]]}], "text": '{"no": "object"}'})
        with mlflow.start_span("think", span_type="LLM") as span:
            span.set_inputs("a needle")
            span.set_attributes({"number": 7, "real": 1.0, "small": 1e-7, "flag": False, "nothing": None, "texts": ["a", "b"], "empty": {}})
            span.set_attribute("mlflow.chat.tokenUsage", {"input_tokens": 5, "output_tokens": 6, "total_tokens": 11})
            span.add_event(SpanEvent("looked", timestamp=span.start_time_ns + 1, attributes={"where": "here", "n": 3}))
            span.set_outputs({"answer": "because"})
        try:
            with mlflow.start_span("fail", span_type="TOOL"):
                raise ValueError("no")
        except ValueError:
            pass
        root.add_link(Link("tr-" + "1" * 32, "2" * 16, {"why": "retry"}))
        root.set_outputs("because")
    mlflow.flush_trace_async_logging()
    return root.trace_id


def main() -> None:
    experiment, read_url = sys.argv[1:]
    trace_id = log(experiment)
    client = MlflowClient(read_url)
    deadline = time.monotonic() + 60
    while True:
        place = client.get_experiment_by_name(experiment)
        found = {f: len(client.search_traces(locations=[place.experiment_id], filter_string=f, include_spans=False)) for f in FILTERS} if place else {}
        if found.get("trace.text LIKE '%needle%'") or time.monotonic() > deadline:
            break
        time.sleep(0.3)
    trace = client.get_trace(trace_id)
    metrics = {"experiment_ids": [place.experiment_id], "view_type": "SPANS", "metric_name": "span_count", "aggregations": [{"aggregation_type": "COUNT"}]}
    counted = httpx.post(f"{read_url}/api/3.0/mlflow/traces/metrics", json=metrics, timeout=30, trust_env=False).json()
    info = trace.info
    root = next(s for s in trace.data.spans if s.parent_id is None)
    print(
        json.dumps({
            "found": found,
            "counted": [point["values"] for point in counted["data_points"]],
            "location": info.tags.get("mlflow.trace.spansLocation"),
            "state": info.state,
            "starts": info.request_time == root.start_time_ns // 1_000_000,
            "lasts": info.execution_duration == (root.end_time_ns - root.start_time_ns) // 1_000_000,
            "previews": [info.request_preview, info.response_preview],
            "tokens": info.token_usage,
            "spans": [
                {
                    "name": s.name,
                    "type": s.span_type,
                    "child": s.parent_id is not None,
                    "ended": s.end_time_ns is not None and s.end_time_ns >= s.start_time_ns,
                    "status": [s.status.status_code.value, s.status.description],
                    "inputs": s.inputs,
                    "outputs": s.outputs,
                    "attributes": {k: v for k, v in s.attributes.items() if k != "mlflow.traceRequestId"},
                    "events": [[e.name, {k: v for k, v in e.attributes.items() if k != "exception.stacktrace"}] for e in s.events],
                    "links": [[k.trace_id, k.span_id, k.attributes] for k in s.links],
                }
                for s in sorted(trace.data.spans, key=lambda s: s.start_time_ns)
            ],
        })
    )


if __name__ == "__main__":
    main()
