"""The tools of whoever runs it on Kafka: topics, verify, sinks."""

import json

import pytest
from confluent_kafka import Producer

from support.assay import run_assay
from support.door import accepted, new_request_id, new_trace_id, post_trace
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
    described = run_assay("topics", "describe", *on)
    line = next(one for one in described.stdout.splitlines() if one.startswith(f"{topic_prefix}feedback"))
    assert "partitions 2  replicas 1  in sync 1" in line and "cleanup.policy=delete" in line and "behind 0" in line
    other = ("--kafka", kafka, "--topic-prefix", f"{topic_prefix}other.")
    create_topic(kafka, f"{topic_prefix}other.requests", partitions=5)
    mismatched = run_assay("topics", "create", *other, "--partitions", "2")
    assert mismatched.returncode == 1 and "5" in mismatched.stderr + mismatched.stdout


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
