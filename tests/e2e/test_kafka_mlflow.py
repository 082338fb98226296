"""The whole way for real: one `ingest`, two `worker`s, a Kafka broker and an MLflow server, read back with MLflow's own SDK."""

import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from confluent_kafka import Producer

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow.entities import Trace  # noqa: E402

from support.assay import run_assay  # noqa: E402
from support.deployment import PARTITIONS, THUMB, WITHIN, Deployment, deploy  # noqa: E402
from support.door import accepted, chat, events, new_request_id, new_trace_id, post_trace, trace_body  # noqa: E402
from support.fake_model import FakeModel  # noqa: E402
from support.waiting import wait_until  # noqa: E402


@pytest.fixture(scope="session")
def plain_mlflow_env() -> None:
    """MLflow's client retries for minutes: a test wants to hear of it."""
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "2"


@pytest.fixture
def on(assay, kafka, topic_prefix, mlflow_url, plain_mlflow_env) -> Iterator[Deployment]:
    yield deploy(assay, kafka, topic_prefix, mlflow_url)


def creates_by_id(records: list[dict]) -> Counter:
    return Counter(r["assessment"]["assessment_id"] for r in records if r["op"] == "create")


def test_early_feedback_through_a_killed_worker_is_committed_once_and_seen(on):
    """The promise of all promises, for one feedback, as its user and its reader see it."""
    request_id = new_request_id()
    assessment_id = on.give(client_request_id=request_id)
    on.restart(0)
    trace_id = chat(on.http, "Is water wet?", client_request_id=request_id)["trace_id"]
    on.restart(1)
    [shown] = on.wait_shown(trace_id, assessment_id)
    assert (shown.name, shown.value, shown.rationale) == ("user_feedback", True, "spot on")
    assert (shown.source.source_type, shown.source.source_id) == ("HUMAN", "ana")

    trace: Trace = on.mlflow.get_trace(trace_id)
    assert [a.assessment_id for a in trace.info.assessments] == [assessment_id]
    assert trace.info.client_request_id == request_id and trace.info.state == "OK"
    [root] = trace.data.spans
    assert "Is water wet?" in json.dumps(root.inputs) and root.outputs
    assert root.attributes["response"] and int(root.attributes["token_count"]) > 0
    wait_until("the tag", lambda: "user_feedback" in on.mlflow.get_trace(trace_id).info.tags.get("assay.feedback", ""))

    [record] = [r for r in on.records("assessments") if r.header("assessment_id") == assessment_id]
    said = json.loads(record.value)
    assert record.key.decode() == trace_id and said["op"] == "create" and said["client_request_id"] == request_id
    assert said["assessment"]["trace_id"] == trace_id and said["v"] == 1


@pytest.mark.timeout(240)
def test_a_load_of_early_feedback_while_both_workers_are_killed_in_turn_is_committed_exactly_once(on):
    """By either id, with repeats of keyed clicks, over all partitions; each worker dies with -9 while the traces arrive."""
    count = 80
    ids = [(new_trace_id(), new_request_id()) for _ in range(count)]
    given: dict[str, str] = {}  # assessment_id -> trace_id

    def give(number: int, http: httpx.Client) -> str:
        by = "trace_id" if number % 2 else "client_request_id"
        headers = {"Idempotency-Key": f"key-{number}"} if number % 3 == 0 else {}
        return accepted(http.post("/feedback", params={by: ids[number][by == "client_request_id"]}, json=THUMB, headers=headers))

    for number, (trace_id, _) in enumerate(ids):
        assessment_id = give(number, on.http)
        assert number % 3 or give(number, on.http) == assessment_id
        given[assessment_id] = trace_id

    arrived = threading.Semaphore(0)

    def arrive() -> None:
        with httpx.Client(base_url=on.ingest.url, timeout=30, trust_env=False) as http:
            for number, (trace_id, request_id) in enumerate(ids):
                post_trace(http, trace_id, request_id, experiment_id=on.experiment_id)
                arrived.release()
                if number % 6 == 0:  # a repeat of a click whose trace is known by now
                    assert give(number, http) in given

    with ThreadPoolExecutor(1) as pool:
        arriving = pool.submit(arrive)
        for worker, after in ((0, 20), (1, 20), (0, 20)):
            for _ in range(after):
                assert arrived.acquire(timeout=60)
            on.restart(worker)
        arriving.result(120)

    expected = {}
    for assessment_id, trace_id in given.items():
        expected.setdefault(trace_id, []).append(assessment_id)

    def all_there():
        shown = {t: sorted(a.assessment_id for a in found) for t, found in on.shown().items()}
        missing = [t for t, a in expected.items() if shown.get(t) != sorted(a)]
        assert not missing, f"{len(missing)} of {len(expected)} traces not as they should be, the first: {missing[0]}: {shown.get(missing[0])}"
        return True

    wait_until("every feedback in MLflow", all_there, within=120, every=0.5)
    on.wait_flowed()
    assert all_there()
    counts = creates_by_id(on.forwarded())
    assert {a: counts[a] for a in given} == dict.fromkeys(given, 1), "each once for a read_committed reader"
    assert on.records("deadletters") == []
    for worker in on.workers:
        wait_until("counters settled", lambda w=worker: w.metric("assay_unaccounted") == 0, WITHIN)


