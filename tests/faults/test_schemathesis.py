"""schemathesis, all of its checks, against /openapi.json: what is described is what is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long  # it still finds differences: see tests/schemathesis.toml

CONFIG = Path(__file__).resolve().parents[1] / "schemathesis.toml"


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("examples,at_least", [(20, 800), pytest.param(200, 5000, marks=pytest.mark.long)])
def test_it_finds_nothing(assay, tmp_path, examples, at_least):
    door = assay("serve")
    command = [Path(sys.executable).with_name("schemathesis"), "--config-file", CONFIG, "run", f"{door.url}/openapi.json", "--checks", "all", "--max-examples", str(examples),
               "--workers", "2", "--request-timeout", "30", "--generation-database", "none", "--no-color"]  # fmt: skip
    run = subprocess.run(command, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=2900)
    (tmp_path / "out").write_text(run.stdout + run.stderr)
    assert run.returncode == 0, run.stdout[-12000:] + run.stderr[-2000:]
    cases = int(re.search(r"(\d+) generated", run.stdout.replace(",", ""))[1])
    assert cases >= at_least, run.stdout[-2000:]
    assert door.running and door.metric("assay_ingest_handler_failures_total") == 0
