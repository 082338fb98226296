"""What an id names: whose feedback it is when ids are used again, early, or by somebody else."""

import pytest

from support.assay import Assay
from support.door import accepted, assessments, chat, new_request_id, new_trace_id, post_trace, receipt, wait_assessment
from support.waiting import wait_until


@pytest.fixture
def serve(assay) -> Assay:
    return assay("serve")


def test_what_is_said_of_a_trace_stays_there_whoever_uses_its_id_as_his_own(serve):
    """A client_request_id is anybody's to choose."""
    victim, thief = chat(serve.http)["trace_id"], new_trace_id()
    post_trace(serve.http, thief, victim)
    bodies = [{"trace_id": victim}, {"client_request_id": victim}]
    said = [accepted(serve.http.post("/feedback", params=target, json={"is_correct": True})) for target in bodies]
    asked = {"assessment": {"assessment_name": "judge", "source": {"source_type": "LLM_JUDGE"}, "feedback": {"value": 1}}}
    said.append(serve.http.post(f"/api/3.0/mlflow/traces/{victim}/assessments", json=asked).raise_for_status().json()["assessment"]["assessment_id"])
    for assessment_id in said:
        wait_assessment(serve.http, victim, assessment_id)
    assert assessments(serve.http, thief) == {}


def test_early_feedback_waits_for_the_trace_whose_id_it_names(serve):
    victim = new_trace_id()
    said = accepted(serve.http.post("/feedback", params={"trace_id": victim}, json={"is_correct": True}))
    thief = new_trace_id()
    post_trace(serve.http, thief, victim)
    assert receipt(serve.http, said)["state"] == "parked"
    post_trace(serve.http, victim)
    wait_assessment(serve.http, victim, said)


def test_an_id_that_names_another_trace_by_now_is_answered_with_that_one(serve):
    for _ in range(60):
        request_id, traces = new_request_id(), [new_trace_id(), new_trace_id()]
        for trace_id in traces:
            post_trace(serve.http, trace_id, request_id)
        answer = serve.http.post("/feedback", params={"client_request_id": request_id}, json={"is_correct": True}).json()
        assert answer["trace_id"] == traces[1]
        wait_assessment(serve.http, traces[1], answer["assessment_id"])


def test_a_trace_that_was_deleted_stands_in_nobodys_way_who_has_its_request_id(serve):
    for _ in range(40):
        request_id, gone, stands = new_request_id(), new_trace_id(), new_trace_id()
        post_trace(serve.http, gone, request_id)
        deleted = serve.http.post("/api/3.0/mlflow/traces/delete-traces", json={"experiment_id": "0", "request_ids": [gone]})
        assert deleted.status_code == 200, deleted.text
        post_trace(serve.http, stands, request_id)
        answer = serve.http.post("/feedback", params={"client_request_id": request_id}, json={"is_correct": True})
        assert answer.status_code == 200 and answer.json()["trace_id"] == stands, answer.text


def test_what_was_taken_back_is_said_with_its_trace_however_often(serve):
    asked = chat(serve.http)
    said = accepted(serve.http.post("/feedback", params={"client_request_id": asked["client_request_id"]}, json={"is_correct": True}))
    wait_until("it is committed", lambda: receipt(serve.http, said)["state"] == "committed")
    answers = [serve.http.delete(f"/feedback/{said}", headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [answer.json() for answer in answers] == [{"status": "deleted", "assessment_id": said, "trace_id": asked["trace_id"]}] * 2