def test_feedback_by_trace_id_before_its_trace_waits_for_it(on):
    trace_id = new_trace_id()
    assessment_id = on.give(trace_id=trace_id)
    on.wait_flowed()
    assert creates_by_id(on.forwarded())[assessment_id] == 0, "parked, not forwarded"
    on.restart(0)
    on.restart(1)
    on.trace(trace_id)
    on.wait_shown(trace_id, assessment_id)
    assert creates_by_id(on.forwarded())[assessment_id] == 1


def test_a_repeat_with_its_key_is_one_feedback_and_another_body_is_a_dead_letter(on):
    trace_id, request_id = new_trace_id(), new_request_id()
    on.trace(trace_id, request_id)
    first = on.give(key="click-1", client_request_id=request_id)
    on.restart(0)
    assert on.give(key="click-1", client_request_id=request_id) == first
    assert on.give({"is_correct": False}, key="click-1", client_request_id=request_id) == first  # this door can't know
    on.restart(1)
    [shown] = on.wait_shown(trace_id, first)
    assert shown.value is True
    dead = wait_until("the conflict is a dead letter", lambda: [json.loads(r.value) for r in on.records("deadletters") if r.value], WITHIN)
    assert [d["reason"] for d in dead] == ["idempotency_conflict"]
    on.wait_flowed()
    assert creates_by_id(on.forwarded())[first] == 1
    on.wait_shown(trace_id, first)


@pytest.mark.timeout(240)
def test_an_id_that_comes_again_on_another_trace_stays_where_it_was_first_and_stops_nothing(assay, kafka, topic_prefix, mlflow_url, plain_mlflow_env):
    window = ("--dedupe-window", "2s")
    on = deploy(assay, kafka, topic_prefix, mlflow_url, worker_flags=window)
    first, second, request_id = new_trace_id(), new_trace_id(), new_request_id()
    on.trace(first, request_id)
    given = on.give(key="click-1", client_request_id=request_id)
    on.wait_shown(first, given)
    on.trace(second, request_id)

    def forwarded_again():
        assert on.give(key="click-1", client_request_id=request_id) == given
        return {r["assessment"]["trace_id"] for r in on.forwarded() if r["assessment"]["assessment_id"] == given} == {first, second}

    wait_until("the window is over", forwarded_again, WITHIN, every=1)
    on.wait_flowed()
    on.wait_shown(first, given)
    on.wait_shown(second)
    verify = ("verify", "--kafka", kafka, "--topic-prefix", topic_prefix, *window, "--mlflow-url", mlflow_url)
    wait_until("verified", lambda: (done := run_assay(*verify)).returncode == 0 and " 0 in flight; 0 unaccounted" in done.stdout, WITHIN, every=1)


def test_a_trace_that_names_no_place_is_in_mlflows_default_experiment(on):
    trace_id = new_trace_id()
    body = trace_body(trace_id)
    del body["trace"]["trace_info"]["trace_location"]
    assert on.http.post("/api/3.0/mlflow/traces", json=body).status_code == 200
    given = on.give(trace_id=trace_id)

    def shown() -> bool:
        answer = httpx.get(f"{on.mlflow.tracking_uri}/api/3.0/mlflow/traces/{trace_id}", trust_env=False)
        info = answer.raise_for_status().json()["trace"]["trace_info"]
        assert info["trace_location"]["mlflow_experiment"]["experiment_id"] == "0"
        return [a["assessment_id"] for a in info.get("assessments", [])] == [given]

    wait_until("it is in MLflow", shown, WITHIN, every=0.5)


def test_an_update_and_a_delete_sent_before_their_creates_were_resolved_take_effect(on):
    trace_id, request_id = new_trace_id(), new_request_id()
    target = {"client_request_id": request_id}
    changed, taken_back, kept = (on.give(**target) for _ in range(3))
    assert on.http.patch(f"/feedback/{changed}", params=target, json={"value": False, "rationale": "wrong after all"}).status_code == 202
    assert on.http.delete(f"/feedback/{taken_back}", params=target).status_code == 202
    on.restart(0)
    on.trace(trace_id, request_id)
    on.restart(1)

    def settled():
        found = {a.assessment_id: a for a in on.shown().get(trace_id, [])}
        assert set(found) == {changed, kept} and found[changed].value is False, found
        return found

    found = wait_until("the update and the delete", settled, WITHIN, every=0.2)
    assert found[changed].rationale == "wrong after all" and found[kept].value is True
    on.wait_flowed()
    settled()


