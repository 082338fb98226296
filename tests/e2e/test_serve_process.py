"""`assay serve` as a process: its health, the tools beside it, its settings, its start and its end."""

import itertools
import json
import resource
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from support.assay import Assay, run_assay
from support.door import accepted, assessments, chat, events, new_request_id, new_trace_id, post_trace, receipt, wait_state
from support.fake_model import FakeModel
from support.waiting import wait_until

THUMB = {"is_correct": True, "comment": "spot on"}


@pytest.fixture
def serve(assay) -> Assay:
    return assay("serve")


# ── health, and what stands beside the process ───────────────────────────────────────────────────────────────────────────────────


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


def test_what_waits_for_its_trace_is_listed(serve):
    said = accepted(serve.http.post("/feedback", params={"client_request_id": "req-nobody"}, json=THUMB))
    wait_state(serve.http, said, "parked")
    listed = run_assay("deadletters", "list", "--parked", "--data", str(serve.data))
    assert listed.returncode == 0 and "1 parked" in listed.stdout, listed
    assert said in listed.stdout and "client_request_id req-nobody" in listed.stdout
    as_json = run_assay("deadletters", "list", "--parked", "--output", "json", "--data", str(serve.data))
    assert [one["record_id"] for one in json.loads(as_json.stdout)] == [said]
    assert run_assay("deadletters", "purge", "--all", "--parked", "--data", str(serve.data)).returncode == 2


def test_a_reason_that_is_none_is_said_with_those_that_are(serve):
    refused = run_assay("deadletters", "list", "--reason", "expird", "--data", str(serve.data))
    assert refused.returncode == 2 and "expired" in refused.stderr, refused


def test_an_unknown_dead_letter_is_an_error_in_words(serve):
    for verb in ("show", "replay"):
        done = run_assay("deadletters", verb, "a-nobody", "--data", str(serve.data))
        assert done.returncode == 1 and "a-nobody" in done.stderr, done


# ── the process ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def assert_verified(serve: Assay) -> None:
    done = run_assay("verify", "--data", str(serve.data))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "unaccounted" in done.stdout


def test_a_restart_keeps_traces_feedback_parked_and_keys(serve):
    answer = chat(serve.http)
    key = {"Idempotency-Key": "click-1"}
    known = accepted(serve.http.post("/feedback", params={"trace_id": answer["trace_id"]}, json=THUMB, headers=key))
    early, trace_id = new_request_id(), new_trace_id()
    parked = accepted(serve.http.post("/feedback", params={"client_request_id": early}, json=THUMB))
    wait_state(serve.http, known, "committed")
    wait_state(serve.http, parked, "parked")

    assert serve.terminate() == 0
    serve.start()
    assert receipt(serve.http, known)["state"] == "committed"
    assert receipt(serve.http, parked)["state"] == "parked"
    assert accepted(serve.http.post("/feedback", params={"trace_id": answer["trace_id"]}, json=THUMB, headers=key)) == known
    post_trace(serve.http, trace_id, early)
    wait_state(serve.http, parked, "committed")
    assert set(assessments(serve.http, answer["trace_id"])) == {known}
    assert_verified(serve)
    assert serve.terminate() == 0
    assert_verified(serve)  # nobody serves: the directory alone says it, too


def test_sigterm_answers_what_is_in_flight_and_ends_with_0(assay):
    go_on = threading.Event()

    def tokens():
        yield "Water"
        assert go_on.wait(30)
        yield " is wet."

    with FakeModel(tokens) as model:
        serve = assay("serve", "--model-url", model.url)
        came = {}

        def ask():
            with httpx.Client(base_url=serve.url, timeout=30, trust_env=False) as http:
                came["answer"] = http.post("/chat", json={"message": "Is water wet?"})

        asking = threading.Thread(target=ask)
        asking.start()
        wait_until("the model was asked", lambda: model.requests)
        serve.signal(signal.SIGTERM)
        wait_until("it takes no more", lambda: not _connects(serve))
        go_on.set()
        asking.join(30)
        assert came["answer"].status_code == 200 and came["answer"].json()["response"] == "Water is wet."
        assert wait_until("the end", lambda: serve.exit_code is not None) and serve.exit_code == 0
    assert_verified(serve)


