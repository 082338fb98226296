"""`assay serve --mlflow-url`: what is tagged or deleted through the door, and what of it the MLflow server behind has."""

import os
import time
import uuid
from datetime import UTC, datetime, timedelta

import httpx
import pytest

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")

from mlflow import MlflowClient  # noqa: E402

from support.door import chat, new_trace_id, post_trace, trace_info  # noqa: E402
from support.waiting import wait_until  # noqa: E402

WITHIN = 30.0


@pytest.fixture
def door(assay, mlflow_url):
    return assay("serve", "--mlflow-url", mlflow_url, "--mlflow-feed-interval", "500ms", "--experiment", f"before-{uuid.uuid4().hex[:8]}")


def test_tags_and_deletions_are_read_here_at_once_and_reach_mlflow(door, mlflow_url):
    trace_id = chat(door.http)["trace_id"]
    here, direct = MlflowClient(door.url), httpx.Client(base_url=mlflow_url, timeout=30, trust_env=False)
    path = f"/api/3.0/mlflow/traces/{trace_id}"

    def tags_there():
        answer = direct.get(path)
        return answer.json()["trace"]["trace_info"]["tags"] if answer.status_code == 200 else {}

    here.set_trace_tag(trace_id, "shade", "blue")  # MLflow may not have the trace yet
    assert trace_info(door.http, trace_id)["tags"]["shade"] == "blue"
    wait_until("the tag is there", lambda: tags_there().get("shade") == "blue", WITHIN)
    here.delete_trace_tag(trace_id, "shade")
    assert "shade" not in trace_info(door.http, trace_id)["tags"]
    wait_until("it is gone there", lambda: "shade" not in tags_there(), WITHIN)

    experiment_id = trace_info(door.http, trace_id)["trace_location"]["mlflow_experiment"]["experiment_id"]
    assert here.delete_traces(experiment_id, trace_ids=[trace_id]) == 1
    assert here.delete_traces(experiment_id, trace_ids=[trace_id]) == 0, "whatever MLflow still shows"
    for read in (path, path.replace(trace_id, f"get?trace_id={trace_id}")):
        assert door.http.get(read).status_code == 410
    wait_until("the trace is gone there", lambda: direct.get(path).status_code == 404, WITHIN)
    assert here.delete_traces(experiment_id, trace_ids=[trace_id]) == 0


def test_an_assessment_that_was_deleted_is_gone_at_once_and_mlflows_own_is_deleted_there(door, mlflow_url):
    trace_id = chat(door.http)["trace_id"]
    direct = httpx.Client(base_url=mlflow_url, timeout=30, trust_env=False)
    path = f"/api/3.0/mlflow/traces/{trace_id}/assessments"

    def log(http: httpx.Client) -> str:
        said = {"assessment_name": "n", "source": {"source_type": "HUMAN"}, "feedback": {"value": True}}
        return http.post(path, json={"assessment": said}).raise_for_status().json()["assessment"]["assessment_id"]

    ours = f"{path}/{log(door.http)}"
    wait_until("it stands in MLflow", lambda: direct.get(ours).status_code == 200, WITHIN)
    door.http.delete(ours).raise_for_status()
    change = {"assessment": {"feedback": {"value": False}}, "update_mask": "feedback"}
    for answer in (door.http.get(ours), door.http.patch(ours, json=change)):
        assert (answer.status_code, answer.json()["error_code"]) == (410, "RESOURCE_DOES_NOT_EXIST"), "MLflow may still have it"
    door.http.delete(ours).raise_for_status()
    wait_until("it is gone there", lambda: direct.get(ours).status_code == 404, WITHIN)

    theirs = f"{path}/{log(direct)}"
    assert door.http.get(theirs).status_code == 200
    door.http.delete(theirs).raise_for_status()
    assert direct.get(theirs).status_code == 404


def test_tags_and_deletions_of_traces_that_only_mlflow_knows_are_mlflows(door, mlflow_url):
    direct = httpx.Client(base_url=mlflow_url, timeout=30, trust_env=False)
    here = MlflowClient(door.url)
    known, unknown = new_trace_id(), new_trace_id()
    post_trace(direct, unknown)
    post_trace(door.http, known)
    here.set_trace_tag(unknown, "shade", "blue")
    assert trace_info(direct, unknown)["tags"]["shade"] == trace_info(door.http, unknown)["tags"]["shade"] == "blue"
    here.delete_trace_tag(unknown, "shade")
    assert "shade" not in trace_info(direct, unknown)["tags"]
    wait_until("both stand in MLflow", lambda: direct.get(f"/api/3.0/mlflow/traces/{known}").status_code == 200, WITHIN)
    assert here.delete_traces("0", trace_ids=[known, unknown]) == 2
    for trace_id in (known, unknown):
        assert direct.get(f"/api/3.0/mlflow/traces/{trace_id}").status_code == 404
        assert door.http.get(f"/api/3.0/mlflow/traces/{trace_id}").status_code == 410  # of both it is known that they are gone


def test_a_deletion_by_time_takes_the_oldest_of_both_and_no_more(door, mlflow_url):
    here, there = MlflowClient(door.url), MlflowClient(mlflow_url)
    direct = httpx.Client(base_url=mlflow_url, timeout=30, trust_env=False)
    experiment_id = here.create_experiment(f"oldest-{uuid.uuid4().hex[:8]}")
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    traces = [new_trace_id() for _ in range(10)]
    for second, trace_id in enumerate(traces):
        http = direct if second in (1, 4, 9) else door.http  # those the door has not heard of
        post_trace(http, trace_id, experiment_id=experiment_id, request_time=(begun + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ"))

    def left(client: MlflowClient) -> set[str]:
        return {trace.info.trace_id for trace in client.search_traces(locations=[experiment_id], include_spans=False)}

    wait_until("MLflow has them all", lambda: left(there) == set(traces), WITHIN)
    now = int(time.time() * 1000)
    assert here.delete_traces(experiment_id, max_timestamp_millis=now, max_traces=3) == 3
    wait_until("the three oldest are gone there", lambda: left(there) == set(traces[3:]), WITHIN)
    assert [door.http.get(f"/api/3.0/mlflow/traces/{trace_id}").status_code for trace_id in traces] == [410] * 3 + [200] * 7
    assert here.delete_traces(experiment_id, max_timestamp_millis=int(begun.timestamp() * 1000) + 5_500, max_traces=100) == 3
    assert here.delete_traces(experiment_id, max_timestamp_millis=now) == 4
    wait_until("nothing is left", lambda: left(there) == set(), WITHIN)
    assert here.delete_traces(experiment_id, max_timestamp_millis=now, max_traces=5) == 0
