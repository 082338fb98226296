"""`--unknown-trace=reject` before a real MLflow server: only of what neither the door nor MLflow knows it is said that it is not there."""

import uuid

import httpx
import pytest

from support.assay import run_assay
from support.deployment import deploy
from support.door import accepted, chat, new_request_id, new_trace_id, post_trace, wait_state
from support.keys import bearer, create_key
from support.ports import free_port
from support.waiting import wait_until

DELETE = "/api/3.0/mlflow/traces/delete-traces"
SEARCH = "/api/3.0/mlflow/traces/search"
THUMB = {"is_correct": True}
VALUE = {"assessment": {"assessment_name": "n", "feedback": {"value": 1}, "source": {"source_type": "HUMAN", "source_id": "ana"}}}


@pytest.fixture
def direct(mlflow_url):
    return httpx.Client(base_url=mlflow_url, timeout=30, trust_env=False)


def _refused(http: httpx.Client) -> None:
    for params in ({"trace_id": new_trace_id()}, {"client_request_id": new_request_id()}, {"client_request_id": "long-" + "x" * 60}):
        answer = http.post("/feedback", params=params, json=THUMB)
        assert answer.status_code == 404 and next(iter(params)) in answer.text, answer.text
    answer = http.post(f"/api/3.0/mlflow/traces/{new_trace_id()}/assessments", json=VALUE)
    assert answer.status_code == 404 and answer.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST", answer.text


def test_what_only_mlflow_knows_is_not_refused_and_is_found(assay, mlflow_url, direct):
    # No feeder helps.
    door = assay("serve", "--mlflow-url", mlflow_url, "--mlflow-feed-interval", "0s", "--unknown-trace=reject")
    _refused(door.http)
    trace_id, request_id, other = new_trace_id(), new_request_id(), new_trace_id()
    post_trace(direct, trace_id, request_id)
    post_trace(direct, other)
    by_request = door.http.post("/feedback", params={"client_request_id": request_id}, json=THUMB)
    by_trace = door.http.post("/feedback", params={"trace_id": other}, json=THUMB)
    assert (by_request.status_code, by_request.json()["trace_id"]) == (200, trace_id), by_request.text
    assert by_trace.status_code == 200, by_trace.text
    for answer in (by_request, by_trace):
        wait_state(door.http, accepted(answer), "committed")
    logged = direct.get(f"/api/3.0/mlflow/traces/{trace_id}").json()["trace"]["trace_info"]["assessments"]
    assert [a["assessment_id"] for a in logged] == [accepted(by_request)]
    assert door.http.post(f"/api/3.0/mlflow/traces/{other}/assessments", json=VALUE).status_code == 200
    batch = [{"trace_id": other} | THUMB, {"trace_id": new_trace_id()} | THUMB]
    assert [one["status"] for one in door.http.post("/feedback/batch", json=batch).json()["results"]] == [200, 404]
    assert door.http.post("/feedback", params={"trace_id": chat(door.http)["trace_id"]}, json=THUMB).status_code == 200


@pytest.mark.parametrize("request_id", ["ü" * 40, "x" * 60], ids=["more bytes than characters", "too long for its column"])
def test_a_long_id_is_looked_for_where_it_may_stand(assay, mlflow_url, direct, request_id):
    door = assay("serve", "--mlflow-url", mlflow_url, "--mlflow-feed-interval", "0s", "--unknown-trace=reject")
    trace_id = new_trace_id()
    if len(request_id) > 50:
        post_trace(direct, trace_id, None, trace_metadata={"assay.client_request_id": request_id})
    else:
        post_trace(direct, trace_id, request_id)
    answer = door.http.post("/feedback", params={"client_request_id": request_id}, json=THUMB)
    assert (answer.status_code, answer.json().get("trace_id")) == (200, trace_id), answer.text


def test_what_was_deleted_in_mlflow_through_the_door_takes_no_more_feedback(assay, mlflow_url, direct):
    door = assay("serve", "--mlflow-url", mlflow_url, "--mlflow-feed-interval", "200ms", "--unknown-trace=reject")
    trace_id, request_id = new_trace_id(), new_request_id()
    post_trace(direct, trace_id, request_id)
    said = accepted(door.http.post("/feedback", params={"client_request_id": request_id}, json=THUMB))
    wait_state(door.http, said, "committed")
    deletion = {"experiment_id": "0", "request_ids": [trace_id]}
    assert door.http.post(DELETE, json=deletion).json() == {"traces_deleted": 1}
    for params in ({"trace_id": trace_id}, {"client_request_id": request_id}):
        assert door.http.post("/feedback", params=params, json=THUMB).status_code == 404
    assert door.http.post(f"/api/3.0/mlflow/traces/{trace_id}/assessments", json=VALUE).status_code == 404
    wait_state(door.http, said, "deleted")


