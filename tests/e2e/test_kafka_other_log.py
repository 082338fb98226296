"""Feedback topics that are not what the workers' positions and state were made from: they lost their tail, or were made anew under the same names. What is accepted there is decided all the same."""

import json
import shutil

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from support.assay import run_assay
from support.door import accepted, new_trace_id, post_trace
from support.kafka import read_topic
from support.waiting import wait_until

WORKER = ("--session-timeout", "2s", "--instance-id", "one")


@pytest.fixture
def on(kafka, topic_prefix) -> tuple[str, ...]:
    make_topics(kafka, topic_prefix)
    return ("--kafka", kafka, "--topic-prefix", topic_prefix)


def make_topics(kafka: str, prefix: str) -> None:
    """Also where they have just been deleted, which takes a broker a moment."""
    wait_until("they are made", lambda: run_assay("topics", "create", "--kafka", kafka, "--topic-prefix", prefix, "--partitions", "1").returncode == 0)


def delete_topics(kafka: str, prefix: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    names = [name for name in admin.list_topics(timeout=30).topics if name.startswith(prefix)]
    for done in admin.delete_topics(names, operation_timeout=30).values():
        done.result(timeout=30)


def say(door, count: int) -> list[str]:
    """Feedback, each of a trace that is told of before."""
    traces = [new_trace_id() for _ in range(count)]
    for trace_id in traces:
        post_trace(door.http, trace_id)
    return [accepted(door.http.post("/feedback", params={"trace_id": trace_id}, json={"is_correct": True})) for trace_id in traces]


def wait_decided(on, count: int) -> None:
    wait_until("all is decided", lambda: len(forwarded(on)) >= count and "behind 0" in run_assay("topics", "describe", *on).stdout, 60, every=0.3)


def forwarded(on) -> list[str]:
    return [json.loads(record.value)["assessment"]["assessment_id"] for record in read_topic(on[1], f"{on[3]}assessments")]


def committed(on) -> Consumer:
    return Consumer({"bootstrap.servers": on[1], "group.id": f"{on[3]}resolve", "enable.auto.commit": False})


@pytest.mark.timeout(180)
@pytest.mark.parametrize("state", ["kept", "lost"])
def test_a_position_behind_the_end_skips_nothing(assay, on, state):
    door, worker = assay("ingest", *on), assay("worker", *on, *WORKER)
    before = say(door, 4)
    wait_decided(on, 4)
    assert worker.terminate() == 0
    where = TopicPartition(f"{on[3]}feedback", 0)
    group = committed(on)
    [found] = group.committed([where], timeout=10)
    assert found.offset == 4
    where.offset = 9
    wait_until("its session is over", lambda: commits(group, where), 30)
    group.close()
    after = say(door, 2)
    if state == "lost":
        shutil.rmtree(worker.data)
    worker.start()
    after += say(door, 6)
    wait_until("what came since is forwarded", lambda: set(after) <= set(forwarded(on)), 60, every=0.3)
    again = forwarded(on)
    if state == "kept":  # which knows what it has forwarded
        assert sorted(again) == sorted(before + after)
    else:  # the positions in the sinks' ids are the same: they take it once
        assert set(again) == set(before + after)
    assert "event=position_of_another_log" in worker.tail()
    wait_until("all is decided", lambda: "behind 0" in run_assay("topics", "describe", *on).stdout, 30, every=0.3)
    assert worker.terminate() == 0
    worker.start()
    wait_until("it is up to date", lambda: worker.metric("assay_resolver_lag_records") == 0)
    assert sorted(forwarded(on)) == sorted(again), "the position has moved back, so nobody does it again"


def commits(group: Consumer, where: TopicPartition) -> bool:
    try:
        group.commit(offsets=[where], asynchronous=False)
        return True
    except Exception:
        return False


@pytest.mark.timeout(180)
def test_topics_made_anew_under_a_running_worker_skip_nothing(assay, on):
    door, worker = assay("ingest", *on), assay("worker", *on, *WORKER)
    say(door, 4)
    wait_decided(on, 4)
    delete_topics(on[1], on[3])
    make_topics(on[1], on[3])
    said = say(door, 8)
    wait_until("all of it is forwarded", lambda: set(said) <= set(forwarded(on)), 120, every=0.5)
    assert sorted(forwarded(on)) == sorted(said)


@pytest.mark.timeout(180)
def test_topics_made_anew_and_longer_by_now_skip_nothing(assay, on):
    door, worker = assay("ingest", *on), assay("worker", *on, *WORKER)
    say(door, 4)
    wait_decided(on, 4)
    assert worker.terminate() == 0
    delete_topics(on[1], on[3])
    make_topics(on[1], on[3])
    said = say(door, 10)
    group = committed(on)  # brokers forget it with the topic; one that was restored has it
    wait_until("its session is over", lambda: commits(group, TopicPartition(f"{on[3]}feedback", 0, 4)), 30)
    group.close()
    wait_until("they are there", lambda: door.metric("assay_spool_records") == 0 and len(read_topic(on[1], f"{on[3]}feedback")) >= 10, 60)
    worker.start()
    wait_until("all of it is forwarded", lambda: set(said) <= set(forwarded(on)), 60, every=0.3)
    assert sorted(forwarded(on)) == sorted(said) and "event=position_of_another_log" in worker.tail()
