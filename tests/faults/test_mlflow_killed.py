"""The MLflow server, and the PostgreSQL under it, killed in the middle of a stream of feedback: all of it is there once, and no client waited."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from support.door import accepted, new_trace_id, post_trace
from support.mlflow_server import MlflowServer
from support.postgres import PASSWORD, Postgres
from support.waiting import wait_until

TRACES = 20
ANSWERED_WITHIN = 10.0  # no claim about speed: a client that waited for the server that is away would be past it


def _give(door, traces: list[str], count: int) -> list[float]:
    """`count` feedbacks from 8 connections; how long each was waited for."""

    def some(worker: int) -> list[float]:
        took = []
        with httpx.Client(base_url=door.url, timeout=ANSWERED_WITHIN, trust_env=False) as http:
            for n in range(worker, count, 8):
                begun = time.monotonic()
                accepted(http.post("/feedback", params={"trace_id": traces[n % len(traces)], "user_id": f"u{n}"}, json={"is_correct": n % 3 == 0}))
                took.append(time.monotonic() - begun)
        return took

    with ThreadPoolExecutor(8) as pool:
        return [t for took in pool.map(some, range(8)) for t in took]


def _kill_in_the_middle(door, database: Postgres, count: int, kill, start, down: float, within: float) -> None:
    traces = [new_trace_id() for _ in range(TRACES)]
    for trace_id in traces:
        post_trace(door.http, trace_id)

    def committed():
        return database.rows("SELECT count(*), count(DISTINCT source_id) FROM assessments WHERE trace_id = ANY(%s)", traces)[0]

    with ThreadPoolExecutor(1) as pool:
        giving = pool.submit(_give, door, traces, count)
        wait_until("some are committed", lambda: committed()[0] > count // 20, 60)
        kill()
        time.sleep(down)
        start()
        assert len(giving.result()) == count
    wait_until("all are committed", lambda: committed()[0] >= count, within, every=0.5)
    assert committed() == (count, count), f"promises broken: {committed()} of {count}"
    assert door.metric("assay_sink_records_total") >= count


def _serve(assay, *flags: str):
    return assay("serve", *flags, "--experiment", f"down-{uuid.uuid4().hex[:8]}", env={"ASSAY_MLFLOW_DB_PASSWORD": PASSWORD})


def _mlflow_is_killed(assay, tmp_path, count: int, down: float, within: float) -> None:
    with Postgres(tmp_path / "postgres") as database, MlflowServer(tmp_path / "mlflow", database.url) as server:
        door = _serve(assay, "--mlflow-url", server.url, "--mlflow-feed-interval", "0s")
        _kill_in_the_middle(door, database, count, server.kill9, server.start, down, within)


def _postgres_is_killed(assay, tmp_path, count: int, down: float, within: float) -> None:
    with Postgres(tmp_path / "postgres") as database, MlflowServer(tmp_path / "mlflow", database.url):
        door = _serve(assay, "--mlflow-db", database.url)
        _kill_in_the_middle(door, database, count, database.kill9, database.start, down, within)


def test_the_mlflow_server_is_killed_and_comes_back(assay, tmp_path):
    _mlflow_is_killed(assay, tmp_path, count=600, down=2, within=120)


def test_its_postgresql_is_killed_and_comes_back(assay, tmp_path):
    _postgres_is_killed(assay, tmp_path, count=6_000, down=2, within=120)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_the_mlflow_server_is_away_for_30_seconds_in_the_middle_of_20000(assay, tmp_path):
    _mlflow_is_killed(assay, tmp_path, count=20_000, down=30, within=600)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_its_postgresql_is_away_for_30_seconds_in_the_middle_of_20000(assay, tmp_path):
    _postgres_is_killed(assay, tmp_path, count=20_000, down=30, within=600)