def test_an_update_and_a_delete_of_what_is_committed_take_effect(on):
    trace_id = new_trace_id()
    on.trace(trace_id)
    changed, taken_back = on.give(trace_id=trace_id), on.give(trace_id=trace_id)
    on.wait_shown(trace_id, changed, taken_back)
    assert on.http.patch(f"/feedback/{changed}", params={"trace_id": trace_id}, json={"value": "so so"}).status_code == 202
    on.restart(0)
    assert on.http.delete(f"/feedback/{taken_back}", params={"trace_id": trace_id}).status_code == 202
    on.restart(1)
    on.wait_shown(trace_id, changed)
    wait_until("the new value", lambda: on.shown()[trace_id][0].value == "so so", WITHIN)


def test_a_door_on_kafka_says_what_it_cannot_know(on):
    assert on.http.get("/feedback/a-" + "0" * 32).status_code == 501
    unaddressed = on.http.patch("/feedback/a-" + "0" * 32, json={"value": 1})
    assert unaddressed.status_code == 400 and "client_request_id" in unaddressed.text


def test_a_client_request_id_that_mlflow_has_no_room_for_still_finds_its_trace(on):
    request_id, trace_id = "order/" + "x" * 100, new_trace_id()
    assessment_id = on.give(client_request_id=request_id)
    on.trace(trace_id, request_id)
    on.wait_shown(trace_id, assessment_id)


def test_a_front_door_killed_under_load_keeps_every_202_exactly_once(on):
    traces = [new_trace_id() for _ in range(8)]
    for trace_id in traces:
        on.trace(trace_id)
    answered: dict[str, str] = {}  # assessment_id -> its name
    stop = threading.Event()

    def click(number: int) -> None:
        count = 0
        while not stop.is_set():
            count += 1
            name, key = f"c-{number}-{count}", {"Idempotency-Key": f"k-{number}-{count}"} if count % 2 else {}
            while not stop.is_set():
                try:
                    with httpx.Client(base_url=on.ingest.url, timeout=20, trust_env=False) as http:
                        body = {"name": name, "value": count}
                        answer = http.post("/feedback", params={"trace_id": traces[count % 8]}, json=body, headers=key)
                except httpx.HTTPError:
                    if key:
                        continue  # asked again, until there is an answer
                    break
                if answer.status_code == 202:
                    answered[answer.json()["assessment_id"]] = name
                    break

    clicks = [threading.Thread(target=click, args=(number,)) for number in range(4)]
    for thread in clicks:
        thread.start()
    try:
        for _ in range(3):
            before = len(answered)
            wait_until("clicks", lambda b=before: len(answered) > b + 40)
            on.ingest.restart_after_kill9()
    finally:
        stop.set()
        for thread in clicks:
            thread.join(60)
    # A slow broker may have left the last ones on the door's disk.
    wait_until("the spool is empty", lambda: on.ingest.metric("assay_spool_records") == 0, WITHIN)
    on.wait_flowed()
    forwarded = [r["assessment"] for r in on.forwarded() if r["op"] == "create"]
    by_id, by_name = (Counter(a[field] for a in forwarded) for field in ("assessment_id", "assessment_name"))
    assert {a: by_id[a] for a in answered} == dict.fromkeys(answered, 1), "every 202 once"
    markers = by_name.pop("user_feedback")
    assert markers == PARTITIONS and set(by_name.values()) == {1}, "nothing twice, answered or not"


def test_a_chat_cut_by_the_death_of_its_front_door_is_closed_as_an_error_when_it_is_back(assay, kafka, topic_prefix, mlflow_url, plain_mlflow_env):
    never = threading.Event()

    def tokens():
        yield "Water"
        never.wait(60)

    with FakeModel(tokens) as model:
        on = deploy(assay, kafka, topic_prefix, mlflow_url, ingest_flags=("--model-url", model.url))
        with on.http.stream("POST", "/chat/stream", json={"message": "Is water wet?"}) as answer:
            trace_id = answer.headers["X-Trace-Id"]
            assert next(events(answer.iter_lines()))[1]["content"] == "Water"
            with httpx.Client(base_url=on.ingest.url, timeout=30, trust_env=False) as http:
                assessment_id = accepted(http.post("/feedback", params={"trace_id": trace_id}, json=THUMB))
            on.ingest.kill9()
        never.set()
    on.ingest.start()
    on.wait_shown(trace_id, assessment_id)
    wait_until("it is closed", lambda: on.mlflow.search_traces(locations=[on.experiment_id], include_spans=False)[0].info.state == "ERROR", WITHIN)


