"""A front door whose Kafka goes away: it goes on accepting on its own disk, and gives Kafka everything when it is back."""

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime

import httpx
import pytest

from support.assay import Assay, run_assay
from support.door import accepted, chat, new_request_id, new_trace_id, post_trace
from support.kafka import KafkaCluster, read_topic
from support.small_disk import SmallDisk
from support.waiting import wait_until

PARTITIONS = 3
WITHIN = 90.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[KafkaCluster]:
    """A broker that the tests of this file kill and bring back."""
    with KafkaCluster(tmp_path_factory.mktemp("kafka")) as cluster:
        yield cluster


@pytest.fixture
def on(cluster, request) -> tuple[str, ...]:
    """The flags of a deployment of this test's own."""
    prefix = f"{request.node.name.partition('[')[0][5:25]}{abs(hash(request.node.name)) % 1000}."
    flags = ("--kafka", cluster.start().bootstrap, "--topic-prefix", prefix)
    made = run_assay("topics", "create", *flags, "--partitions", str(PARTITIONS))
    assert made.returncode == 0, made.stderr
    return flags


class Clicks:
    """Users who click all the time; whatever is answered is written down."""

    def __init__(self, door: Assay, traces: list[str], threads: int = 4):
        self.door, self.traces = door, traces
        self.given: dict[str, str] = {}  # assessment_id -> trace_id
        self.statuses: Counter = Counter()
        self.durability: Counter = Counter()
        self.failures: list[str] = []
        self.slowest = 0.0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._click, args=(n,)) for n in range(threads)]

    def _click(self, number: int) -> None:
        count = 0
        with httpx.Client(base_url=self.door.url, timeout=30, trust_env=False) as http:
            while not self._stop.is_set():
                count += 1
                trace_id = self.traces[count % len(self.traces)]
                headers = {"Idempotency-Key": f"k-{number}-{count}"} if count % 2 else {}
                began = time.monotonic()
                try:
                    answer = http.post("/feedback", params={"trace_id": trace_id}, json={"name": f"n{number}", "value": count}, headers=headers)
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                    continue
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.statuses[answer.status_code] += 1
                if answer.is_success:
                    self.given[answer.json()["assessment_id"]] = trace_id
                    self.durability[answer.headers["Assay-Durability"]] += 1
                else:
                    self.failures.append(f"{answer.status_code} {answer.text}")

    def wait_durable(self, where: str, more: int) -> None:
        before = self.durability[where]
        wait_until(f"{more} answers with {where}", lambda: self.durability[where] >= before + more or self.failures, within=WITHIN)
        assert not self.failures, self.failures[:3]

    def __enter__(self) -> "Clicks":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)


def wait_drained(door: Assay) -> None:
    wait_until("the spool is empty", lambda: door.metric("assay_spool_records") == 0, within=WITHIN)


def wait_forwarded(flags: tuple[str, ...], given: dict[str, str]) -> None:
    """Every one of them stands on assay.assessments, once, under its trace, for a reader who sees only what is committed."""
    kafka, prefix = flags[1], flags[3]

    def all_there():
        records = [json.loads(r.value) for r in read_topic(kafka, f"{prefix}assessments")]
        counts = Counter(r["assessment"]["assessment_id"] for r in records)
        missing = [a for a in given if not counts[a]]
        assert not missing, f"{len(missing)} of {len(given)} not there, the first: {missing[0]}"
        assert {a: n for a, n in counts.items() if n > 1} == {}, "twice"
        for r in records:
            a = r["assessment"]
            assert given.get(a["assessment_id"], a["trace_id"]) == a["trace_id"]
        return True

    wait_until("every feedback once", all_there, within=WITHIN, every=0.5)


