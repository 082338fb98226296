"""The tools of whoever runs it on Kafka: topics, verify, sinks."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from confluent_kafka import Producer

from support.assay import run_assay
from support.door import accepted, new_request_id, new_trace_id, post_trace, wait_state
from support.kafka import create_topic, read_topic
from support.mlflow_server import MlflowServer
from support.waiting import wait_until

WITHIN = 60.0


def test_topics_that_promise_too_little_are_named(kafka, topic_prefix):
    on = ("--kafka", kafka, "--topic-prefix", topic_prefix)
    assert run_assay("topics", "create", *on, "--partitions", "2").returncode == 0
    checked = run_assay("topics", "check", *on)
    assert checked.returncode == 0 and f"warning: {topic_prefix}feedback: one replica" in checked.stdout
    short = run_assay("topics", "check", *on, "--park-max", "30d")
    assert short.returncode == 1 and f"problem: {topic_prefix}feedback: retention.ms" in short.stdout
    fresh = ("--kafka", kafka, "--topic-prefix", f"{topic_prefix}fresh.")
    assert run_assay("topics", "create", *fresh, "--partitions", "12").returncode == 0
    at_once = run_assay("topics", "describe", *fresh), run_assay("sinks", "list", *fresh)
    assert "can't be had" not in at_once[0].stdout and at_once[1].returncode == 0, at_once
    described = run_assay("topics", "describe", *on)
    line = next(one for one in described.stdout.splitlines() if one.startswith(f"{topic_prefix}feedback"))
    assert "partitions 2  replicas 1  in sync 1" in line and "cleanup.policy=delete" in line and "behind 0" in line
    other = ("--kafka", kafka, "--topic-prefix", f"{topic_prefix}other.")
    create_topic(kafka, f"{topic_prefix}other.requests", partitions=5)
    mismatched = run_assay("topics", "create", *other, "--partitions", "2")
    assert mismatched.returncode == 1 and f"{topic_prefix}other.requests has 5 partitions, not 2" in mismatched.stderr
    described = run_assay("topics", "describe", *other).stdout
    assert described.count("missing") == 6, f"nothing is made beside what does not fit: {described}"
    assert "created" in run_assay("topics", "create", *other).stdout
    assert run_assay("topics", "describe", *other).stdout.count("partitions 5") == 6, "all but the catalog"


def test_topics_get_as_many_replicas_as_are_asked_for_or_are_not_made(kafka, topic_prefix):
    on = ("--kafka", kafka, "--topic-prefix", topic_prefix)
    refused = run_assay("topics", "create", *on, "--replicas", "3")
    assert refused.returncode == 1 and "3 replicas need as many brokers, and there are 1" in refused.stderr
    assert "created" not in refused.stdout
    assert run_assay("topics", "create", *on, "--partitions", "2").returncode == 0
    checked = run_assay("topics", "check", *on, "--replicas", "3")
    assert checked.returncode == 1 and f"problem: {topic_prefix}feedback: 1 replicas, not 3" in checked.stdout


def test_an_option_that_may_be_repeated_takes_one_value_and_leaves_the_verb(kafka, topic_prefix, tmp_path):
    on = ("--kafka", kafka, "--topic-prefix", topic_prefix)
    property_of = {"ASSAY_KAFKA_PROPERTY": "socket.keepalive.enable=true"}
    assert run_assay("topics", "create", *on, "--partitions", "2", env=property_of).returncode == 0
    flags = ("--kafka-property", "socket.keepalive.enable=true", "--kafka-property", "socket.max.fails=2")
    assert run_assay("topics", *flags, "check", *on).returncode == 0
    made = run_assay("keys", "create", "app", "--data", str(tmp_path), env={"ASSAY_SCOPE": "feedback,chat"})
    assert made.returncode == 0, made.stderr
    assert "feedback,chat" in run_assay("keys", "list", "--data", str(tmp_path)).stdout


def test_check_refuses_what_librdkafka_would_and_what_excludes_each_other():
    for wrong in ("nonsense=1", "security.protocol=SSLL"):
        refused = run_assay("ingest", "--kafka", "127.0.0.1:1", "--kafka-property", wrong, "--check")
        assert refused.returncode == 2 and wrong.split("=")[0] in refused.stderr, refused
    forced = ("--kafka", "127.0.0.1:1", "--kafka-property", "enable.idempotence=false", "--check")
    for tool in (("topics", "describe"), ("sinks", "list"), ("deadletters", "list"), ("verify",), ("forget", "--user", "u")):
        refused = run_assay(*tool, *forced)
        assert refused.returncode == 2 and "enable.idempotence" in refused.stderr and not refused.stdout, refused
    for asked in (("sinks", "list", "--kafka", "127.0.0.1:1"), ("serve",)):
        for url in ("postgresql://u:s3cret@h/db", "postgresql://h/db?sslpassword=s3cret", "postgresql://u:s3cret@[::1"):
            refused = run_assay(*asked, "--mlflow-db", url, "--check")
            assert refused.returncode == 2 and "--mlflow-db" in refused.stderr and "s3cret" not in refused.stdout + refused.stderr, refused
    for spool, runs in (((), "2s"), (("--spool", "off"), "10s"), (("--spool", "off", "--append-timeout", "3s"), "3s")):
        assert f'append-timeout = "{runs}"' in run_assay("ingest", "--kafka", "127.0.0.1:1", *spool, "--check").stdout
    for flag, value in (("--commit-interval", "11s"), ("--session-timeout", "2h"), ("--session-timeout", "100ms"), ("--topic-prefix", "a b")):
        refused = run_assay("worker", "--kafka", "127.0.0.1:1", flag, value, "--check")
        assert refused.returncode == 2 and flag in refused.stderr, refused
    short = run_assay("topics", "create", "--kafka", "127.0.0.1:1", "--log-retention", "1h", "--check")
    assert short.returncode == 2 and "--log-retention" in short.stderr and "--park-max" in short.stderr
    for wrong, why in (((), "name of a key"), (("app",), "--scope"), (("app", "--scope", "read", "--rate", "x"), "--rate")):
        refused = run_assay("keys", "create", *wrong, "--check")
        assert refused.returncode == 2 and why in refused.stderr, refused
    both = run_assay("worker", "--kafka", "127.0.0.1:1", "--instance-id", "w", "--leave-on-stop", "--check")
    assert both.returncode == 2 and "--leave-on-stop and --instance-id exclude each other" in both.stderr


def test_a_door_without_a_view_has_nothing_to_report(assay, kafka, topic_prefix):
    on = ("--kafka", kafka, "--topic-prefix", topic_prefix)
    assert run_assay("topics", "create", *on, "--partitions", "2").returncode == 0
    door, view = assay("ingest", *on), assay("ingest", *on, "--view")
    post_trace(door.http, new_trace_id())
    refused = run_assay("report", "--data", str(door.data))
    assert refused.returncode == 1 and "keeps no store" in refused.stderr
    unverified = run_assay("verify", *on, "--data", str(door.data))
    assert unverified.returncode == 1 and "keeps no store" in unverified.stderr, unverified
    wait_until("the view has it", lambda: "with feedback" in run_assay("report", "--data", str(view.data)).stdout)


def test_a_view_that_has_nothing_yet_shows_nothing(assay, kafka, topic_prefix):
    on = ("--kafka", kafka, "--topic-prefix", topic_prefix)
    assert run_assay("topics", "create", *on, "--partitions", "2").returncode == 0
    view = ("--data", str(assay("ingest", *on, "--view").data))
    reported, parked = run_assay("report", *view), run_assay("deadletters", "list", "--parked", *view)
    assert reported.returncode == 0, reported.stderr
    assert (parked.returncode, parked.stdout) == (0, "0 parked\n"), parked.stderr
    assert run_assay("verify", *on, *view).returncode == 0


def test_load_says_at_once_that_nobody_listens():
    began = time.monotonic()
    refused = run_assay("load", "--target", "http://127.0.0.1:1", "--duration", "1s")
    assert refused.returncode == 1 and "can't be reached" in refused.stderr and time.monotonic() - began < 5, refused


@pytest.mark.timeout(240)
def test_all_dead_letters_are_all_however_many_and_a_list_says_where_it_ends(kafka, topic_prefix):
    on = ("--kafka", kafka, "--topic-prefix", topic_prefix)
    assert run_assay("topics", "create", *on, "--partitions", "1").returncode == 0
    producer = Producer({"bootstrap.servers": kafka})
    for n in range(10_002):
        letter = {"v": 1, "record_id": f"feedback/0/{n}", "reason": "malformed" if n else "expired", "detail": "", "step": "resolve"}
        letter |= {"dead_at": "2026-11-23T15:57:31.547Z", "stream": "feedback", "partition": 0, "offset": n, "raw": "AP97"}
        producer.produce(f"{topic_prefix}deadletters", json.dumps(letter), key=letter["record_id"])
        producer.poll(0)
    assert producer.flush(60) == 0
    listed = run_assay("deadletters", "list", *on, "--output", "json")
    assert len(json.loads(listed.stdout)) == 10_000 and "there are more" in listed.stderr
    purged = run_assay("deadletters", "purge", "--all", "--reason", "malformed", *on, within=200)
    assert purged.returncode == 0 and purged.stdout.count("purge accepted") == 10_001, purged.stderr
    left = run_assay("deadletters", "list", *on)
    assert left.stdout.splitlines()[-1] == "1 dead letter" and "more" not in left.stderr


class _SignedInMlflow(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        let_in = self.headers["Authorization"] == "Bearer t0ken"
        body = b"{}"
        self.send_response(200 if let_in else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def signed_in_mlflow() -> Iterator[str]:
    """A server with no assessment, for who has the token."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _SignedInMlflow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_verify_signs_in_to_an_mlflow(assay, signed_in_mlflow: str):
    serve = assay("serve")
    trace_id = new_trace_id()
    post_trace(serve.http, trace_id)
    wait_state(serve.http, accepted(serve.http.post("/feedback", params={"trace_id": trace_id}, json={"is_correct": True})), "committed")
    ask = ("verify", "--data", str(serve.data), "--mlflow-url", signed_in_mlflow)
    refused = run_assay(*ask)
    assert refused.returncode == 1 and "does not answer" in refused.stderr
    found = run_assay(*ask, "--output", "json", env={"ASSAY_MLFLOW_TOKEN": "t0ken"})
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["mlflow"]["partitions"][0]["in_flight"] == 1, "no sink has come to it"


