"""A front door on Kafka with a view: it reads what it wrote, says where feedback is, and knows traces."""

import json
from dataclasses import dataclass

import pytest

from support.assay import Assay, run_assay
from support.door import accepted, assessments, chat, new_request_id, new_trace_id, post_trace, receipt, trace_info, wait_assessment, wait_state
from support.waiting import wait_until

THUMB = {"is_correct": True, "comment": "spot on"}
WITHIN = 60.0


@dataclass
class Deployment:
    flags: tuple[str, ...]
    door: Assay
    worker: Assay

    def give(self, body: dict = THUMB, door: Assay | None = None, **target: str) -> tuple[int, str]:
        answer = (door or self.door).http.post("/feedback", params=target, json=body)
        return answer.status_code, accepted(answer)


@pytest.fixture
def on(assay, kafka, topic_prefix) -> Deployment:
    flags = ("--kafka", kafka, "--topic-prefix", topic_prefix)
    made = run_assay("topics", "create", *flags, "--partitions", "3")
    assert made.returncode == 0, made.stderr
    worker = assay("worker", *flags, "--park-max", "1h", "--instance-id", "w", start=False).spawn()
    door = assay("ingest", *flags, "--view")
    worker.wait_ready()
    return Deployment(flags, door, worker)


def test_it_reads_what_it_has_just_accepted(on):
    request_id, trace_id = new_request_id(), new_trace_id()
    status, early = on.give(client_request_id=request_id)
    assert status == 202
    found = receipt(on.door.http, early)  # at once: a read waits for what this door wrote before it
    assert found["state"] == "parked" and found["client_request_id"] == request_id
    post_trace(on.door.http, trace_id, request_id)
    # The trace is there at once; that its worker has released what waited for it, no position of the log tells.
    assert trace_info(on.door.http, trace_id)["client_request_id"] == request_id
    assert wait_assessment(on.door.http, trace_id, early)["rationale"] == "spot on"
    found = receipt(on.door.http, early)
    assert found["state"] == "committed" and found["trace_id"] == trace_id and found["sinks"]["store"] == "committed"
    assert "mlflow" not in found["sinks"], "no such sink has ever begun"
    status, later = on.give(client_request_id=request_id)
    assert status == 200, "the trace is known here"
    changed = on.door.http.patch(f"/feedback/{later}", json={"value": False})
    assert changed.status_code == 200 and changed.json()["feedback"]["value"] is False
    assert on.door.http.delete(f"/feedback/{early}").status_code == 200
    assert set(assessments(on.door.http, trace_id)) == {later}
    told = chat(on.door.http, "Is water wet?")
    assert on.give(trace_id=told["trace_id"])[0] == 200
    wait_until("ready", lambda: on.door.http.get("/readyz").json()["checks"]["view"] == "ok")


def test_a_change_that_names_another_trace_is_refused_and_changes_nothing(on):
    own, other = (chat(on.door.http)["trace_id"] for _ in range(2))
    _, given = on.give(trace_id=own)
    wait_assessment(on.door.http, own, given)
    for wrong in (other, new_trace_id()):
        changed = on.door.http.patch(f"/feedback/{given}", params={"trace_id": wrong}, json={"value": False})
        deleted = on.door.http.delete(f"/feedback/{given}", params={"trace_id": wrong})
        for answer in (changed, deleted):
            assert answer.status_code == 422 and answer.json()["detail"].startswith("trace_id"), answer.text
    assert assessments(on.door.http, own)[given]["feedback"]["value"] is True
    right = on.door.http.patch(f"/feedback/{given}", params={"trace_id": own}, json={"value": False})
    assert right.status_code == 200 and right.json()["feedback"]["value"] is False


def test_without_a_worker_a_receipt_says_accepted(on):
    trace_id = chat(on.door.http)["trace_id"]
    assert on.worker.terminate() == 0
    _, by_trace = on.give(trace_id=trace_id)
    batch = on.door.http.post("/feedback/batch", json=[{"client_request_id": "req-nobody", "is_correct": True}])
    early = batch.json()["results"][0]["assessment_id"]
    for assessment_id, field, value in ((by_trace, "trace_id", trace_id), (early, "client_request_id", "req-nobody")):
        found = receipt(on.door.http, assessment_id)
        assert found["state"] == "accepted" and found[field] == value and found["accepted_at"]
    assert on.door.http.get("/feedback/a-0123").status_code == 503, "it may be another door's"
    on.worker.start()
    wait_state(on.door.http, by_trace, "committed")


