"""Beside `assay serve`: its health and its figures, and the tools that read and act on what it keeps."""

import itertools
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from support.assay import Assay, assert_verified, run_assay
from support.door import accepted, assessments, chat, new_request_id, new_trace_id, post_trace, wait_state
from support.waiting import wait_until

THUMB = {"is_correct": True, "comment": "spot on"}


@pytest.fixture
def serve(assay) -> Assay:
    return assay("serve")


def test_health_and_metrics_say_that_every_record_is_accounted_for(serve):
    trace_id = chat(serve.http)["trace_id"]
    for _ in range(10):
        last = accepted(serve.http.post("/feedback", params={"trace_id": trace_id}, json=THUMB))
    accepted(serve.http.post("/feedback", params={"client_request_id": new_request_id()}, json=THUMB))
    wait_state(serve.http, last, "committed")
    assert serve.http.get("/livez").status_code == 200
    assert serve.http.get("/readyz").status_code == 200
    assert any(name.startswith("assay_unaccounted") for name in serve.metrics())
    wait_until("counters settled", lambda: serve.metric("assay_unaccounted") == 0)


def test_the_report_has_the_guides_figures(serve):
    traces = [chat(serve.http)["trace_id"] for _ in range(4)]
    given = [accepted(serve.http.post("/feedback", params={"trace_id": t}, json={"is_correct": correct})) for t, correct in zip(traces, (True, True, False))]
    query = {"trace_id": traces[0], "accuracy": 5, "helpfulness": 3, "relevance": 1, "user_id": "ana"}
    assert serve.http.post("/detailed-feedback", params=query).status_code == 200
    for assessment_id in given:
        wait_state(serve.http, assessment_id, "committed")
    wait_until("the details", lambda: len(assessments(serve.http, traces[0])) == 4)

    as_json = run_assay("report", "--data", str(serve.data), "--hours", "1", "--output", "json")
    assert as_json.returncode == 0, as_json.stderr
    figures = json.loads(as_json.stdout)
    assert figures["total_traces"] == 4
    assert figures["traces_with_feedback"] == 3
    assert figures["feedback_rate"] == pytest.approx(75)
    assert figures["positive_rate"] == pytest.approx(100 * 2 / 3)
    as_text = run_assay("report", "--data", str(serve.data), "--hours", "1")
    assert as_text.returncode == 0 and "accuracy" in as_text.stdout


