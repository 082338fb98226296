"""A disk that fills up under `assay serve`: it says "later", loses nothing that it accepted, and recovers by itself."""

import itertools
import threading
from collections.abc import Iterator

import httpx
import pytest

from support.assay import Assay, run_assay
from support.door import accepted, assessments, new_trace_id, post_trace, receipt, wait_state
from support.small_disk import SmallDisk
from support.waiting import wait_until

SMALL = ("--write-buffers", "4MB", "--cache", "4MB")  # so that the database writes its files often

_numbers = itertools.count()


@pytest.fixture
def disk(tmp_path) -> Iterator[SmallDisk]:
    refused = SmallDisk.refused()
    if refused:
        pytest.skip(f"this machine lets no test mount a disk: {refused}")
    with SmallDisk(tmp_path / "serve" / "data", megabytes=96) as disk:
        yield disk


def serve_on(assay, disk: SmallDisk, *flags: str) -> Assay:
    return assay("serve", *SMALL, *flags, name="serve", launcher=disk.launcher)


def give(http: httpx.Client, trace_id: str) -> httpx.Response:
    body = {"name": f"f-{next(_numbers)}", "value": 1, "rationale": "x" * 2000}
    return http.post("/feedback", params={"trace_id": trace_id}, json=body)


def assert_says_later(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["Content-Type"] == "application/problem+json"


def assert_nothing_lost(serve: Assay, disk: SmallDisk, trace_id: str, given: list[str]) -> None:
    wait_state(serve.http, given[-1], "committed")
    shown = assessments(serve.http, trace_id)
    assert set(given) <= set(shown), "promises broken: accepted and lost"
    assert all(receipt(serve.http, a)["state"] == "committed" for a in given)
    verified = run_assay("verify", "--data", str(serve.data), launcher=disk.launcher)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_below_its_reserve_the_door_says_later_and_when_there_is_room_again_it_goes_on(assay, disk):
    serve = serve_on(assay, disk, "--disk-reserve", "16MB")
    trace_id = new_trace_id()
    post_trace(serve.http, trace_id)
    given = [accepted(give(serve.http, trace_id)) for _ in range(50)]

    disk.fill(leave=8 << 20)
    wait_until("not ready", lambda: serve.http.get("/readyz").status_code == 503)
    assert_says_later(wait_until("refused", lambda: (a := give(serve.http, trace_id)).status_code != 200 and a))
    assert_says_later(serve.http.post("/chat", json={"message": "Is water wet?"}))
    assert_says_later(serve.http.post("/chat/stream", json={"message": "Is water wet?"}))
    assert serve.http.post("/api/3.0/mlflow/traces", json={"trace": {"trace_info": {"trace_id": new_trace_id()}}}).status_code == 503
    assert serve.http.get("/livez").status_code == 200
    wait_state(serve.http, given[-1], "committed")  # what was accepted goes on, and can be read

    disk.clear()
    serve.wait_ready()
    given += [accepted(give(serve.http, trace_id)) for _ in range(50)]
    assert_nothing_lost(serve, disk, trace_id, given)


def test_a_batch_into_a_full_disk_is_a_503_to_be_repeated_and_accepts_none(assay, disk):
    serve = serve_on(assay, disk, "--disk-reserve", "16MB")
    trace_id = new_trace_id()
    post_trace(serve.http, trace_id)
    disk.fill(leave=8 << 20)
    wait_until("not ready", lambda: serve.http.get("/readyz").status_code == 503)
    answer = serve.http.post("/feedback/batch", json=[{"trace_id": trace_id, "is_correct": True}] * 3)
    assert answer.status_code == 503 and "Retry-After" in answer.headers and "Assay-Durability" not in answer.headers, answer.text
    disk.clear()
    serve.wait_ready()
    last = accepted(give(serve.http, trace_id))
    wait_state(serve.http, last, "committed")
    assert set(assessments(serve.http, trace_id)) == {last}


@pytest.mark.parametrize("kill", [False, True], ids=["lives on", "is killed while the disk is full"])
def test_a_disk_that_is_really_full_under_the_database_loses_nothing_accepted(assay, disk, kill):
    """Without a reserve worth the name the database itself runs into ENOSPC, in the middle of a load."""
    serve = serve_on(assay, disk, "--disk-reserve", "4KB")
    trace_id = new_trace_id()
    post_trace(serve.http, trace_id)
    given: list[str] = []
    wrong: list[str] = []
    full, stop = threading.Event(), threading.Event()

    def load() -> None:
        with httpx.Client(base_url=serve.url, timeout=30, trust_env=False) as http:
            while not stop.is_set():
                try:
                    answer = give(http, trace_id)
                except httpx.HTTPError:
                    continue  # without an answer nothing was promised
                if answer.status_code == 200:
                    given.append(accepted(answer))
                elif answer.status_code == 503 and "Retry-After" in answer.headers:
                    full.set()
                else:
                    wrong.append(f"{answer.status_code} {answer.text}")

    loads = [threading.Thread(target=load) for _ in range(3)]
    for thread in loads:
        thread.start()
    try:
        wait_until("some feedback", lambda: len(given) >= 50)
        disk.fill()
        assert full.wait(60), "the door never said that the disk is full"
        wait_until("not ready", lambda: serve.http.get("/readyz").status_code == 503)
        if kill:
            serve.kill9()
        disk.clear()
        if kill:
            serve.start()
        before = len(given)
        serve.wait_ready(within=60)
        wait_until("feedback is taken again, without a restart", lambda: len(given) >= before + 50, within=60)
    finally:
        stop.set()
        for thread in loads:
            thread.join(60)
    assert not wrong, f"promises broken: {wrong[:5]}"
    assert serve.running
    assert_nothing_lost(serve, disk, trace_id, given)


def test_a_start_on_a_full_disk_waits_for_room_or_ends_in_words(assay, disk):
    serve = serve_on(assay, disk, "--disk-reserve", "16MB")
    trace_id = new_trace_id()
    post_trace(serve.http, trace_id)
    given = [accepted(give(serve.http, trace_id)) for _ in range(20)]
    assert serve.terminate() == 0
    disk.fill(leave=64 << 10)
    serve.spawn()
    wait_until("live, or ended", lambda: not serve.running or serve.http.get("/livez").status_code == 200)
    if serve.running:
        assert serve.http.get("/readyz").status_code == 503
        assert_says_later(give(serve.http, trace_id))
    else:
        assert serve.exit_code == 1 and "space" in serve.log.read_text().splitlines()[-1], serve.tail()
    disk.clear()
    if not serve.running:
        serve.spawn()
    serve.wait_ready()
    given.append(accepted(give(serve.http, trace_id)))
    assert_nothing_lost(serve, disk, trace_id, given)