def test_a_chat_whose_front_door_never_comes_back_is_closed_as_an_error_by_a_worker(assay, kafka, topic_prefix, mlflow_url, plain_mlflow_env):
    never = threading.Event()

    def tokens():
        yield "Water"
        never.wait(60)

    with FakeModel(tokens) as model:
        on = deploy(assay, kafka, topic_prefix, mlflow_url, ingest_flags=("--model-url", model.url, "--chat-max", "8s"))
        with on.http.stream("POST", "/chat/stream", json={"message": "Is water wet?"}) as answer:
            trace_id = answer.headers["X-Trace-Id"]
            assert next(events(answer.iter_lines()))[1]["content"] == "Water"
            on.ingest.kill9()
        never.set()
    on.restart(0)  # whoever follows the chat's partition then learns of it from the log

    def closed():
        [trace] = on.mlflow.search_traces(locations=[on.experiment_id], include_spans=False)
        assert trace.info.trace_id == trace_id
        return trace.info.state == "ERROR" and trace.info

    info = wait_until("it is closed", closed, WITHIN)
    assert "did not come back" in info.response_preview and "Is water wet?" in info.request_preview
    assert len([r for r in on.records("traces") if r.key.decode() == trace_id]) == 2, "opened once, closed once"


def test_poison_records_on_every_topic_stop_nothing_behind_them(on):
    on.wait_flowed()
    producer = Producer({"bootstrap.servers": on.kafka})
    poisons = [b"", b"\xff\xfe not JSON", b'{"v":1}', b'{"v":999,"op":"create"}', b"[" * 10_000, b'{"v":1,"op":"create","items":[{}]}']
    upsert = '{"v":1,"op":"upsert","accepted_at":"2026-11-23T15:57:31Z","trace_info":{"trace_id":"tr-poison",%s}}'
    poisons += [(upsert % field).encode() for field in ('"request_time":"garbage"', '"trace_location":{}')]
    for stream in ("feedback", "requests", "traces", "assessments", "parked"):
        for partition in range(PARTITIONS):
            for poison in poisons:
                producer.produce(f"{on.prefix}{stream}", poison, key=b"poison", partition=partition)
    assert producer.flush(30) == 0
    on.wait_flowed()
    on.restart(0)
    on.restart(1)
    on.wait_flowed()
    dead = [json.loads(r.value) for r in on.records("deadletters") if r.value]
    resolved = [d for d in dead if d["step"] == "resolve"]
    no_ids = 3  # what is empty, no UTF-8, or longer than any id; the others may name a trace
    for stream, count in (("feedback", len(poisons)), ("requests", no_ids)):
        assert Counter(d["partition"] for d in resolved if d["stream"] == stream) == dict.fromkeys(range(PARTITIONS), count)
    assert {d["reason"] for d in dead} == {"malformed"} and all(d["detail"] for d in dead)


@pytest.mark.timeout(240)
def test_while_mlflow_is_down_feedback_is_accepted_and_it_is_committed_when_mlflow_is_back(assay, kafka, topic_prefix, mlflow_server, plain_mlflow_env):
    on = deploy(assay, kafka, topic_prefix, mlflow_server.url)
    mlflow_server.kill9()
    given = {}
    for _ in range(10):
        trace_id, request_id = new_trace_id(), new_request_id()
        on.trace(trace_id, request_id)
        given[trace_id] = on.give(client_request_id=request_id)
    wait_until("forwarded", lambda: len(creates_by_id(on.forwarded())) == 10, WITHIN)
    assert on.http.get("/readyz").status_code == 200, "a front door does not ask how MLflow feels"
    on.restart(0)
    mlflow_server.start()
    for trace_id, assessment_id in given.items():
        on.wait_shown(trace_id, assessment_id)


def test_topics_are_made_once_checked_and_a_mismatch_is_refused(kafka, topic_prefix):
    on = ("--kafka", kafka, "--topic-prefix", topic_prefix)
    missing = run_assay("topics", "check", *on)
    assert missing.returncode == 1 and f"{topic_prefix}feedback" in missing.stdout + missing.stderr
    for _ in range(2):
        assert run_assay("topics", "create", *on, "--partitions", "3").returncode == 0
    assert run_assay("topics", "check", *on).returncode == 0
    other = run_assay("topics", "create", *on, "--partitions", "5")
    assert other.returncode == 1 and "3" in other.stderr + other.stdout