@pytest.mark.timeout(240)
def test_verify_recounts_the_mlflow_behind_serve(assay, mlflow_url: str):
    serve = assay("serve", "--mlflow-url", mlflow_url)
    trace_id = new_trace_id()
    post_trace(serve.http, trace_id)
    assessment_id = accepted(serve.http.post("/feedback", params={"trace_id": trace_id}, json={"is_correct": True}))
    ask = ("verify", "--data", str(serve.data), "--mlflow-url", mlflow_url)
    wait_until("it is in MLflow", lambda: " 1 shown " in run_assay(*ask).stdout, within=WITHIN)

    ended = new_trace_id()
    post_trace(serve.http, ended)
    accepted(serve.http.post("/feedback", params={"trace_id": ended}, json={"is_correct": True}))
    wait_until("it is there, too", lambda: " 2 shown " in run_assay(*ask).stdout, within=WITHIN)
    gone = serve.http.post("/api/3.0/mlflow/traces/delete-traces", json={"experiment_id": "0", "request_ids": [ended]})
    assert gone.status_code == 200, gone.text
    wait_until("what was said of it went with it", lambda: run_assay(*ask).returncode == 0 and " 1 shown + 1 deleted " in run_assay(*ask).stdout, within=WITHIN)

    assert serve.http.delete(f"{mlflow_url}/api/3.0/mlflow/traces/{trace_id}/assessments/{assessment_id}").status_code == 200
    wrong = run_assay(*ask)
    assert wrong.returncode == 1 and f"{assessment_id} is not shown by MLflow on {trace_id}" in wrong.stdout


