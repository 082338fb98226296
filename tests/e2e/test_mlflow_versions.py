"""Unmodified clients of MLflow of other versions, each in a Python environment of its own, against `assay serve`."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.mlflow_client import client_env
from support.paths import ROOT

CLIENTS = Path(__file__).parent / "clients"


def environment(requirements: Path) -> Path:
    """Its python. Made once of these requirements."""
    made_of = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    home = ROOT / "build" / "clients" / requirements.stem
    mark = home / "made-of"
    if not mark.exists() or mark.read_text() != made_of:
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True, stdin=subprocess.DEVNULL)
        install = [home / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "5", "-r", requirements]
        subprocess.run(install, check=True, stdin=subprocess.DEVNULL)
        mark.write_text(made_of)
    return home / "bin" / "python"


@pytest.mark.timeout(400)
@pytest.mark.parametrize("version,assesses", [("3.1", False), ("3.2", True), ("3.17", True)])
def test_its_traces_searches_and_feedback_are_taken(assay, version, assesses):
    python = environment(CLIENTS / f"mlflow-{version}.txt")
    serve = assay("serve")
    command = [python, "earlier.py", "assess" if assesses else "trace"]
    done = subprocess.run(command, cwd=CLIENTS, env=client_env(serve.url), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-4000:]
    seen = json.loads(done.stdout)
    assert seen["version"].startswith(f"{version}.")
    trace_id = seen["trace_id"]
    assert seen["state"] == "OK" and seen["spans"] == ["answer", "think"] and seen["inputs"] == {"question": "why?"}
    assert seen["tags"] == {"mode": "test", "kept": "yes"} and seen["took_ms"] >= 0
    assert seen["found"] == {"all": [trace_id], "tags.kept = 'yes'": [trace_id], "tags.gone = 'yes'": [], "attributes.status = 'OK'": [trace_id]}
    if assesses:
        assert seen["assessments"] == {"correct": [False, "so it is", "ana"]}
