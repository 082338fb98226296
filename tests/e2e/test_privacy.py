"""What people said: cleared before it is kept, and taken away when they ask."""

import json

import pytest

from support.assay import run_assay
from support.door import accepted, assessments, new_request_id, new_trace_id, post_trace, trace_info, wait_state
from support.waiting import wait_until

MAIL, CARD, PHONE = "ana@mail.example", "4111 1111 1111 1111", "+49 30 1234567"


def test_what_is_redacted_reaches_neither_the_store_nor_the_disk(assay):
    door = assay("serve", "--redact", "email,phone,card", "--redact-pattern", "ticket=T-[0-9]{4}")
    said = f"{MAIL} {CARD} {PHONE} T-1234"
    trace_id = door.http.post("/chat", json={"message": f"I am {said}"}, headers={"X-User-ID": MAIL}).json()["trace_id"]
    target = f"trace_id={trace_id}&user_id={MAIL}"
    ids = [
        accepted(door.http.post(f"/feedback?{target}", json={"is_correct": False, "comment": said})),
        accepted(door.http.post(f"/feedback?{target}", json={"name": "n", "value": {"text": said}, "metadata": {"k": said}})),
        accepted(door.http.post(f"/feedback?{target}", json={"name": "m", "value": 1})),
        door.http.post("/feedback/batch", json=[{"trace_id": trace_id, "name": "b", "value": said}]).json()["results"][0]["assessment_id"],
        door.http.post(f"/api/3.0/mlflow/traces/{trace_id}/assessments", json={"assessment": {"assessment_name": "x", "feedback": {"value": said}}}).json()["assessment"]["assessment_id"],
    ]  # fmt: skip
    for assessment_id in ids:
        wait_state(door.http, assessment_id, "committed")
    changed = door.http.patch(f"/feedback/{ids[2]}", json={"rationale": said})
    cleared = "[email] [card] [phone] [ticket]"
    assert changed.json()["rationale"] == cleared
    found = assessments(door.http, trace_id)
    assert found[ids[0]]["rationale"] == cleared and found[ids[0]]["source"]["source_id"] == MAIL
    assert found[ids[1]]["feedback"]["value"] == {"text": cleared} and found[ids[1]]["metadata"] == {"k": cleared}
    assert found[ids[3]]["feedback"]["value"] == cleared and found[ids[4]]["feedback"]["value"] == cleared
    info = trace_info(door.http, trace_id)
    root = door.http.get(f"/api/3.0/mlflow/traces/get?trace_id={trace_id}").json()["trace"]["spans"][0]
    assert MAIL in json.dumps([a for a in root["attributes"] if a["key"] == "user_id"]), "users stay"
    for preview in (info["request_preview"], info["response_preview"], json.dumps(info["trace_metadata"])):
        assert CARD not in preview and PHONE not in preview
    assert "[card]" in info["request_preview"]
    assert door.metric("assay_ingest_redacted_total") >= 6
    # The log and the journal of open chats are written ahead as they are, so the words would stand there.
    kept = b"".join(file.read_bytes() for file in door.data.rglob("*") if file.is_file())
    assert b"[card]" in kept
    assert [word for word in (CARD, PHONE, "T-1234") if word.encode() in kept] == []
    assert run_assay("verify", "--data", str(door.data)).returncode == 0


def kept_by(door) -> str:
    """All that stands on its disk, once everything was written."""
    return b"".join(file.read_bytes() for file in door.data.rglob("*") if file.is_file()).decode("latin-1")


