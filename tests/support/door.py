"""What an application and its users ask of a front door, and how a test reads it back."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx

from .waiting import wait_until


def new_trace_id() -> str:
    return f"tr-{uuid.uuid4().hex}"


def new_request_id() -> str:
    return f"req-{uuid.uuid4().hex}"


def trace_body(trace_id: str, client_request_id: str | None = None, experiment_id: str = "0", **info) -> dict:
    """The body of MLflow's StartTraceV3, as its client sends it when a root span ends."""
    return {
        "trace": {
            "trace_info": {
                "trace_id": trace_id,
                **({"client_request_id": client_request_id} if client_request_id is not None else {}),
                "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment_id}},
                "request_time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "execution_duration": "0.048s",
                "state": "OK",
                "trace_metadata": {"mlflow.trace_schema.version": "3", "mlflow.source.name": "app.py"},
                "tags": {"mlflow.traceName": "answer"},
                "request_preview": '{"q": "hi"}',
                "response_preview": '{"a": "there"}',
                **info,
            }
        }
    }


def post_trace(http: httpx.Client, trace_id: str, client_request_id: str | None = None, experiment_id: str = "0", **info) -> dict:
    """The trace arrives, as MLflow's client sends it; the trace_info of the answer."""
    answer = http.post("/api/3.0/mlflow/traces", json=trace_body(trace_id, client_request_id, experiment_id, **info))
    assert answer.status_code == 200, answer.text
    return answer.json()["trace"]["trace_info"]


def otel_value(value: object) -> dict:
    if isinstance(value, dict):
        return {"kvlistValue": {"values": [{"key": key, "value": otel_value(inner)} for key, inner in value.items()]}}
    if isinstance(value, str):
        return {"stringValue": value}
    return {"intValue": str(value)} if isinstance(value, int) else {"doubleValue": value}


def post_spans(http: httpx.Client, trace_id: str, experiment_id: str, *spans: tuple[str, str, dict]) -> None:
    """As OpenTelemetry's exporter sends them: each with its id, that of its parent (may be empty) and its attributes."""
    same = {"name": "s", "kind": 1, "startTimeUnixNano": "1780000000000000000", "endTimeUnixNano": "1780000000001000000", "traceId": trace_id.removeprefix("tr-")}
    sent = [
        {**same, "spanId": id.rjust(16, "0"), "parentSpanId": parent and parent.rjust(16, "0"), "attributes": [{"key": key, "value": otel_value(value)} for key, value in said.items()]}
        for id, parent, said in spans
    ]
    answer = http.post("/v1/traces", json={"resourceSpans": [{"scopeSpans": [{"spans": sent}]}]}, headers={"x-mlflow-experiment-id": experiment_id})
    assert answer.status_code == 200, answer.text


def chat(http: httpx.Client, message: str = "Is water wet?", client_request_id: str | None = None, **headers: str) -> dict:
    if client_request_id is not None:
        headers["X-Client-Request-Id"] = client_request_id
    answer = http.post("/chat", json={"message": message}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def accepted(answer: httpx.Response) -> str:
    """The assessment_id of an answer that says "accepted", checked against what such an answer must say."""
    assert answer.status_code in (200, 202), f"{answer.status_code} {answer.text}"
    body = answer.json()
    assert body["status"] == ("success" if answer.status_code == 200 else "accepted")
    assert answer.headers["Assay-Durability"] in ("disk", "kafka")
    return body["assessment_id"]


def receipt(http: httpx.Client, assessment_id: str) -> dict:
    answer = http.get(f"/feedback/{assessment_id}")
    assert answer.status_code == 200, f"{assessment_id}: {answer.status_code} {answer.text}"
    return answer.json()


def wait_state(http: httpx.Client, assessment_id: str, state: str, within: float = 20.0) -> dict:
    """Waits until the receipt says `state` and returns it."""

    def reached():
        found = receipt(http, assessment_id)
        if found["state"] == state:
            return found
        raise AssertionError(found)

    return wait_until(f"{assessment_id} {state}", reached, within)


def trace_info(http: httpx.Client, trace_id: str) -> dict:
    answer = http.get(f"/api/3.0/mlflow/traces/{trace_id}")
    assert answer.status_code == 200, f"{trace_id}: {answer.status_code} {answer.text}"
    return answer.json()["trace"]["trace_info"]


def assessments(http: httpx.Client, trace_id: str) -> dict[str, dict]:
    """The trace's assessments by id; each must be there once."""
    found = trace_info(http, trace_id).get("assessments", [])
    by_id = {a["assessment_id"]: a for a in found}
    assert len(by_id) == len(found), f"an assessment stands twice on {trace_id}: {found}"
    return by_id


def wait_assessment(http: httpx.Client, trace_id: str, assessment_id: str, within: float = 20.0) -> dict:
    return wait_until(f"{assessment_id} on {trace_id}", lambda: assessments(http, trace_id).get(assessment_id), within)


def events(lines: Iterator[str]) -> Iterator[tuple[str | None, dict]]:
    """Server-sent events as (id, data), as they come."""
    event_id, data = None, []
    for line in lines:
        if line.startswith("id:"):
            event_id = line[3:].strip()
        elif line.startswith("data:"):
            data.append(line[5:].strip())
        elif not line and data:
            yield event_id, json.loads("\n".join(data))
            event_id, data = None, []