def test_a_second_sigterm_ends_at_once(assay):
    never = threading.Event()

    def tokens():
        yield "Water"
        never.wait(60)

    with FakeModel(tokens) as model:
        serve = assay("serve", "--model-url", model.url)
        with serve.http.stream("POST", "/chat/stream", json={"message": "Is water wet?"}) as answer:
            assert next(events(answer.iter_lines()))[1]["content"] == "Water"
            serve.signal(signal.SIGTERM)
            wait_until("it takes no more", lambda: not _connects(serve))
            serve.signal(signal.SIGTERM)
            wait_until("the end", lambda: not serve.running, within=10)
        never.set()


def test_with_a_drain_delay_the_door_says_no_before_it_closes(assay):
    serve = assay("serve", "--drain-delay", "4s")
    serve.signal(signal.SIGTERM)
    wait_until("it is not ready", lambda: serve.http.get("/readyz").status_code == 503)
    with httpx.Client(base_url=serve.url, timeout=30, trust_env=False) as late:  # a balancer that has not noticed yet
        accepted(late.post("/feedback", params={"client_request_id": new_request_id()}, json=THUMB))
        assert late.get("/livez").status_code == 200
    assert wait_until("the end", lambda: serve.exit_code is not None) and serve.exit_code == 0
    assert_verified(serve)


@pytest.mark.parametrize("role", ["worker", "ingest"])
def test_a_process_that_waits_for_kafka_ends_at_the_first_signal(assay, role):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = assay(role, "--kafka", f"127.0.0.1:{silent.getsockname()[1]}", "--kafka-wait", "10m", start=False).spawn()
        silent.settimeout(60)
        connection, _ = silent.accept()  # it asks, and will never be answered
        with connection:
            assert process.terminate() == 0