def test_what_another_door_accepted_is_seen_too_and_a_restart_continues(on, assay):
    other = assay("ingest", *on.flags)
    trace_id = new_trace_id()
    post_trace(other.http, trace_id)
    _, first = on.give(door=other, trace_id=trace_id)
    wait_assessment(on.door.http, trace_id, first)
    _, mine = on.give(trace_id=trace_id)
    on.door.kill9()
    _, second = on.give(door=other, trace_id=trace_id)
    on.door.start()
    wait_assessment(on.door.http, trace_id, second)
    assert set(assessments(on.door.http, trace_id)) == {first, mine, second}
    # A new view on a new disk comes to the same.
    fresh = assay("ingest", *on.flags, "--view")
    for one in (first, mine, second):
        wait_assessment(fresh.http, trace_id, one)
    assert other.http.get(f"/feedback/{first}").status_code == 501
    assert other.http.get(f"/api/3.0/mlflow/traces/{trace_id}").status_code == 501


def test_a_dead_letter_has_a_receipt_is_replayed_and_purged_with_the_same_id(on):
    on.worker.terminate()
    on.worker.args = tuple("1s" if a == "1h" else a for a in on.worker.args)
    on.worker.start()
    request_id, never = new_request_id(), new_request_id()
    _, late = on.give(client_request_id=request_id)
    _, orphan = on.give(client_request_id=never)
    found = wait_state(on.door.http, late, "dead", WITHIN)
    assert found["reason"].startswith("expired") and found["client_request_id"] == request_id
    wait_state(on.door.http, orphan, "dead", WITHIN)

    listed = run_assay("deadletters", "list", *on.flags, "--output", "json")
    assert listed.returncode == 0, listed.stderr
    assert {d["record_id"] for d in json.loads(listed.stdout)} == {late, orphan}
    assert "expired" in run_assay("deadletters", "list", *on.flags).stdout
    assert run_assay("deadletters", "list", *on.flags, "--reason", "malformed").stdout == "0 dead letters\n"
    shown = run_assay("deadletters", "show", late, *on.flags)
    assert json.loads(shown.stdout)["record"]["items"][0]["assessment_id"] == late

    trace_id = new_trace_id()
    post_trace(on.door.http, trace_id, request_id)
    replayed = run_assay("deadletters", "replay", late, *on.flags)
    assert replayed.returncode == 0, replayed.stderr
    wait_assessment(on.door.http, trace_id, late, WITHIN)
    wait_state(on.door.http, late, "committed")
    purged = run_assay("deadletters", "purge", "--all", *on.flags)
    assert purged.returncode == 0 and orphan in purged.stdout and late not in purged.stdout
    assert run_assay("deadletters", "list", *on.flags).stdout == "0 dead letters\n"
    wait_until("the receipt is gone", lambda: on.door.http.get(f"/feedback/{orphan}").status_code == 404)
    assert run_assay("deadletters", "replay", orphan, *on.flags).returncode == 1
    verified = run_assay("verify", *on.flags, "--data", str(on.door.data))
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_unknown_traces_are_refused_where_that_is_wanted(on, assay):
    strict = assay("ingest", *on.flags, "--view", "--unknown-trace", "reject")
    refused = strict.http.post("/feedback", params={"trace_id": new_trace_id()}, json=THUMB)
    assert refused.status_code == 404 and "trace_id" in refused.text
    trace_id = new_trace_id()
    post_trace(on.door.http, trace_id)
    wait_until("known", lambda: strict.http.post("/feedback", params={"trace_id": trace_id}, json=THUMB).status_code == 200)
    blind = run_assay("ingest", *on.flags, "--data", str(strict.home / "d"), "--unknown-trace", "reject")
    assert blind.returncode == 2 and "--view" in blind.stderr


def test_a_directory_belongs_to_one_kind_of_process(on):
    on.door.terminate()
    wrong = run_assay("serve", "--listen", "127.0.0.1:0", "--data", str(on.door.data))
    assert wrong.returncode == 2 and "assay ingest" in wrong.stderr