@pytest.mark.parametrize("outage", ["killed", "hung"])
@pytest.mark.timeout(300)
def test_nobody_sees_that_kafka_was_away(assay, cluster, on, outage):
    door = assay("ingest", *on)
    traces = [new_trace_id() for _ in range(6)]
    for trace_id in traces:
        post_trace(door.http, trace_id)
    with Clicks(door, traces) as clicks:
        clicks.wait_durable("kafka", 50)
        if outage == "killed":
            cluster.kill9()
        else:
            cluster.signal(signal.SIGSTOP)
        clicks.wait_durable("disk", 200)
        assert door.http.get("/readyz").status_code == 200, "there is room"
        told = chat(door.http, "Is water wet?", client_request_id=(request_id := new_request_id()))
        early = accepted(door.http.post("/feedback", params={"client_request_id": request_id}, json={"is_correct": True}))
        assert door.metric("assay_spool_bytes") > 0 and door.metric("assay_spool_age_seconds") > 0
        if outage == "killed":
            cluster.start()
        else:
            cluster.signal(signal.SIGCONT)
        clicks.wait_durable("kafka", 50)
    assert set(clicks.statuses) <= {200, 202} and not clicks.failures
    assert clicks.slowest < 20
    wait_drained(door)
    assay("worker", *on)
    wait_forwarded(on, clicks.given | {early: told["trace_id"]})
    states = [json.loads(r.value)["trace_info"]["state"] for r in read_topic(on[1], f"{on[3]}traces") if r.key == told["trace_id"].encode()]
    assert states[-1] == "OK", "the chat is there, with its end"


@pytest.mark.timeout(300)
def test_a_door_killed_with_a_spool_on_disk_drains_it_when_it_is_back(assay, cluster, on):
    door = assay("ingest", *on)
    trace_id = new_trace_id()
    post_trace(door.http, trace_id)
    cluster.kill9()
    given = {}
    with Clicks(door, [trace_id]) as clicks:
        clicks.wait_durable("disk", 100)
        door.kill9()
    given |= clicks.given
    without = run_assay("ingest", *on, "--data", str(door.data), "--listen", "127.0.0.1:0", "--spool", "off")
    assert without.returncode == 2 and "holds records that were accepted" in without.stderr, without.stderr
    door.start()  # Kafka is still away
    assert door.metric("assay_spool_records") >= len(given)
    stamp = int(time.time() * 1000)
    with Clicks(door, [trace_id]) as clicks:
        clicks.wait_durable("disk", 100)
    given |= clicks.given
    door.restart_after_kill9()
    cluster.start()
    wait_drained(door)
    assert door.metric("assay_spool_drained_total") >= len(given)
    assay("worker", *on)
    wait_forwarded(on, given)
    feedback = read_topic(on[1], f"{on[3]}feedback")
    times = [datetime.fromisoformat(json.loads(r.value)["accepted_at"]).timestamp() * 1000 for r in feedback]
    assert min(times) < stamp, "records keep the time at which they were accepted"
    assert all(r.timestamp >= at for r, at in zip(feedback, times)), "the topic's own age is when it was given them"


def assert_full(answer: httpx.Response) -> None:
    assert answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0 and "event log full" in answer.text, answer.text


@pytest.mark.timeout(300)
def test_a_full_spool_says_503_and_has_room_again(assay, cluster, on):
    door = assay("ingest", *on, "--spool", "16MB")
    trace_id = new_trace_id()
    post_trace(door.http, trace_id)
    cluster.kill9()
    given, refused, alone = {}, None, False
    for number in range(2000):
        if not alone and door.metric("assay_spool_room_bytes") < 2 << 20:  # the last eighth
            alone = True
            for path in ("/chat", "/chat/stream", "/v1/chat/completions"):
                body = {"message": "Is water wet?", "model": "m", "messages": [{"role": "user", "content": "Is water wet?"}]}
                assert_full(door.http.post(path, json=body))
            assert_full(door.http.post("/api/3.0/mlflow/traces", json={"trace": {"trace_info": {"trace_id": new_trace_id()}}}))
            ready = door.http.get("/readyz")
            assert ready.status_code == 200 and "feedback's alone" in ready.json()["checks"]["log"], ready.text
        body = {"name": "long", "value": number, "rationale": "x" * 15_000}
        answer = door.http.post("/feedback", params={"trace_id": trace_id}, json=body)
        if not answer.is_success:
            refused = answer
            break
        given[answer.json()["assessment_id"]] = trace_id
    assert refused is not None and refused.status_code == 503 and int(refused.headers["Retry-After"]) > 0, refused
    assert len(given) > 900 and alone
    assert door.http.get("/readyz").status_code == 503
    assert door.metric("assay_spool_room_bytes") < 1 << 20
    assert door.terminate() == 0
    assert f"event=spool_left records={len(given)} " in door.log.read_text(), "who takes the volume away is told what is on it"
    door.spawn().wait_live()
    cluster.start()
    wait_drained(door)
    wait_until("ready", lambda: door.http.get("/readyz").status_code == 200)
    for event, times in {"spool_nearly_full": 1, "spool_full": 2, "spool_room": 1}.items():  # full also at its second start
        assert door.log.read_text().count(f"event={event} ") == times, event
    assert door.http.post("/chat", json={"message": "Is water wet?"}).status_code == 200
    answer = door.http.post("/feedback", params={"trace_id": trace_id}, json={"is_correct": True})
    given[accepted(answer)] = trace_id
    assay("worker", *on)
    wait_forwarded(on, given)


