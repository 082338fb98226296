"""The unmodified MLflow client, run by seeded random programs against a real MLflow server and against assay: what it sees is the same."""

import difflib
import itertools
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "differential"
OPERATIONS = 100
AT_ONCE = 2  # clients of each server: most of their time is waiting for it
SEEDS = int(os.environ.get("ASSAY_TEST_SEEDS", "20"))

# Calls whose results differ on purpose; each with its reason. The README of ingest/mlflow lists the same.
ALLOWED: dict[str, str] = {}


def start(url: str, out: Path, first: int, last: int, run: str) -> subprocess.Popen:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("ASSAY_", "MLFLOW_"))} | {
        "MLFLOW_TRACKING_URI": url,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_ASYNC_TRACE_LOGGING_MAX_INTERVAL_MILLIS": "20",
        "MLFLOW_TRACKING_USERNAME": "",
        "NO_PROXY": "127.0.0.1",
        "PYTHONHASHSEED": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    command = [sys.executable, str(HERE / "run.py"), str(out), str(first), str(last), str(OPERATIONS), run]
    with out.with_suffix(".log").open("wb") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)


def compare(assay, mlflow_url: str, tmp_path: Path, first: int, last: int) -> None:
    # As MLflow answers feedback for a trace that nobody knows; what parking does is in test_mlflow_client.py.
    server = assay("serve", "--unknown-trace=reject")
    run = uuid.uuid4().hex[:8]  # names that neither server has seen
    bounds = [first + (last - first) * part // AT_ONCE for part in range(AT_ONCE + 1)]
    running: dict[str, list[tuple[Path, subprocess.Popen]]] = {"mlflow": [], "assay": []}
    for name, url in (("mlflow", mlflow_url), ("assay", server.url)):
        for low, high in itertools.pairwise(bounds):
            out = tmp_path / f"{name}-{low}.json"
            running[name].append((out, start(url, out, low, high, run)))
    seen: dict[str, dict] = {"mlflow": {}, "assay": {}}
    for name, parts in running.items():
        for out, process in parts:
            assert process.wait(30 + 40 * (last - first)) == 0, out.with_suffix(".log").read_text()[-4000:]
            seen[name] |= json.loads(out.read_text())
    assert sorted(map(int, seen["mlflow"])) == sorted(map(int, seen["assay"])) == list(range(first, last))
    differences = []
    for seed in seen["mlflow"]:
        for number, (theirs, ours) in enumerate(zip(seen["mlflow"][seed], seen["assay"][seed], strict=False)):
            if theirs != ours and theirs[0].split()[0] not in ALLOWED:
                lines = difflib.unified_diff(*(json.dumps(s, indent=1, ensure_ascii=False).splitlines() for s in (theirs, ours)), "mlflow", "assay", lineterm="", n=2)
                differences.append(f"seed {seed}, call {number}: {theirs[0]}\n" + "\n".join(lines))
                if theirs[0] != ours[0]:
                    break  # from here on the two do different things
        assert len(seen["mlflow"][seed]) > OPERATIONS // 2
    assert not differences, f"{len(differences)} differences:\n\n" + "\n\n".join(differences[:8])


@pytest.mark.timeout(1200)
def test_the_client_sees_the_same_as_with_mlflow(assay, mlflow_url, tmp_path):
    compare(assay, mlflow_url, tmp_path, 0, SEEDS)


@pytest.mark.long
@pytest.mark.timeout(20_000)
def test_the_client_sees_the_same_in_five_hundred_programs(assay, mlflow_url, tmp_path):
    for first in range(1000, 1500, 50):
        home = tmp_path / str(first)
        home.mkdir()
        compare(assay, mlflow_url, home, first, first + 50)