@pytest.mark.timeout(240)
def test_verify_finds_what_is_missing_and_a_sink_is_replayed_into_an_mlflow_that_lost_everything(assay, kafka, topic_prefix, mlflow_server: MlflowServer):
    on = ("--kafka", kafka, "--topic-prefix", topic_prefix)
    assert run_assay("topics", "create", *on, "--partitions", "2").returncode == 0
    door = assay("ingest", *on)
    worker = assay("worker", *on, "--mlflow-url", mlflow_server.url)
    given = {}
    for _ in range(10):
        trace_id = new_trace_id()
        post_trace(door.http, trace_id)
        given[accepted(door.http.post("/feedback", params={"trace_id": trace_id}, json={"is_correct": True}))] = trace_id
    accepted(door.http.post("/feedback", params={"client_request_id": new_request_id()}, json={"is_correct": True}))

    def verified():
        done = run_assay("verify", *on, "--mlflow-url", mlflow_server.url, "--output", "json")
        assert done.returncode == 0, done.stdout + done.stderr
        found = json.loads(done.stdout)
        shown = sum(p["shown"] for p in found["mlflow"]["partitions"])
        forwarded, parked = (sum(p[what] for p in found["topics"]["feedback"]) for what in ("forwarded", "parked"))
        assert (shown, forwarded, parked) == (10, 10, 1), found
        return True

    wait_until("all is in MLflow", verified, within=WITHIN)

    def idle() -> bool:
        lines = [line for line in run_assay("sinks", "list", *on).stdout.splitlines() if "behind" in line]
        assert lines
        return all(line.endswith("behind 0") for line in lines)

    wait_until("nothing is behind", idle)
    busy = run_assay("sinks", "replay", "mlflow", *on)
    assert busy.returncode == 1 and "stop the workers" in busy.stderr
    lost = next(iter(given))
    gone = door.http.delete(f"{mlflow_server.url}/api/3.0/mlflow/traces/{given[lost]}/assessments/{lost}")
    assert gone.status_code == 200, gone.text
    wrong = run_assay("verify", *on, "--mlflow-url", mlflow_server.url)
    assert wrong.returncode == 1 and f"{lost} is not shown by MLflow on {given[lost]}" in wrong.stdout

    assert worker.terminate() == 0
    assert "mlflow" in run_assay("sinks", "list", *on).stdout
    # A restart keeps its place in the group until the session is over.
    wait_until("the sink is replayed", lambda: run_assay("sinks", "replay", "mlflow", *on).returncode == 0)
    # Nothing between a sink that is late and a later moment is passed over.
    late = run_assay("sinks", "replay", "mlflow", "--since", "1ms", *on)
    assert late.returncode == 0 and " 0 offsets" not in late.stdout, late.stdout
    worker.start()
    wait_until("all is in MLflow again", verified, within=WITHIN)
    assert len([r for r in read_topic(kafka, f"{topic_prefix}assessments")]) == 10, "a replay writes nothing to the log"

    # What a worker that forwards twice would leave.
    producer = Producer({"bootstrap.servers": kafka})
    first = next(iter(given))
    again = next(r for r in read_topic(kafka, f"{topic_prefix}assessments") if r.header("assessment_id") == first)
    producer.produce(f"{topic_prefix}assessments", again.value, key=again.key, headers={"assessment_id": first})
    assert producer.flush(30) == 0
    twice = run_assay("verify", *on)
    assert twice.returncode == 1 and "forwarded 2 times" in twice.stdout, twice.stdout
