"""PATCH and DELETE /feedback/{id}: what is said of a change is what has become of the feedback."""

import json

import pytest

from support.assay import Assay, run_assay
from support.door import accepted, assessments, chat, new_request_id, new_trace_id, post_trace, receipt, wait_assessment, wait_state
from support.waiting import wait_until

VALUE = {"name": "tone", "value": True}


@pytest.fixture
def serve(assay) -> Assay:
    return assay("serve")


def test_a_change_that_names_another_trace_is_refused_and_changes_nothing(serve):
    trace_id, other = chat(serve.http)["trace_id"], chat(serve.http)["trace_id"]
    said = accepted(serve.http.post("/feedback", params={"trace_id": trace_id}, json=VALUE))
    wait_assessment(serve.http, trace_id, said)
    for answer in (
        serve.http.patch(f"/feedback/{said}", params={"trace_id": other}, json={"value": False}),
        serve.http.delete(f"/feedback/{said}", params={"trace_id": "tr-nowhere"}),
    ):
        assert answer.status_code == 422 and answer.json()["field"] == "trace_id", answer.text
    assert assessments(serve.http, trace_id)[said]["feedback"]["value"] is True
    right = serve.http.patch(f"/feedback/{said}", params={"trace_id": trace_id}, json={"value": False})
    assert right.status_code == 200 and right.json()["feedback"]["value"] is False
    gone = serve.http.delete(f"/feedback/{said}", params={"trace_id": trace_id})
    assert gone.status_code == 200 and gone.json()["status"] == "deleted"
    assert said not in assessments(serve.http, trace_id)


def letters_on(serve) -> list[dict]:
    return json.loads(run_assay("deadletters", "list", "--output", "json", "--data", str(serve.data)).stdout)


def test_what_is_taken_back_after_it_died_leaves_no_letter_and_commits_nothing(assay):
    serve = assay("serve", "--park-max", "1s")
    request_id = new_request_id()
    said = accepted(serve.http.post("/feedback", params={"client_request_id": request_id}, json=VALUE))
    wait_state(serve.http, said, "parked")
    assert serve.http.patch(f"/feedback/{said}", json={"comment": "words"}).status_code == 202
    wait_until("both are dead", lambda: len(letters_on(serve)) == 2)
    for _ in range(2):
        answer = serve.http.delete(f"/feedback/{said}")
        assert answer.status_code == 200 and answer.json()["status"] == "deleted", answer.text
        assert receipt(serve.http, said)["state"] == "deleted" and letters_on(serve) == []
    assert run_assay("deadletters", "replay", said, "--data", str(serve.data)).returncode == 1
    replayed = run_assay("deadletters", "replay", "--all", "--data", str(serve.data))
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    wait_until("its deletion has expired", lambda: "1 parked" not in run_assay("verify", "--data", str(serve.data)).stdout)
    post_trace(serve.http, trace_id := new_trace_id(), client_request_id=request_id)
    kept = accepted(serve.http.post("/feedback", params={"client_request_id": request_id}, json=VALUE))
    wait_assessment(serve.http, trace_id, kept)
    assert list(assessments(serve.http, trace_id)) == [kept]
    assert letters_on(serve) == [] and receipt(serve.http, said)["state"] == "deleted"
    assert run_assay("verify", "--data", str(serve.data)).returncode == 0


def test_what_was_taken_back_of_a_trace_that_never_came_stays_away_when_it_comes(assay):
    """The deletion names its trace: it is known before the create, which nothing brings any more."""
    serve = assay("serve", "--park-max", "1s")
    trace_id = new_trace_id()
    said = accepted(serve.http.post("/feedback", params={"trace_id": trace_id}, json=VALUE))
    wait_state(serve.http, said, "dead")
    answer = serve.http.delete(f"/feedback/{said}")
    assert answer.status_code == 200 and answer.json()["status"] == "deleted", answer.text
    assert letters_on(serve) == []
    post_trace(serve.http, trace_id)
    assert run_assay("deadletters", "replay", said, "--data", str(serve.data)).returncode == 1
    kept = accepted(serve.http.post("/feedback", params={"trace_id": trace_id}, json=VALUE))
    wait_assessment(serve.http, trace_id, kept)
    assert list(assessments(serve.http, trace_id)) == [kept]


def test_a_request_that_died_is_heard_when_it_is_said_again_with_its_key(assay):
    serve = assay("serve", "--park-max", "1s")
    request_id = new_request_id()

    def say(value: dict = VALUE):
        return serve.http.post("/feedback", params={"client_request_id": request_id}, json=value, headers={"Idempotency-Key": "k-1"})

    said = accepted(say())
    wait_state(serve.http, said, "dead")
    assert say({**VALUE, "value": "other"}).status_code == 422
    post_trace(serve.http, trace_id := new_trace_id(), client_request_id=request_id)
    for _ in range(2):
        assert accepted(say()) == said
    wait_assessment(serve.http, trace_id, said)
    assert list(assessments(serve.http, trace_id)) == [said] and letters_on(serve) == []
    assert run_assay("verify", "--data", str(serve.data)).returncode == 0


def test_the_value_of_an_expectation_is_not_changed_as_feedback(serve):
    trace_id = new_trace_id()
    post_trace(serve.http, trace_id)
    body = {"assessment": {"assessment_name": "gold", "source": {"source_type": "HUMAN"}, "expectation": {"value": 5}}}
    made = serve.http.post(f"/api/3.0/mlflow/traces/{trace_id}/assessments", json=body).json()["assessment"]["assessment_id"]
    wait_until("the expectation is there", lambda: made in assessments(serve.http, trace_id))
    refused = serve.http.patch(f"/feedback/{made}", json={"value": 7})
    assert refused.status_code == 422 and refused.json()["field"] == "value", refused.text
    assert assessments(serve.http, trace_id)[made]["expectation"]["value"] == 5
    assert serve.http.patch(f"/feedback/{made}", json={"metadata": {"a": "b"}}).status_code == 200


def test_one_assessment_that_cannot_be_taken_costs_its_trace_nothing(serve):
    trace_id = new_trace_id()
    given = [
        {"assessment_name": "good", "source": {"source_type": "HUMAN"}, "feedback": {"value": True}},
        {"assessment_name": "n" * 251, "source": {"source_type": "HUMAN"}, "feedback": {"value": True}},
    ]
    info = {"trace_id": trace_id, "client_request_id": f"of-{trace_id}", "tags": {"env": "prod", "mlflow.artifactLocation": "elsewhere"}, "assessments": given}
    location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}
    sent = {"trace": {"trace_info": {**info, "trace_location": location, "request_time": "2026-11-28T12:00:00Z", "state": "OK"}}}
    answer = serve.http.post("/api/3.0/mlflow/traces", json=sent)
    assert answer.status_code == 400 and "assessment_name" in answer.text and "kept" in answer.text, answer.text
    wait_until("its other assessment is there", lambda: len(assessments(serve.http, trace_id)) == 1)
    [kept] = assessments(serve.http, trace_id).values()
    assert kept["assessment_name"] == "good"
    stored = serve.http.get(f"/api/3.0/mlflow/traces/{trace_id}").json()["trace"]["trace_info"]
    assert stored["tags"]["env"] == "prod" and stored["tags"]["mlflow.artifactLocation"] != "elsewhere"
    assert serve.http.post("/feedback", params={"client_request_id": f"of-{trace_id}"}, json=VALUE).status_code == 200
