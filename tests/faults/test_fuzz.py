"""The fuzz targets (tests/fuzz): a minute each from their corpus here, ten minutes each in `ops/test long`."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ("feedback_body", "query", "batch", "upstream_sse", "capability", "records", "redaction")


@pytest.fixture(scope="module")
def built() -> Path:
    made = subprocess.run([ROOT / "tests/fuzz/build"], capture_output=True, text=True, timeout=600)
    assert made.returncode == 0, made.stderr[-4000:]
    assert set(made.stdout.split()) == set(TARGETS)
    return ROOT / "build/fuzz"


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("seconds", [60, pytest.param(600, marks=pytest.mark.long)])
@pytest.mark.parametrize("pair", [TARGETS[i : i + 2] for i in range(0, len(TARGETS), 2)], ids="+".join)
def test_nothing_is_found(built, tmp_path, pair, seconds):
    """Two at a time: the machine has two cores. What is new goes to the test's own directory; the corpus of the tree stays as it is."""
    running = []
    for target in pair:
        found = tmp_path / target
        found.mkdir()
        command = [built / target, f"-max_total_time={seconds}", "-max_len=4096", "-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1", f"-artifact_prefix={tmp_path}/{target}-",
                   found, ROOT / "tests/fuzz/corpus" / target]  # fmt: skip
        log = (tmp_path / f"{target}.log").open("wb")
        running.append((target, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)))
    for target, process in running:
        process.wait(seconds + 120)
        log = (tmp_path / f"{target}.log").read_text(errors="replace")
        assert process.returncode == 0, f"{target}:\n{log[-4000:]}"
        runs = int(next(line for line in log.splitlines() if "number_of_executed_units" in line).split()[-1])
        assert runs > 1000, f"{target} ran {runs} times only"