def test_nothing_that_people_say_goes_by_another_way(assay):
    door = assay("serve", "--redact", "email,phone,card")
    said, number = f"{MAIL} {CARD}", int(CARD.replace(" ", ""))
    trace_id = door.http.post("/chat", json={"message": "hi", "tags": {f"tag of {MAIL}": said}}).json()["trace_id"]
    tagged = door.http.patch(f"/api/3.0/mlflow/traces/{trace_id}/tags", json={"key": "t", "value": said})
    assert tagged.status_code == 200, tagged.text
    deep = number
    for _ in range(25):
        deep = [deep, {MAIL: said}]
    of_client = new_trace_id()
    post_trace(door.http, of_client, trace_metadata={"k": said, MAIL: "v", "mlflow.trace.user": "ana"}, tags={"mlflow.traceName": said, MAIL: "v"})
    ids = [
        accepted(door.http.post(f"/feedback?trace_id={trace_id}", json={"name": "number", "value": number})),
        accepted(door.http.post(f"/feedback?trace_id={trace_id}", json={"name": "keys", "value": {MAIL: number}, "metadata": {MAIL: "v"}})),
        door.http.post(f"/api/3.0/mlflow/traces/{trace_id}/assessments", json={"assessment": {"assessment_name": "deep", "feedback": {"value": deep}}}).json()["assessment"]["assessment_id"],
    ]  # fmt: skip

    def text(value: str) -> dict:
        return {"stringValue": value}

    span = {
        "traceId": new_trace_id()[3:],
        "spanId": "00f067aa0ba902b7",
        "name": f"mail {MAIL}",
        "startTimeUnixNano": "1732809600000000000",
        "endTimeUnixNano": "1732809600000000001",
        "status": {"code": 2, "message": said},
        "attributes": [
            {"key": "text", "value": text(f"My address:\n{said}")},
            {"key": "number", "value": {"intValue": str(number)}},
            {"key": "quoted", "value": text('"ana\\u0040mail.example"')},
            {"key": "json", "value": text(' {"a":"ana\\u0040mail.example"}')},
            {"key": MAIL, "value": text("v")},
        ],
        "events": [{"name": said, "timeUnixNano": "1732809600000000000", "attributes": [{"key": "x", "value": text(said)}]}],
    }
    resource = {"attributes": [{"key": "owner", "value": text(said)}]}
    sent = door.http.post("/v1/traces", json={"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}, headers={"x-mlflow-experiment-id": "0"})
    assert sent.status_code == 200, sent.text
    for assessment_id in ids:
        wait_state(door.http, assessment_id, "committed")

    cleared = "[email] [card]"
    found = assessments(door.http, trace_id)
    assert found[ids[0]]["feedback"]["value"] == "[card]"
    assert found[ids[1]]["feedback"]["value"] == {"[email]": "[card]"} and found[ids[1]]["metadata"] == {"[email]": "v"}
    tags = trace_info(door.http, trace_id)["tags"]
    assert tags["t"] == cleared and tags["tag of [email]"] == cleared
    info = trace_info(door.http, of_client)
    assert info["tags"] == info["tags"] | {"mlflow.traceName": cleared, "[email]": "v"}
    assert info["trace_metadata"] == info["trace_metadata"] | {"k": cleared, "[email]": "v", "mlflow.trace.user": "ana"}
    path = f"/api/3.0/mlflow/traces/get?trace_id=tr-{span['traceId']}"
    wait_until("it is there", lambda: door.http.get(path).status_code == 200)
    (kept,) = door.http.get(path).json()["trace"]["spans"]
    assert kept["name"] == "mail [email]" and kept["status"]["message"] == cleared
    values = {attribute["key"]: attribute["value"] for attribute in kept["attributes"]}
    assert values["text"] == {"string_value": f"My address:\n{cleared}"} and values["number"] == {"string_value": "[card]"} and "[email]" in values
    assert values["quoted"] == {"string_value": "[email]"}
    assert values["json"] == {"kvlist_value": {"values": [{"key": "a", "value": {"string_value": "[email]"}}]}}
    everything = kept_by(door)
    assert [word for word in (MAIL, "mail.example", CARD, str(number)) if word in everything] == []
    assert run_assay("verify", "--data", str(door.data)).returncode == 0


def test_what_a_preview_cuts_leaves_no_beginning(assay):
    door = assay("serve", "--redact", "email,card")
    for said in (CARD, MAIL):
        for shift in range(0, 24, 5):
            message = "x" * (970 + shift) + f" {said} and more"
            info = trace_info(door.http, door.http.post("/chat", json={"message": message}).json()["trace_id"])
            for preview in (info["request_preview"], info["trace_metadata"]["mlflow.traceInputs"], info["response_preview"]):
                assert "4111" not in preview and "ana@" not in preview, preview[-40:]


def test_a_user_is_forgotten_and_nobody_else(assay):
    door = assay("serve", "--park-max", "2s")
    mine = door.http.post("/chat", json={"message": "who am I?"}, headers={"X-User-ID": "ana"}).json()["trace_id"]
    others = door.http.post("/chat", json={"message": "and I?"}, headers={"X-User-ID": "bob"}).json()["trace_id"]
    said = {
        (user, trace): accepted(door.http.post(f"/feedback?trace_id={trace}&user_id={user}", json={"is_correct": True, "comment": f"by {user}"}))
        for user in ("ana", "bob")
        for trace in (mine, others)
    }
    dead = accepted(door.http.post(f"/feedback?client_request_id={new_request_id()}&user_id=ana", json={"is_correct": True}))
    for assessment_id in said.values():
        wait_state(door.http, assessment_id, "committed")
    wait_state(door.http, dead, "dead")

    def forget(*more):
        run = run_assay("forget", "--user", "ana", "--data", str(door.data), "--output", "json", *more)
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)

    looked = forget("--dry-run")
    assert not looked["done"] and looked["assessments"]["found"] == 2 and looked["traces"]["found"] == 1 and looked["dead_letters"]["found"] == 1
    assert len(assessments(door.http, others)) == 2
    report = forget()
    assert report["done"] and report["log_dropped_by"]
    for part in ("assessments", "traces", "dead_letters"):
        assert report[part]["left"] == 0 and report[part]["found"] > 0, report
    assert door.http.get(f"/api/3.0/mlflow/traces/{mine}").status_code == 404
    assert set(assessments(door.http, others)) == {said["bob", others]}
    assert door.http.get(f"/feedback/{dead}").status_code == 404
    assert forget()["assessments"]["found"] == 0
    assert run_assay("verify", "--data", str(door.data)).returncode == 0

    # The same with nobody there, and in words.
    accepted(door.http.post(f"/feedback?trace_id={others}&user_id=ana", json={"is_correct": True}))
    wait_until("it is committed", lambda: len(assessments(door.http, others)) == 2)
    door.terminate()
    run = run_assay("forget", "--user", "ana", "--data", str(door.data), "--wait", "0s")
    assert "assessments: 1 found" in run.stdout and "dropped by" in run.stdout, run.stdout + run.stderr
    assert "not known here: traces that were logged straight to an MLflow server" in run.stdout
    door.start()
    wait_until("it is gone", lambda: set(assessments(door.http, others)) == {said["bob", others]})


def records_of(door, *traces: str) -> str:
    """A dataset with one record of each of the traces, one that ana wrote, and one of nobody."""
    made = door.http.post("/api/3.0/mlflow/datasets/create", json={"name": "d", "experiment_ids": ["0"]}).json()["dataset"]["dataset_id"]
    records: list[dict] = [{"inputs": {"q": trace}, "source": {"source_type": "TRACE", "source_data": {"trace_id": trace}}} for trace in traces]
    records += [{"inputs": {"q": "written"}, "tags": {"mlflow.user": "ana"}}, {"inputs": {"q": "nobody's"}}]
    assert door.http.post(f"/api/3.0/mlflow/datasets/{made}/records", json={"records": json.dumps(records)}).json()["inserted_count"] == len(records)
    return made


def inputs_in(door, dataset: str) -> set[str]:
    return {record["inputs"]["q"] for record in json.loads(door.http.get(f"/api/3.0/mlflow/datasets/{dataset}/records").json()["records"])}


def test_what_datasets_copied_of_a_user_is_forgotten_too(assay):
    door = assay("serve")
    mine = door.http.post("/chat", json={"message": "who am I?"}, headers={"X-User-ID": "ana"}).json()["trace_id"]
    others = door.http.post("/chat", json={"message": "and I?"}, headers={"X-User-ID": "bob"}).json()["trace_id"]
    dataset = records_of(door, mine, others)
    run = run_assay("forget", "--user", "ana", "--data", str(door.data), "--dry-run")
    assert "records of datasets, made of these traces or by the user: 2 found\n" in run.stdout, run.stdout + run.stderr
    run = run_assay("forget", "--user", "ana", "--data", str(door.data), "--output", "json")
    assert run.returncode == 0 and json.loads(run.stdout)["dataset_records"] == {"found": 2, "left": 0}, run.stdout + run.stderr
    assert inputs_in(door, dataset) == {others, "nobody's"}
    assert run_assay("verify", "--data", str(door.data)).returncode == 0


def say_early(door, request_id: str) -> str:
    """Feedback of ana whose trace has not come, and a change of it, both with words."""
    said = accepted(door.http.post(f"/feedback?client_request_id={request_id}&user_id=ana-secret", json={"is_correct": True, "comment": "secret one"}))
    assert door.http.patch(f"/feedback/{said}", json={"comment": "secret two", "metadata": {"k": "secret three"}}).status_code == 202
    wait_state(door.http, said, "parked")
    return said


def parked_on(door) -> list[dict]:
    return json.loads(run_assay("deadletters", "list", "--parked", "--output", "json", "--data", str(door.data)).stdout)


def letters_on(door) -> list[dict]:
    return json.loads(run_assay("deadletters", "list", "--output", "json", "--data", str(door.data)).stdout)


def forget_ana(door) -> None:
    run = run_assay("forget", "--user", "ana-secret", "--data", str(door.data), "--output", "json")
    report = json.loads(run.stdout)
    assert run.returncode == 0 and report["done"] and report["parked"] == {"found": 2, "left": 0}, run.stdout + run.stderr


def undo(door, said: str) -> None:
    answer = door.http.delete(f"/feedback/{said}")
    assert answer.status_code == 200 and answer.json()["status"] == "deleted", answer.text


def take_back(door, said: str, how: str) -> None:
    forget_ana(door) if how == "forget" else undo(door, said)
    wait_state(door.http, said, "deleted")
    assert door.http.delete(f"/feedback/{said}").status_code == 200
    assert door.http.patch(f"/feedback/{said}", json={"comment": "secret four"}).status_code == 404
    assert run_assay("verify", "--data", str(door.data)).returncode == 0


@pytest.mark.parametrize("how", ["forget", "undo"])
def test_what_is_taken_back_before_its_trace_comes_leaves_no_words_when_it_does(assay, how):
    door = assay("serve")
    request_id = new_request_id()
    said = say_early(door, request_id)
    take_back(door, said, how)
    parked = parked_on(door)
    assert "secret" not in json.dumps(parked) and sorted(one.get("withdrawn", False) for one in parked) == [False, True, True], parked
    assert "taken back" in run_assay("deadletters", "list", "--parked", "--data", str(door.data)).stdout
    trace_id = door.http.post("/chat", json={"message": "hi"}, headers={"X-Client-Request-Id": request_id}).json()["trace_id"]
    wait_until("nothing waits", lambda: parked_on(door) == [])
    wait_until("it went by", lambda: door.http.get(f"/feedback/{said}").json().get("sinks") == {"store": "deleted"})
    assert assessments(door.http, trace_id) == {}
    assert letters_on(door) == [] and run_assay("verify", "--data", str(door.data)).returncode == 0


@pytest.mark.parametrize("how", ["forget", "undo"])
def test_what_is_taken_back_and_expires_leaves_no_dead_letter(assay, how):
    door = assay("serve", "--park-max", "4s")
    request_id = new_request_id()
    said = say_early(door, request_id)
    take_back(door, said, how)
    wait_until("nothing waits any more", lambda: parked_on(door) == [])
    assert letters_on(door) == []
    metrics = door.metrics()
    assert (metrics["assay_resolver_annulled_total"], metrics["assay_resolver_deadletter_total"]) == (3, 0)
    trace_id = door.http.post("/chat", json={"message": "hi"}, headers={"X-Client-Request-Id": request_id}).json()["trace_id"]
    replayed = run_assay("deadletters", "replay", "--all", "--data", str(door.data))
    assert replayed.returncode == 0 and "nothing to replay" in replayed.stdout, replayed.stdout + replayed.stderr
    assert door.http.get(f"/feedback/{said}").json()["state"] == "deleted" and assessments(door.http, trace_id) == {}
    assert run_assay("verify", "--data", str(door.data)).returncode == 0


def test_a_user_is_not_said_to_be_forgotten_before_what_waits_has_lost_its_words(assay):
    door = assay("serve")
    say_early(door, new_request_id())
    door.terminate()
    run = run_assay("forget", "--user", "ana-secret", "--data", str(door.data), "--wait", "0s", "--output", "json")
    report = json.loads(run.stdout)
    assert run.returncode == 1 and not report["done"] and report["parked"] == {"found": 2, "left": 2}, run.stdout + run.stderr
    door.start()
    wait_until("they have none", lambda: "secret" not in json.dumps(parked_on(door)))
    again = run_assay("forget", "--user", "ana-secret", "--data", str(door.data))
    assert again.returncode == 0 and "parked feedback: 0 found" in again.stdout, again.stdout + again.stderr


def test_what_was_said_in_a_change_is_forgotten_with_what_it_changes(assay):
    door = assay("serve", "--park-max", "2s")
    request_id = new_request_id()
    said = accepted(door.http.post(f"/feedback?client_request_id={request_id}&user_id=ana", json={"is_correct": True}))
    door.http.patch(f"/feedback/{said}", json={"comment": "my name is ana"}).raise_for_status()
    letters = ("deadletters", "list", "--output", "json", "--data", str(door.data))
    wait_until("both are dead", lambda: len(json.loads(run_assay(*letters).stdout)) == 2)
    run = run_assay("forget", "--user", "ana", "--data", str(door.data), "--output", "json")
    report = json.loads(run.stdout)
    assert run.returncode == 0 and report["done"] and report["dead_letters"] == {"found": 2, "left": 0}, run.stdout + run.stderr
    assert json.loads(run_assay(*letters).stdout) == []


def test_on_kafka_a_user_is_forgotten_wherever_it_was_said(assay, kafka, topic_prefix):
    on = ("--kafka", kafka, "--topic-prefix", topic_prefix)
    assert run_assay("topics", "create", *on, "--partitions", "3").returncode == 0
    worker = assay("worker", *on, "--park-max", "2s", "--instance-id", "w", start=False).spawn()
    door = assay("ingest", *on, "--view")
    worker.wait_ready()
    mine = door.http.post("/chat", json={"message": "who am I?"}, headers={"X-User-ID": "ana"}).json()["trace_id"]
    others = door.http.post("/chat", json={"message": "and I?"}, headers={"X-User-ID": "bob"}).json()["trace_id"]

    def say(user: str, **target: str) -> str:
        return accepted(door.http.post("/feedback", params={**target, "user_id": user}, json={"is_correct": True, "comment": f"by {user}"}))

    def forget(*more: str) -> dict:
        run = run_assay("forget", "--user", "ana", *on, "--output", "json", *more)
        assert run.returncode == 0, run.stdout + run.stderr
        return json.loads(run.stdout)

    said = {(user, trace): say(user, trace_id=trace) for user in ("ana", "bob") for trace in (mine, others)}
    dataset = records_of(door, mine, others)
    nowhere = {"client_request_id": new_request_id()}
    dead = say("ana", **nowhere)
    door.http.patch(f"/feedback/{dead}", params=nowhere, json={"comment": "my name is ana"}).raise_for_status()
    for assessment_id in said.values():
        wait_state(door.http, assessment_id, "committed")
    wait_state(door.http, dead, "dead")
    wait_until("its change is, too", lambda: len(json.loads(run_assay("deadletters", "list", "--output", "json", *on).stdout)) == 2)
    assert worker.terminate() == 0
    on_its_way = say("ana", trace_id=others)  # nobody has resolved it

    looked = forget("--dry-run")
    assert {what: looked[what]["found"] for what in ("assessments", "traces", "dead_letters", "in_flight", "dataset_records")} == {"assessments": 2, "traces": 1, "dead_letters": 2, "in_flight": 1, "dataset_records": 2}
    waits = run_assay("forget", "--user", "ana", *on, "--wait", "0s")
    assert waits.returncode == 1 and "assessments: 2 found" in waits.stdout and "not yet" in waits.stdout, waits.stdout + waits.stderr
    worker.start()
    report = forget("--wait", "60s")
    assert report["done"] and report["log_dropped_by"] > "2026" and all(report[what]["left"] == 0 for what in ("assessments", "traces", "dead_letters", "in_flight", "dataset_records"))
    wait_until("the dataset has followed", lambda: inputs_in(door, dataset) == {others, "nobody's"})
    wait_until("it never came", lambda: door.http.get(f"/feedback/{on_its_way}").json().get("state") == "deleted")
    wait_until("the view has followed", lambda: set(assessments(door.http, others)) == {said["bob", others]})
    assert door.http.get(f"/api/3.0/mlflow/traces/{mine}").status_code == 404
    assert door.http.get(f"/feedback/{dead}").status_code == 404
    again = forget("--data", str(door.data))
    assert all(again[what]["found"] == 0 for what in ("assessments", "traces", "dead_letters", "in_flight", "parked", "dataset_records")), again
    assert run_assay("verify", *on).returncode == 0


def test_on_kafka_what_waits_for_its_trace_loses_its_words(assay, kafka, topic_prefix):
    on = ("--kafka", kafka, "--topic-prefix", topic_prefix)
    assert run_assay("topics", "create", *on, "--partitions", "2").returncode == 0
    worker = assay("worker", *on, "--park-max", "30s", start=False).spawn()
    door = assay("ingest", *on, "--view")
    worker.wait_ready()
    request_ids = [new_request_id() for _ in range(2)]
    comes, never = (say_early(door, request_id) for request_id in request_ids)
    run = run_assay("forget", "--user", "ana-secret", *on, "--output", "json")
    report = json.loads(run.stdout)
    assert run.returncode == 0 and report["done"] and report["parked"] == {"found": 4, "left": 0}, run.stdout + run.stderr
    for said in (comes, never):
        wait_state(door.http, said, "deleted")
    assert run_assay("verify", *on).returncode == 0
    trace_id = door.http.post("/chat", json={"message": "hi"}, headers={"X-Client-Request-Id": request_ids[0]}).json()["trace_id"]
    wait_until("it went by", lambda: door.http.get(f"/feedback/{comes}").json().get("sinks", {}).get("store") == "deleted")
    assert assessments(door.http, trace_id) == {}

    wait_until("the other waits no longer", lambda: parked_on(door) == [], 60)
    assert run_assay("deadletters", "list", *on).stdout == "0 dead letters\n"
    assert run_assay("verify", *on).returncode == 0


def test_on_kafka_what_was_taken_back_has_no_dead_letter_whichever_came_first(assay, kafka, topic_prefix):
    on = ("--kafka", kafka, "--topic-prefix", topic_prefix)
    assert run_assay("topics", "create", *on, "--partitions", "2").returncode == 0
    worker = assay("worker", *on, "--park-max", "5s", start=False).spawn()
    door, without_view = assay("ingest", *on, "--view"), assay("ingest", *on)
    worker.wait_ready()
    target, key = {"client_request_id": new_request_id()}, {"Idempotency-Key": "k-1"}

    def say(at) -> str:
        return accepted(at.http.post("/feedback", params=target | {"user_id": "ana"}, json={"is_correct": True, "comment": "secret"}, headers=key))

    late = say(assay("serve"))  # an id is a function of the key and the target
    assert without_view.http.delete(f"/feedback/{late}", params=target).status_code == 202
    assert say(without_view) == late
    dead = say_early(door, new_request_id())
    wait_state(door.http, dead, "dead")

    def letters() -> str:
        return run_assay("deadletters", "list", "--output", "json", *on).stdout

    wait_until("its change is dead, too", lambda: len(json.loads(letters())) == 2)
    undo(door, dead)
    wait_until("nothing waits any more", lambda: parked_on(door) == [], 60)
    assert json.loads(letters()) == [] and run_assay("deadletters", "replay", "--all", *on).returncode == 0
    trace_id = door.http.post("/chat", json={"message": "hi"}, headers={"X-Client-Request-Id": target["client_request_id"]}).json()["trace_id"]
    assert say(door) == late
    kept = accepted(door.http.post("/feedback", params={"trace_id": trace_id}, json={"is_correct": True}))
    wait_state(door.http, kept, "committed")
    assert set(assessments(door.http, trace_id)) == {kept}
    for said in (late, dead):
        assert door.http.get(f"/feedback/{said}").json()["state"] == "deleted"
    assert run_assay("verify", *on).returncode == 0
