"""Topics that are not those of before: grown under those who run, or another prefix's, or another cluster's."""

import signal
import time

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions

from support.assay import run_assay
from support.door import accepted, new_trace_id, post_trace
from support.kafka import read_topic
from support.waiting import wait_until

PARTITIONS = 3


def make_topics(kafka: str, prefix: str) -> tuple[str, ...]:
    on = ("--kafka", kafka, "--topic-prefix", prefix)
    made = run_assay("topics", "create", *on, "--partitions", str(PARTITIONS))
    assert made.returncode == 0, made.stderr
    return on


def grow(kafka: str, *topics: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    for done in admin.create_partitions([NewPartitions(topic, 2 * PARTITIONS) for topic in topics]).values():
        done.result(timeout=30)


def ends_with(process, code: int, *words: str) -> None:
    process.spawn()
    wait_until("it has ended", lambda: not process.running)
    assert process.exit_code == code, process.tail()
    for word in words:
        assert word in process.tail(), process.tail()


def give(door):
    return door.http.post("/feedback", params={"trace_id": new_trace_id()}, json={"is_correct": True})


@pytest.mark.parametrize("spool", ["1GB", "off"])
@pytest.mark.timeout(120)
def test_a_topic_that_grows_is_noticed_by_door_and_worker(assay, kafka, topic_prefix, spool):
    on = make_topics(kafka, topic_prefix)
    door, worker = assay("ingest", *on, "--spool", spool), assay("worker", *on)
    accepted(give(door))
    wait_until("all partitions are worked on", lambda: worker.metric("assay_worker_partitions") == PARTITIONS)
    grow(kafka, f"{topic_prefix}requests")
    wait_until("the door is not ready", lambda: door.http.get("/readyz").status_code == 503)
    refused = give(door)
    assert refused.status_code == 503 and "Retry-After" in refused.headers and "event log is not the one" in refused.text
    assert door.metric("assay_spool_records") == 0
    assert door.tail().count("event=topics_changed") == 1 and f"{topic_prefix}requests has 6 partitions now" in door.tail()
    wait_until("the worker refuses", lambda: worker.metric("assay_worker_refused") == 1 and worker.metric("assay_worker_partitions") == 0)
    ready = worker.http.get("/readyz")
    assert ready.status_code == 503 and "not the one that this process began with" in ready.json()["checks"]["topics"], ready.text
    assert worker.http.get("/livez").status_code == 200


def test_a_worker_outlives_a_hangup_and_says_which_partitions_it_has(assay, kafka, topic_prefix):
    worker = assay("worker", *make_topics(kafka, topic_prefix))
    wait_until("it has them", lambda: worker.metric("assay_worker_partitions") == PARTITIONS)
    assert "event=assigned partitions=0,1,2" in worker.tail()
    worker.signal(signal.SIGHUP)
    wait_until("it says so", lambda: "event=reloaded" in worker.tail())
    assert worker.http.get("/livez").status_code == 200


@pytest.mark.timeout(120)
def test_topics_that_have_all_grown_are_refused_also_by_who_has_never_seen_them(assay, kafka, topic_prefix):
    on = make_topics(kafka, topic_prefix)
    door, worker = assay("ingest", *on), assay("worker", *on)
    for _ in range(5 * PARTITIONS):
        accepted(give(door))
    wait_until("all is decided", lambda: worker.metric("assay_resolver_lag_records") == 0 and worker.metric("assay_unaccounted") == 0)
    wait_until("a position is committed", lambda: "behind 0" in run_assay("topics", "describe", *on).stdout)
    grow(kafka, *(f"{topic_prefix}{stream}" for stream in ("feedback", "requests", "parked")))
    assert door.terminate() == 0 and worker.terminate() == 0
    for role in ("worker", "ingest"):
        ends_with(assay(role, *on, start=False), 1, "has 6 partitions, and the workers have worked with 3", "--topic-prefix")


@pytest.mark.timeout(120)
def test_a_directory_belongs_to_the_topics_that_it_was_made_of(assay, kafka, topic_prefix):
    on = make_topics(kafka, topic_prefix)
    other = make_topics(kafka, f"{topic_prefix}other.")
    for role, flags in (("ingest", ()), ("ingest", ("--view",)), ("worker", ())):
        process = assay(role, *on, *flags)
        assert process.terminate() == 0
        process.args = (*other, *flags)
        ends_with(process, 2, f"belongs to the topics {topic_prefix}*", "--topic-prefix")
        process.args = (*on, *flags)
        process.start()


def test_a_directory_belongs_to_the_role_that_made_it_and_who_is_refused_leaves_it_as_it_was(assay):
    serve = assay("serve")
    assert serve.terminate() == 0
    files = sorted(path.name for path in serve.data.iterdir())
    for role, flags in (("worker", ()), ("ingest", ("--spool", "off"))):
        process = assay(role, "--kafka", "127.0.0.1:1", *flags, start=False)
        process.data = serve.data
        ends_with(process, 2, f"belongs to `assay serve`, not to `assay {role}`")
    assert sorted(path.name for path in serve.data.iterdir()) == files
    serve.start()


@pytest.mark.timeout(60)
def test_a_view_that_starts_first_waits_for_kafka_as_long_as_it_is_told(assay):
    began = time.monotonic()
    ends_with(assay("ingest", "--kafka", "127.0.0.1:1", "--view", "--kafka-wait", "6s", start=False), 1, "Connection refused", "a view needs one when it starts first")
    assert time.monotonic() - began >= 6


@pytest.mark.timeout(120)
def test_a_worker_that_ends_by_itself_claims_no_signal(assay, kafka, topic_prefix):
    on = make_topics(kafka, topic_prefix)
    first = assay("worker", *on, "--instance-id", "one")
    assay("worker", *on, "--instance-id", "one")
    wait_until("the first one has ended", lambda: not first.running, within=60)
    said = first.log.read_text()
    assert first.exit_code == 1 and "event=worker_failed" in said and "event=draining reason=" in said and "signal=SIG" not in said, said


@pytest.mark.timeout(300)
def test_a_spool_is_not_drained_into_another_cluster_that_comes_later(assay, kafka, topic_prefix, kafka_cluster):
    on = make_topics(kafka, topic_prefix)
    cluster = kafka_cluster()
    other = make_topics(cluster.bootstrap, topic_prefix)
    cluster.kill9()
    door = assay("ingest", *on, "--view")
    assert door.terminate() == 0
    door.args = (*other, "--view")
    door.start()
    assert give(door).headers["Assay-Durability"] == "disk"
    cluster.start()
    wait_until("the door is not ready", lambda: door.http.get("/readyz").status_code == 503, within=60)
    assert give(door).status_code == 503 and "belongs to the topics" in door.tail()
    assert door.metric("assay_spool_records") == 1
    assert read_topic(cluster.bootstrap, f"{topic_prefix}feedback") == []
    assert door.terminate() == 0
    door.args = on
    door.start()
    wait_until("the spool is empty", lambda: door.metric("assay_spool_records") == 0)
    assert len(read_topic(kafka, f"{topic_prefix}feedback")) == 1


@pytest.mark.timeout(60)
def test_who_waits_for_topics_says_so_at_once_and_in_the_end_that_they_lack(assay, kafka, topic_prefix):
    on = ("--kafka", kafka, "--topic-prefix", topic_prefix)
    worker = assay("worker", *on, start=False).spawn()
    door = assay("ingest", *on, "--view", start=False).spawn()
    for process in (worker, door):
        line = wait_until("it says what it waits for", lambda: next((one for one in process.log.read_text().splitlines() if "event=topics_missing" in one), None), 10)
        assert f"{topic_prefix}feedback" in line
    short = assay("ingest", *on, "--spool", "off", "--kafka-wait", "2s", start=False)
    ends_with(short, 1, "lacks the topics", f"{topic_prefix}feedback")
    assert run_assay("topics", "create", *on, "--partitions", "2").returncode == 0
    worker.wait_ready()
    door.wait_ready()


def test_a_session_timeout_that_the_brokers_do_not_allow_ends_the_worker(assay, kafka, topic_prefix):
    on = make_topics(kafka, topic_prefix)
    worker = assay("worker", *on, "--session-timeout", "60m", start=False)
    ends_with(worker, 1, "refuse a --session-timeout of 3600000 ms", "group.max.session.timeout.ms")


@pytest.mark.timeout(60)
def test_the_bound_of_a_spool_is_not_promised_beyond_the_disk(assay, kafka, topic_prefix):
    on = make_topics(kafka, topic_prefix)
    door = assay("ingest", *on, "--spool", "1000000GB")
    assert "event=spool_larger_than_disk" in door.tail()
    assert 0 < door.metric("assay_spool_room_bytes") < 1_000_000 << 30
    assert door.terminate() == 0
    door.args = (*on, "--disk-reserve", "1000000GB")
    door.start()
    assert door.metric("assay_spool_room_bytes") == 0


@pytest.mark.timeout(180)
def test_a_view_of_topics_that_were_made_anew_says_what_to_do(assay, kafka, topic_prefix):
    on = make_topics(kafka, topic_prefix)
    view = assay("ingest", *on, "--view")
    for _ in range(10):
        post_trace(view.http, new_trace_id())
    wait_until("it has read them", lambda: "traces                10" in run_assay("report", "--data", str(view.data)).stdout)
    assert view.terminate() == 0
    admin = AdminClient({"bootstrap.servers": kafka})
    topics = [name for name in admin.list_topics(timeout=30).topics if name.startswith(topic_prefix)]
    for done in admin.delete_topics(topics, operation_timeout=30).values():
        done.result(timeout=30)
    wait_until("they are gone", lambda: not any(name.startswith(topic_prefix) for name in admin.list_topics(timeout=30).topics))
    make_topics(kafka, topic_prefix)
    view.spawn()
    wait_until("it says so", lambda: "event=view_of_other_topics" in view.tail() and "remove its --data directory" in view.tail(), 60)
    ready = view.http.get("/readyz")
    assert ready.status_code == 503 and "not the one that this process began with" in ready.json()["checks"]["view"], ready.text
    began = time.monotonic()
    assert view.terminate() == 0 and time.monotonic() - began < 5


@pytest.mark.timeout(240)
def test_a_broker_that_makes_topics_by_itself_is_given_no_reason_to(assay, kafka_cluster):
    """Brokers do by default, with partitions and a cleanup of their own: ids and what waits would be lost."""
    kafka = kafka_cluster(auto_create=True).bootstrap
    admin = AdminClient({"bootstrap.servers": kafka})

    def made() -> list[str]:
        return [topic for topic in admin.list_topics(timeout=30).topics if topic.startswith("auto.")]

    on = ("--kafka", kafka, "--topic-prefix", "auto.")
    door, view, worker = (assay(*role, *on, start=False) for role in (("ingest",), ("ingest", "--view"), ("worker",)))
    for process in (door, view, worker):
        process.spawn()
    for process in (door, view, worker):
        wait_until("it waits for them", lambda p=process: "event=topics_missing" in p.tail(), within=60)
    assert made() == []
    make_topics(kafka, "auto.")
    for process in (door, view, worker):
        process.wait_ready(within=60)
    accepted(give(door))
    admin_done = admin.delete_topics(made())
    for done in admin_done.values():
        done.result(timeout=30)
    wait_until("they are gone", lambda: made() == [], within=60)
    for _ in range(3):
        give(door)
    wait_until("it has looked for them", lambda: give(door).headers.get("Assay-Durability") != "kafka", within=60)
    assert made() == []
