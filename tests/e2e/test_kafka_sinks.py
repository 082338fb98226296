"""Workers on Kafka that commit straight into MLflow's PostgreSQL: where their sink's positions are, and how it is replayed."""

import uuid

import pytest
from confluent_kafka import Consumer, TopicPartition

from support.assay import run_assay
from support.door import accepted, new_trace_id, post_trace
from support.postgres import PASSWORD
from support.waiting import wait_until

WITHIN = 60.0


def set_back(kafka: str, group: str, topic: str, partitions: int) -> None:
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": group})
    consumer.commit(offsets=[TopicPartition(topic, p, 0) for p in range(partitions)], asynchronous=False)
    consumer.close()


@pytest.mark.timeout(300)
def test_a_sink_whose_positions_are_in_the_database_is_replayed_there(assay, kafka, topic_prefix, mlflow_on_postgres):
    server, database = mlflow_on_postgres
    on = ("--kafka", kafka, "--topic-prefix", topic_prefix)
    assert run_assay("topics", "create", *on, "--partitions", "2").returncode == 0
    door = assay("ingest", *on, "--experiment", f"sinks-{uuid.uuid4().hex[:8]}")
    password = {"ASSAY_MLFLOW_DB_PASSWORD": PASSWORD}
    sql = ("--mlflow-db", database.url)
    worker = assay("worker", *on, *sql, env=password)
    given = {}
    for _ in range(6):
        trace_id = new_trace_id()
        post_trace(door.http, trace_id)
        given[accepted(door.http.post("/feedback", params={"trace_id": trace_id}, json={"is_correct": True}))] = trace_id

    def shown(number: int):
        return lambda: database.rows("SELECT count(*) FROM assessments WHERE assessment_id = ANY(%s)", list(given)) == [(number,)]

    def verify():
        return run_assay("verify", *on, "--mlflow-url", server.url)

    wait_until("all is in MLflow", shown(6), within=WITHIN)
    lost = next(iter(given))
    database.rows("DELETE FROM assessments WHERE assessment_id = %s", lost)
    assert worker.terminate() == 0

    def replay(*flags: str, **how):
        return run_assay("sinks", "replay", "mlflow", *on, *flags, **how)

    wait_until("the worker has left", lambda: "is at work" not in replay().stderr, within=WITHIN)
    refused = replay()
    assert refused.returncode == 1 and "--mlflow-db" in refused.stderr, refused.stdout + refused.stderr
    done = replay(*sql, env=password)
    assert done.returncode == 0 and "again when the workers start" in done.stdout, done.stdout + done.stderr
    worker.start()
    wait_until("what was lost is there again", shown(6), within=WITHIN)
    wait_until("verified", lambda: verify().returncode == 0, within=WITHIN)
    assert worker.terminate() == 0

    # Kafka's copy of the positions is set right by a worker that has nothing to do.
    wait_until("the worker has left", lambda: "is at work" not in replay().stderr, within=WITHIN)
    set_back(kafka, f"{topic_prefix}sink-mlflow", f"{topic_prefix}assessments", partitions=2)
    database.rows("DELETE FROM assessments WHERE assessment_id = %s", lost)
    worker.start()
    wait_until("the loss is seen", lambda: f"{lost} is not shown by MLflow" in verify().stdout, within=WITHIN)