def test_report_and_quality_find_an_experiment_by_id_or_name(serve):
    def report(asked: str) -> dict | str:
        done = run_assay("report", "--data", str(serve.data), "--output", "json", "--experiment", asked)
        assert done.returncode in (0, 1), done
        return json.loads(done.stdout) if done.returncode == 0 else done.stderr

    def quality(asked: str) -> dict | str:
        answer = serve.http.get("/assay/quality", params={"experiment": asked})
        assert answer.status_code in (200, 404), answer.text
        return answer.json() if answer.status_code == 200 else answer.json()["detail"]

    made = {name: serve.http.post("/api/2.0/mlflow/experiments/create", json={"name": name}).raise_for_status().json()["experiment_id"] for name in ("mine", "0042")}
    ahead = (datetime.now(UTC) + timedelta(minutes=5)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    trace_id = new_trace_id()
    post_trace(serve.http, trace_id, experiment_id=made["mine"], request_time=ahead)
    for name, value in (("user_", 0.5), ("user_tone", "friendly")):
        wait_state(serve.http, accepted(serve.http.post("/feedback", params={"trace_id": trace_id}, json={"name": name, "value": value})), "committed")
    for ask in (report, quality):
        assert ask("0")["experiment_name"] == "Default"
        for asked in ("mine", made["mine"]):
            found = ask(asked)
            assert (found["experiment"], found["experiment_name"], found["total_traces"]) == (made["mine"], "mine", 1), "a clock that is ahead loses no trace"
            assert found["ratings"] == {"user_": 0.5} and found["values_left_out"] == 1
        assert ask("0042")["experiment"] == made["0042"]
        assert "there is no" in ask("no such") or "there is none" in ask("no such")
    assert serve.http.get("/assay/quality", params={"experiment": ""}).status_code == 400
    assert run_assay("report", "--data", str(serve.data), "--experiment", "").returncode == 2
    for hours in ("24h", "abc", "0"):
        refused = run_assay("report", "--data", str(serve.data), "--hours", hours)
        assert refused.returncode == 2 and "number of hours" in refused.stderr


def test_quality_counts_what_was_said_before_it_was_asked(serve):
    trace_id = chat(serve.http)["trace_id"]
    for said in range(1, 31):
        accepted(serve.http.post("/feedback", params={"trace_id": trace_id}, json={"is_correct": True}))
        assert serve.http.get("/assay/quality").raise_for_status().json()["positive_count"] == said


def test_assessments_are_counted_whatever_door_they_come_by(serve):
    trace_id = chat(serve.http)["trace_id"]
    counted = 'assay_ingest_assessments_total{op="%s"}'
    body = {"assessment": {"assessment_name": "n", "feedback": {"value": 1}, "source": {"source_type": "HUMAN", "source_id": "u"}, "create_time": "2026-11-28T18:00:00Z"}}
    at = f"/api/3.0/mlflow/traces/{trace_id}/assessments"
    said = [serve.http.post(at, json=body).raise_for_status().json()["assessment"] for _ in range(2)]
    assert serve.metrics()[counted % "create"] == 1 and serve.metric("assay_ingest_repeats_total") == 1
    changed = {"assessment": {"rationale": "r"}, "update_mask": "rationale"}
    serve.http.patch(f"{at}/{said[0]['assessment_id']}", json=changed).raise_for_status()
    serve.http.delete(f"{at}/{said[0]['assessment_id']}").raise_for_status()
    assert serve.metrics()[counted % "change"] == 2


def test_a_feedback_whose_trace_never_comes_is_a_dead_letter_that_can_be_replayed(assay):
    serve = assay("serve", "--park-max", "1s")
    request_id, trace_id = new_request_id(), new_trace_id()
    assessment_id = accepted(serve.http.post("/feedback", params={"client_request_id": request_id, "user_id": "ana"}, json=THUMB))
    assert wait_state(serve.http, assessment_id, "dead")["reason"]

    listed = run_assay("deadletters", "list", "--data", str(serve.data))
    assert listed.returncode == 0 and assessment_id in listed.stdout and "expired" in listed.stdout, listed
    shown = run_assay("deadletters", "show", assessment_id, "--data", str(serve.data))
    assert shown.returncode == 0 and request_id in shown.stdout and "spot on" in shown.stdout, shown

    post_trace(serve.http, trace_id, request_id)
    replayed = run_assay("deadletters", "replay", assessment_id, "--data", str(serve.data))
    assert replayed.returncode == 0, replayed
    wait_state(serve.http, assessment_id, "committed")
    assert set(assessments(serve.http, trace_id)) == {assessment_id}
    assert assessment_id not in run_assay("deadletters", "list", "--data", str(serve.data)).stdout
    assert_verified(serve)


def test_the_receipt_of_a_replay_that_finds_no_trace_either_says_where_it_is(assay):
    serve = assay("serve", "--park-max", "2s")
    request_id = new_request_id()
    assessment_id = accepted(serve.http.post("/feedback", params={"client_request_id": request_id}, json=THUMB))
    for attempt in ("", "#1", "#2"):
        dead = wait_state(serve.http, assessment_id, "dead")
        assert dead["client_request_id"] == request_id and "expired" in dead["reason"]
        replayed = run_assay("deadletters", "replay", f"{assessment_id}{attempt}", "--data", str(serve.data))
        assert replayed.returncode == 0, replayed
        wait_state(serve.http, assessment_id, "parked")
    post_trace(serve.http, trace_id := new_trace_id(), request_id)
    wait_state(serve.http, assessment_id, "committed")
    assert set(assessments(serve.http, trace_id)) == {assessment_id}
    assert_verified(serve)


def test_a_change_that_is_replayed_several_times_at_once_is_forwarded_once(assay):
    serve = assay("serve", "--park-max", "1s")
    request_id = new_request_id()
    assessment_id = accepted(serve.http.post("/feedback", params={"client_request_id": request_id}, json=THUMB))
    serve.http.patch(f"/feedback/{assessment_id}", params={"client_request_id": request_id}, json={"comment": "on second thought"}).raise_for_status()

    def letters() -> list[str]:
        listed = run_assay("deadletters", "list", "--data", str(serve.data), "--output", "json")
        return [letter["record_id"] for letter in json.loads(listed.stdout)]

    wait_until("both are dead", lambda: len(letters()) == 2)
    [change] = [id for id in letters() if id != assessment_id]
    post_trace(serve.http, new_trace_id(), request_id)
    assert run_assay("deadletters", "replay", assessment_id, "--data", str(serve.data)).returncode == 0
    wait_state(serve.http, assessment_id, "committed")
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: run_assay("deadletters", "replay", change, "--data", str(serve.data)), range(4)))
    assert any(one.returncode == 0 for one in done), done
    wait_until("all is decided", lambda: serve.metric("assay_resolver_lag_records") == 0 and letters() == [])
    assert serve.metric("assay_resolver_forwarded_total") == 2, "the feedback and its change"
    assert_verified(serve)


