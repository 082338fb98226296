"""schemathesis, all of its checks, against /openapi.json: what is described is what is there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("examples,at_least,seed", [(15, 5000, ["--seed", "1"]), pytest.param(300, 25_000, [], marks=pytest.mark.long)])
def test_it_finds_nothing(assay, tmp_path, examples, at_least, seed):
    door = assay("serve")
    # Every check is on unless the file, which has the reasons, turns it off. One worker: Hypothesis is not made for threads.
    command = [Path(sys.executable).with_name("schemathesis"), "--config-file", TESTS / "schemathesis.toml", "run", f"{door.url}/openapi.json", "--max-examples", str(examples),
               "--workers", "1", "--request-timeout", "30", "--generation-database", "none", "--no-color", *seed]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=2900)
    (tmp_path / "out").write_text(run.stdout + run.stderr)
    assert run.returncode == 0, run.stdout[-12000:] + run.stderr[-2000:]
    cases = int(re.search(r"(\d+) generated", run.stdout.replace(",", ""))[1])
    assert cases >= at_least, run.stdout[-2000:]
    assert door.running and door.metric("assay_ingest_handler_failures_total") == 0
