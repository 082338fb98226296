#!/usr/bin/env python3
"""How fast assay commits to a real MLflow server, beside what the server takes when it is driven directly. One part a call:

    build/venv/bin/python bench/peers/mlflow_commit.py direct|rest|sql|visible [--seconds 30]

Each part starts a PostgreSQL and an MLflow server of its own (ops/mlflow), in a directory that it deletes.
direct   POST …/assessments of MLflow itself at 16, 32 and 64 connections: the best of them is what the server takes
rest     `assay serve --mlflow-url`: a backlog of feedback, committed by REST
sql      `assay serve --mlflow-db`: a backlog of feedback, committed straight into the tables
visible  `assay serve --mlflow-db` under 2,000 feedbacks/s: from a click's answer until MLflow's REST shows it
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import httpx  # noqa: E402

from support.assay import Assay  # noqa: E402
from support.door import accepted, new_trace_id, post_trace  # noqa: E402
from support.mlflow_server import MlflowServer  # noqa: E402
from support.paths import ASSAY_BIN  # noqa: E402
from support.postgres import PASSWORD, Postgres  # noqa: E402

TRACES = 2_000


def percentile(values: list[float], p: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * p))]


def start_traces(url: str, count: int) -> list[str]:
    ids = [new_trace_id() for _ in range(count)]

    def some(part: list[str]) -> None:
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
            for trace_id in part:
                post_trace(http, trace_id)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(some, [ids[i::8] for i in range(8)]))
    return ids


def direct(server: MlflowServer, database: Postgres, seconds: float, home: Path) -> None:
    traces = start_traces(server.url, 500)
    for connections in (16, 32, 64):
        until = time.monotonic() + seconds
        took: list[float] = []

        def one(worker: int) -> None:
            with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as http:
                n = worker
                while time.monotonic() < until:
                    body = {"assessment": {"assessment_name": "user_feedback", "source": {"source_type": "HUMAN", "source_id": "ana"}, "feedback": {"value": True}}}
                    begun = time.monotonic()
                    http.post(f"/api/3.0/mlflow/traces/{traces[n % len(traces)]}/assessments", json=body).raise_for_status()
                    took.append(time.monotonic() - begun)
                    n += connections

        with ThreadPoolExecutor(connections) as pool:
            list(pool.map(one, range(connections)))
        print(f"direct, {connections} connections: {len(took) / seconds:.0f}/s, p50 {percentile(took, 0.5) * 1000:.0f} ms, p99 {percentile(took, 0.99) * 1000:.0f} ms")


def backlog(door: Assay, traces: list[str], count: int) -> float:
    """`count` feedbacks by batches of 1,000; how long the door took for them."""
    begun = time.monotonic()

    def some(worker: int) -> None:
        with httpx.Client(base_url=door.url, timeout=60, trust_env=False) as http:
            for first in range(worker * 1000, count, 2000):
                items = [{"trace_id": traces[n % len(traces)], "name": "user_feedback", "value": n % 3 == 0, "source": {"type": "HUMAN", "id": f"u{n}"}} for n in range(first, min(first + 1000, count))]
                http.post("/feedback/batch", json=items).raise_for_status()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(some, range(2)))
    return time.monotonic() - begun


def committed(flags: list[str], server: MlflowServer, database: Postgres, count: int, traces: int, home: Path) -> None:
    with Assay("serve", *flags, home=home / "assay", env={"ASSAY_MLFLOW_DB_PASSWORD": PASSWORD}).start() as door:
        ids = start_traces(door.url, traces)
        rows = lambda sql: database.rows(sql)[0][0]  # noqa: E731
        while rows("SELECT count(*) FROM trace_info") < traces:
            time.sleep(0.1)
        begun = time.monotonic()
        accepting = backlog(door, ids, count)
        samples = [(time.monotonic(), rows("SELECT count(*) FROM assessments"))]
        while samples[-1][1] < count:
            time.sleep(0.25)
            samples.append((time.monotonic(), rows("SELECT count(*) FROM assessments")))
        took = time.monotonic() - begun
        print(f"{count} feedbacks on {traces} traces: accepted in {accepting:.1f} s, all committed after {took:.1f} s: {count / took:.0f}/s")


def visible(server: MlflowServer, database: Postgres, seconds: float, home: Path) -> None:
    flags = ["--mlflow-db", database.url]
    with Assay("serve", *flags, home=home / "assay", env={"ASSAY_MLFLOW_DB_PASSWORD": PASSWORD}).start() as door:
        ids = start_traces(door.url, TRACES)
        stop = threading.Event()
        sent = [0]

        def load() -> None:
            # 20 a batch, 100 batches a second, each at its time.
            with httpx.Client(base_url=door.url, timeout=60, trust_env=False) as http:
                begun = time.monotonic()
                for tick in range(10**9):
                    if stop.is_set():
                        return
                    time.sleep(max(0, begun + tick * 0.01 - time.monotonic()))
                    http.post("/feedback/batch", json=[{"trace_id": ids[(tick * 20 + n) % len(ids)], "name": "load", "value": n} for n in range(20)]).raise_for_status()
                    sent[0] += 20

        thread = threading.Thread(target=load)
        thread.start()
        took = []
        begun = until = time.monotonic()
        until += seconds
        with httpx.Client(timeout=60, trust_env=False) as http:
            while time.monotonic() < until:
                trace_id = ids[len(took) % len(ids)]
                clicked = time.monotonic()
                said = accepted(http.post(f"{door.url}/feedback", params={"trace_id": trace_id, "user_id": "ana"}, json={"is_correct": True}))
                while http.get(f"{server.url}/api/3.0/mlflow/traces/{trace_id}/assessments/{said}", params={"trace_id": trace_id, "assessment_id": said}).status_code != 200:
                    time.sleep(0.005)
                took.append(time.monotonic() - clicked)
                time.sleep(0.05)
        stop.set()
        thread.join()
        rate = sent[0] / (time.monotonic() - begun)
        print(f"click → visible at {rate:.0f}/s, n={len(took)}: p50 {percentile(took, 0.5) * 1000:.0f} ms, p99 {percentile(took, 0.99) * 1000:.0f} ms")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("part", choices=("direct", "rest", "sql", "visible"))
    arguments.add_argument("--seconds", type=float, default=15)
    arguments.add_argument("--traces", type=int, default=20_000, help="of sql: what the backlog is about")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        with Postgres(home / "postgres") as database, MlflowServer(home / "mlflow", database.url) as server:
            commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
            print(f"commit {commit}, {os.cpu_count()} cores, {ASSAY_BIN.parent.name}")
            if given.part == "direct":
                direct(server, database, given.seconds, home)
            elif given.part == "rest":
                committed(["--mlflow-url", server.url, "--mlflow-feed-interval", "0s"], server, database, int(150 * given.seconds), 200, home)
            elif given.part == "sql":
                committed(["--mlflow-db", database.url], server, database, int(10_000 * given.seconds), given.traces, home)
            else:
                visible(server, database, given.seconds, home)


main()