@pytest.mark.timeout(300)
def test_a_view_is_ready_while_kafka_is_away_and_answers_under_load_when_it_is_back(assay, cluster, on):
    worker = assay("worker", *on, start=False).spawn()
    door = assay("ingest", *on, "--view", "--view-lag-max", "1")
    worker.wait_ready()
    trace_id = new_trace_id()
    post_trace(door.http, trace_id)

    def last_one_is_read() -> bool:
        return door.http.get(f"/feedback/{list(clicks.given)[-1]}").status_code == 200

    with Clicks(door, [trace_id]) as clicks:
        clicks.wait_durable("kafka", 50)
        wait_until("a read beside the load", last_one_is_read)
        cluster.kill9()
        clicks.wait_durable("disk", 200)
        wait_until("ready: nobody can know how far behind it is", lambda: door.http.get("/readyz").status_code == 200)
        cluster.start()
        clicks.wait_durable("kafka", 50)
        wait_until("a read beside the load", last_one_is_read, within=WITHIN)
    assert not clicks.failures


@pytest.mark.timeout(300)
def test_what_kafka_has_is_not_sent_again_while_the_disk_is_too_full_to_take_it_off_the_spool(assay, cluster, on, tmp_path):
    if refused := SmallDisk.refused():
        pytest.skip(f"this machine lets no test mount a disk: {refused}")

    def sent() -> int:
        return len(read_topic(on[1], f"{on[3]}feedback"))

    with SmallDisk(tmp_path / "door" / "data", megabytes=96) as disk:
        door = assay("ingest", *on, "--disk-reserve", "0", name="door", launcher=disk.launcher)
        trace_id = new_trace_id()
        post_trace(door.http, trace_id)
        cluster.kill9()
        disk.fill()
        many = 0  # the database has made room for itself: that is filled, too
        body = {"name": "long", "value": 1, "rationale": "x" * 15_000}
        while door.http.post("/feedback", params={"trace_id": trace_id}, json=body).is_success:
            many += 1
        assert many < 4000 and door.metric("assay_spool_records") == many
        cluster.start()
        wait_until("Kafka has them", lambda: sent() >= many, within=WITHIN)
        wait_until("it can't take them off", lambda: "event=spool_stuck" in door.log.read_text(), within=WITHIN)
        before = sent()
        time.sleep(2)  # ten tries
        assert sent() == before and door.metric("assay_spool_records") == many
        disk.clear()
        wait_drained(door)
        assert sent() == before
        door.close()


@pytest.mark.timeout(120)
def test_without_a_spool_kafka_away_is_503(assay, cluster, on):
    door = assay("ingest", *on, "--spool", "off", "--append-timeout", "1s")
    cluster.kill9()
    answer = door.http.post("/feedback", params={"trace_id": new_trace_id()}, json={"is_correct": True})
    assert answer.status_code == 503 and "Retry-After" in answer.headers
    wait_until("not ready", lambda: door.http.get("/readyz").status_code == 503)
    cluster.start()


def test_the_spool_is_a_size_or_off(tmp_path):
    wrong = run_assay("ingest", "--kafka", "127.0.0.1:1", "--data", str(tmp_path / "d"), "--spool", "some")
    assert wrong.returncode == 2 and "--spool" in wrong.stderr