def _connects(serve: Assay) -> bool:
    try:
        with httpx.Client(timeout=5, trust_env=False) as http:
            return http.get(f"{serve.url}/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def test_a_second_process_on_the_same_data_is_refused_in_words(serve, assay):
    second = assay("serve", start=False)
    done = run_assay("serve", "--listen", second.address, "--data", str(serve.data), within=30)
    assert done.returncode == 1
    assert str(serve.data) in done.stderr and "another process" in done.stderr
    assert chat(serve.http)["response"], "the first goes on"


def test_a_taken_port_is_refused_in_words(serve, tmp_path):
    done = run_assay("serve", "--listen", serve.address, "--data", str(tmp_path / "other"), within=30)
    assert done.returncode == 1 and str(serve.port) in done.stderr


def test_flags_environment_and_file_are_checked(tmp_path):
    data = str(tmp_path / "data")
    unknown_flag = run_assay("serve", "--data", data, "--no-such-flag")
    assert unknown_flag.returncode == 2 and "no-such-flag" in unknown_flag.stderr
    assert run_assay("serve", "--data", data, "--park-max", "soon").returncode == 2
    assert run_assay("no-such-command").returncode == 2
    missing = run_assay("serve", "--data", data, "--config", str(tmp_path / "none.toml"))
    assert missing.returncode == 2 and "none.toml" in missing.stderr
    for wrong in (
        ("--listen", "nowhere"),
        ("--in-flight-max", "1KB"),
        ("--requests-max", "0"),
        ("--queue-max", "0"),
        ("--chat-max", "0s"),
        ("--park-max", "300y"),
        ("--park-max", "36501d"),
    ):
        for check in ((), ("--check",)):
            refused = run_assay("serve", "--data", data, *wrong, *check)
            assert refused.returncode == 2 and wrong[0] in refused.stderr, refused
    for flag in ("--mlflow-url", "--model-url"):
        refused = run_assay("serve", "--data", data, flag, "http://bob:s3cret@127.0.0.1:1")
        assert refused.returncode == 2 and flag in refused.stderr and "s3cret" not in refused.stderr + refused.stdout

    not_pem, not_there = tmp_path / "file", str(tmp_path / "nofile")
    not_pem.write_text("hello")
    for wrong in (
        ("--tls-cert", not_there, "--tls-key", not_there),
        ("--tls-cert", str(not_pem), "--tls-key", str(not_pem)),
        ("--mlflow-ca-file", not_there),
        ("--model-ca-file", str(not_pem)),
        ("--keys", str(not_pem)),
        ("--capability-keys", not_there),
        ("--data", str(not_pem)),
        ("--data", str(not_pem / "below")),
    ):
        refused = run_assay("serve", *(() if wrong[0] == "--data" else ("--data", data)), *wrong, "--check")
        path = str(not_pem) if wrong[0] == "--data" else wrong[1]
        assert refused.returncode == 2 and wrong[0] in refused.stderr and path in refused.stderr, refused

    config = tmp_path / "assay.toml"
    config.write_text('park-max = "7h"\nno-such-key = 1\n')
    unknown_key = run_assay("serve", "--data", data, "--config", str(config))
    assert unknown_key.returncode == 2 and "no-such-key" in unknown_key.stderr

    config.write_text('park-max = "7h"\nlisten = "127.0.0.1:1"\n')
    checked = run_assay("serve", "--data", data, "--config", str(config), "--check", env={"ASSAY_LISTEN": "127.0.0.1:2"})
    assert checked.returncode == 0, checked.stderr
    assert "7h" in checked.stdout and "127.0.0.1:2" in checked.stdout and "127.0.0.1:1\"" not in checked.stdout
    assert not (tmp_path / "data").exists(), "--check runs nothing"


def test_what_check_prints_is_a_config(tmp_path):
    settings = ("--data", str(tmp_path / "it's"), "--anonymous", "chat,feedback", "--redact-pattern", r"order=[A-Z]\d+\"", "--drain-delay", "5s")
    printed = run_assay("serve", *settings, "--insecure-no-auth", "--check")
    assert printed.returncode == 0, printed.stderr
    config = tmp_path / "assay.toml"
    config.write_text(printed.stdout)
    again = run_assay("serve", "--config", str(config), "--check")
    assert again.returncode == 0 and again.stdout == printed.stdout, again.stderr
    assert 'anonymous = ["chat", "feedback"]' in printed.stdout and 'drain-delay = "5s"' in printed.stdout


def test_one_config_serves_all_commands(serve, tmp_path):
    """A key that is another command's is passed over; one that is nobody's, or stands in a section, is a usage error."""
    config = tmp_path / "assay.toml"
    config.write_text(f'data = "{serve.data}"\nlisten = "127.0.0.1:0"\npark-max = "7h"\ncommit-interval = "50ms"\n')
    for tool in (("verify",), ("report",), ("deadletters", "list")):
        ran = run_assay(*tool, "--config", str(config))
        assert ran.returncode == 0 and "other_commands" not in ran.stderr, (tool, ran.stderr)
    process = run_assay("serve", "--config", str(config), "--check")
    assert process.returncode == 0 and "settings_of_other_commands keys=commit-interval" in process.stderr + process.stdout, process
    for wrong, words in (
        ("prak-max = 1", 'there is no setting "prak-max"'),
        ("[report]\nhours = 3", "there is no section [report]"),
        ('data = "x\n', f"{config}: line 1: data: a quote is not closed"),
        ("hours = 3\nhours = 4", f"{config}: line 2: hours is set in line 1 already"),
    ):
        config.write_text(wrong)
        refused = run_assay("report", "--config", str(config))
        assert refused.returncode == 2 and words in refused.stderr, refused


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


def test_data_that_cannot_be_looked_at_is_refused_in_words(tmp_path):
    data = str(tmp_path / ("x" * 300))  # which no permission of root's opens
    for tool in (("report",), ("verify",), ("deadletters", "list"), ("keys", "list")):
        refused = run_assay(*tool, "--data", data)
        assert refused.returncode == 1 and "filesystem error" not in refused.stderr and data in refused.stderr, refused


def test_the_control_socket_outlives_a_lack_of_descriptors(serve):
    """It is how `assay deadletters` and `assay forget` reach the process: a failed accept is not its end."""
    before = resource.prlimit(serve.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(serve.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    with socket.socket(socket.AF_UNIX) as refused:
        refused.connect(str(serve.data / "control.sock"))
        time.sleep(0.3)  # it has tried by then
        resource.prlimit(serve.pid, resource.RLIMIT_NOFILE, before)
        refused.settimeout(10)
        refused.sendall(b"purge a-b\n")
        assert refused.recv(100)


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