def test_what_was_said_with_a_key_is_replayed_as_anything_else_and_once(assay):
    serve = assay("serve", "--park-max", "1s")
    request_id = new_request_id()
    say = {"params": {"client_request_id": request_id}, "headers": {"Idempotency-Key": "k"}, "json": THUMB}
    assessment_id = accepted(serve.http.post("/feedback", **say))
    wait_state(serve.http, assessment_id, "dead")
    post_trace(serve.http, trace_id := new_trace_id(), request_id)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: run_assay("deadletters", "replay", assessment_id, "--data", str(serve.data)), range(4)))
    assert any(one.returncode == 0 for one in done), done
    wait_state(serve.http, assessment_id, "committed")
    wait_until("all is decided", lambda: serve.metric("assay_resolver_lag_records") == 0)
    assert serve.metric("assay_resolver_forwarded_total") == 1 and set(assessments(serve.http, trace_id)) == {assessment_id}
    assert_verified(serve)


def test_a_change_that_is_replayed_takes_back_nothing_that_was_said_since(assay):
    serve = assay("serve", "--park-max", "1s")
    request_id = new_request_id()
    assessment_id = accepted(serve.http.post("/feedback", params={"client_request_id": request_id}, json=THUMB))
    first = serve.http.patch(f"/feedback/{assessment_id}", params={"client_request_id": request_id}, json={"comment": "first"})
    assert first.status_code == 202, first.text
    listed = ("deadletters", "list", "--output", "json", "--data", str(serve.data))
    wait_until("both are dead", lambda: len(json.loads(run_assay(*listed).stdout)) == 2)
    [change] = [letter["record_id"] for letter in json.loads(run_assay(*listed).stdout) if letter["record_id"] != assessment_id]
    post_trace(serve.http, trace_id := new_trace_id(), request_id)
    assert run_assay("deadletters", "replay", assessment_id, "--data", str(serve.data)).returncode == 0
    wait_state(serve.http, assessment_id, "committed")
    assert serve.http.patch(f"/feedback/{assessment_id}", json={"comment": "second"}).status_code == 200
    assert run_assay("deadletters", "replay", change, "--data", str(serve.data)).returncode == 0
    wait_until("it is forwarded", lambda: serve.metric("assay_resolver_forwarded_total") == 3)
    assert serve.http.get(f"/api/3.0/mlflow/traces/{trace_id}/assessments/{assessment_id}").json()["assessment"]["rationale"] == "second"
    assert_verified(serve)


def test_what_waits_for_its_trace_is_listed(serve):
    said = accepted(serve.http.post("/feedback", params={"client_request_id": "req-nobody"}, json=THUMB))
    wait_state(serve.http, said, "parked")
    listed = run_assay("deadletters", "list", "--parked", "--data", str(serve.data))
    assert listed.returncode == 0 and "1 parked" in listed.stdout, listed
    assert said in listed.stdout and "client_request_id req-nobody" in listed.stdout
    as_json = run_assay("deadletters", "list", "--parked", "--output", "json", "--data", str(serve.data))
    assert [one["record_id"] for one in json.loads(as_json.stdout)] == [said]
    assert run_assay("deadletters", "purge", "--all", "--parked", "--data", str(serve.data)).returncode == 2
    # In a pod the environment says where Kafka is: what the command line says goes before that.
    in_a_pod = {"ASSAY_KAFKA": "127.0.0.1:1"}
    assert said in run_assay("deadletters", "list", "--parked", "--data", str(serve.data), env=in_a_pod).stdout
    assert said in run_assay("deadletters", "list", "--parked", env=in_a_pod | {"ASSAY_DATA": str(serve.data)}).stdout
    assert "0 dead letters" in run_assay("deadletters", "list", "--data", str(serve.data), env=in_a_pod).stdout
    both = run_assay("deadletters", "list", "--parked", "--kafka", "127.0.0.1:1")
    assert both.returncode == 2 and "--parked" in both.stderr