def test_what_mlflow_does_not_delete_stands(assay, mlflow_url, direct):
    door = assay("serve", "--mlflow-url", mlflow_url, "--mlflow-feed-interval", "200ms", "--unknown-trace=reject")
    trace_id = new_trace_id()
    post_trace(direct, trace_id)
    elsewhere = {"experiment_id": "987654", "request_ids": [trace_id]}
    assert door.http.post(DELETE, json=elsewhere).json() == {"traces_deleted": 0}
    wait_state(door.http, accepted(door.http.post("/feedback", params={"trace_id": trace_id}, json=THUMB)), "committed")
    assert direct.get(f"/api/3.0/mlflow/traces/{trace_id}").status_code == 200


def test_who_may_not_delete_leaves_no_deletion_and_who_may_read_may_search(assay, mlflow_url, direct):
    door = assay("serve", "--require-keys", "--mlflow-url", mlflow_url, "--mlflow-feed-interval", "200ms", start=False)
    user, admin = create_key(door, "user", "read", "trace", "feedback"), create_key(door, "admin", "admin")
    door.start()
    trace_id, request_id = new_trace_id(), new_request_id()
    post_trace(direct, trace_id, request_id)
    deletion = {"experiment_id": "0", "request_ids": [trace_id]}
    question = {"locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}], "filter": f"client_request_id = '{request_id}'"}

    def said() -> int:
        return door.http.post("/feedback", params={"trace_id": trace_id}, json=THUMB, headers=bearer(user)).status_code

    assert door.http.post(DELETE, json=deletion, headers=bearer(user)).status_code == 403
    assert door.http.post(SEARCH, json=question, headers=bearer(admin)).status_code == 403
    [found] = door.http.post(SEARCH, json=question, headers=bearer(user)).json()["traces"]
    assert found["trace_id"] == trace_id and said() in (200, 202)
    assert door.http.post(DELETE, json=deletion, headers=bearer(admin)).json() == {"traces_deleted": 1}
    assert said() == 404


def test_what_mlflow_can_not_be_asked_for_is_accepted(assay):
    door = assay("serve", "--mlflow-url", f"http://127.0.0.1:{free_port()}", "--unknown-trace=reject")
    for params in ({"trace_id": new_trace_id()}, {"client_request_id": new_request_id()}):
        assert door.http.post("/feedback", params=params, json=THUMB).status_code == 202
    assert "assay_traces_behind_failed_total 2" in door.http.get("/metrics").text


def test_an_id_that_mlflows_filter_can_not_quote_is_accepted(assay, mlflow_url):
    door = assay("serve", "--mlflow-url", mlflow_url, "--unknown-trace=reject")
    assert door.http.post("/feedback", params={"client_request_id": "it's"}, json=THUMB).status_code == 202


def test_a_kafka_door_without_a_view_asks_mlflow(assay, kafka, topic_prefix, mlflow_url, direct):
    flags = ["--kafka", kafka, "--topic-prefix", topic_prefix]
    assert run_assay("topics", "create", *flags, "--partitions", "2").returncode == 0
    door = assay("ingest", *flags, "--mlflow-url", mlflow_url, "--unknown-trace", "reject")
    _refused(door.http)
    trace_id, request_id = new_trace_id(), f"q-{uuid.uuid4().hex}"
    post_trace(direct, trace_id, request_id)
    for params in ({"trace_id": trace_id}, {"client_request_id": request_id}):
        assert door.http.post("/feedback", params=params, json=THUMB).status_code == 202
    said = chat(door.http)  # MLflow has not heard of it yet, but this door has made it
    assert door.http.post("/feedback", params={"client_request_id": said["client_request_id"]}, json=THUMB).status_code == 202


def test_feedback_for_what_was_deleted_through_a_kafka_door_does_not_wait(assay, kafka, topic_prefix, mlflow_url, direct):
    on = deploy(assay, kafka, topic_prefix, mlflow_url, ("--mlflow-url", mlflow_url), ("--mlflow-feed-interval", "0s"))
    trace_id = new_trace_id()
    post_trace(direct, trace_id, None, on.experiment_id)
    early = on.give(trace_id=trace_id)  # nobody tells of it: it is parked
    assert on.http.post(DELETE, json={"experiment_id": on.experiment_id, "request_ids": [trace_id]}).json() == {"traces_deleted": 1}
    late = on.give(trace_id=trace_id)
    wait_until("both are resolved", lambda: {early, late} <= {said["assessment"]["assessment_id"] for said in on.forwarded()}, 30)
    on.wait_flowed()
    for worker in on.workers:
        waiting = [line for line in worker.http.get("/metrics").text.splitlines() if line.startswith("assay_mlflow_waiting_records")]
        assert waiting and all(line.endswith(" 0") for line in waiting), waiting