def test_a_reason_that_is_none_is_said_with_those_that_are(serve):
    refused = run_assay("deadletters", "list", "--reason", "expird", "--data", str(serve.data))
    assert refused.returncode == 2 and "expired" in refused.stderr, refused


def test_an_unknown_dead_letter_is_an_error_in_words(serve):
    for verb in ("show", "replay"):
        done = run_assay("deadletters", verb, "a-nobody", "--data", str(serve.data))
        assert done.returncode == 1 and "a-nobody" in done.stderr, done


def test_load_asks_for_receipts_no_longer_than_it_was_told():
    class Slow(BaseHTTPRequestHandler):
        """Takes everything, and has each receipt later than anybody waits for it."""

        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = b'{"assessment_id":"a-%d"}' % next(numbers)
            self.send_response(202)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            asked_for_receipt.set()
            over.wait(60)
            self.close_connection = True

        def log_message(self, *_) -> None:
            pass

    numbers, asked_for_receipt, over = itertools.count(), threading.Event(), threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        began = time.monotonic()
        ran = run_assay("load", "--target", f"http://127.0.0.1:{server.server_port}", "--no-traces", "--requests", "8", "--connections", "2", "--verify", "--verify-for", "1s", within=30)
        took = time.monotonic() - began
        over.set()
        server.shutdown()
    assert asked_for_receipt.is_set() and ran.returncode == 1 and "committed 0, parked 0, dead 0, pending 8" in ran.stdout, ran
    assert took < 8


def test_a_keys_name_has_nothing_that_moves_a_terminal(tmp_path):
    for name in ("a\x1b[2J", "a\nb", "a\tb"):
        refused = run_assay("keys", "create", name, "--scope", "read", "--data", str(tmp_path / "keys"))
        assert refused.returncode == 2 and "control characters" in refused.stderr, refused
    assert run_assay("keys", "create", "ä b", "--scope", "read", "--data", str(tmp_path / "keys")).returncode == 0


def test_a_key_has_a_name_of_its_own(tmp_path):
    keys = ("--data", str(tmp_path / "keys"))
    create = ("keys", "create", "app", "--scope", "read", *keys)
    assert run_assay(*create).returncode == 0
    again = run_assay(*create)
    assert again.returncode == 1 and "already" in again.stderr and not again.stdout
    for verb in ("list", "rotate-capabilities"):
        wrong = run_assay("keys", verb, "xyz", *keys)
        assert wrong.returncode == 2 and "takes no name" in wrong.stderr, wrong
    assert run_assay("keys", "revoke", "app", *keys).stdout.startswith("1 key revoked")
    assert run_assay(*create).returncode == 0


def test_data_that_cannot_be_looked_at_is_refused_in_words(tmp_path):
    data = str(tmp_path / ("x" * 300))  # which no permission of root's opens
    for tool in (("report",), ("verify",), ("deadletters", "list"), ("keys", "list")):
        refused = run_assay(*tool, "--data", data)
        assert refused.returncode == 1 and "filesystem error" not in refused.stderr and data in refused.stderr, refused


def test_tools_refuse_what_is_not_theirs_to_read(serve, assay, tmp_path):
    data = str(serve.data)
    tools = [("verify",), ("report",), ("deadletters", "list"), ("deadletters", "replay", "a-b"), ("forget", "--user", "u")]
    for tool in tools:
        nobody = run_assay(*tool, "--data", str(tmp_path / "none"))
        assert nobody.returncode == 1 and "there is no assay data" in nobody.stderr, nobody
    assert not (tmp_path / "none").exists()
    refused = run_assay("verify", "--data", data, "--mlflow-url", "http://bob:s3cret@127.0.0.1:1")
    assert refused.returncode == 2 and "s3cret" not in refused.stdout + refused.stderr
    unknown = run_assay("report", "--data", data, "--experiment", "no such")
    assert unknown.returncode == 1 and "no such" in unknown.stderr
    serve.terminate()
    format_of = serve.data / "format"
    ours = format_of.read_text()
    format_of.write_text("assay data 999\n")
    for tool in tools:
        newer = run_assay(*tool, "--data", data)
        assert newer.returncode == 1 and "newer program" in newer.stderr, newer
    format_of.write_text(ours)
