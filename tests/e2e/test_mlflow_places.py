"""Experiments that the unmodified client makes at the door, where an MLflow is behind a sink and not behind the door: its traces stand in MLflow's of that name."""

import json
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from support.assay import run_assay
from support.mlflow_client import client_env
from support.postgres import PASSWORD
from support.waiting import wait_until

PROGRAM = Path(__file__).parent / "guide" / "places.py"
WITHIN = 60.0


def run_client(url: str) -> dict:
    """Ids of nine and of ten digits: each name gives another."""
    names = [f"places-{uuid.uuid4().hex[:8]}" for _ in range(4)]
    done = subprocess.run([sys.executable, str(PROGRAM), *names], env=client_env(url), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-4000:]
    seen = json.loads(done.stdout)
    assert list(seen["traces"]) == names
    return seen


def check(seen: dict, mlflow_url: str) -> None:
    from mlflow import MlflowClient

    assert (seen["late"], seen["gone"]) == (["late"], 1)
    mlflow = MlflowClient(mlflow_url)
    for name, expected in seen["traces"].items():

        def stands_there(name=name, expected=expected) -> bool:
            made = mlflow.get_experiment_by_name(name)
            found = mlflow.search_traces(locations=[made.experiment_id], include_spans=False) if made else []
            return [t.info.trace_id for t in found] == expected and [a.name for t in found for a in t.info.assessments] == ["good"]

        wait_until(f"the trace of {name}", stands_there, WITHIN)


def test_a_trace_stands_in_mlflows_experiment_of_that_name(assay, mlflow_on_postgres):
    server, database = mlflow_on_postgres
    serve = assay("serve", "--mlflow-db", database.url, env={"ASSAY_MLFLOW_DB_PASSWORD": PASSWORD})
    check(run_client(serve.url), server.url)


@pytest.mark.timeout(240)
def test_a_trace_stands_there_also_by_way_of_kafka_and_mlflows_api(assay, kafka, topic_prefix, mlflow_url):
    on = ["--kafka", kafka, "--topic-prefix", topic_prefix]
    made = run_assay("topics", "create", *on, "--partitions", "4")
    assert made.returncode == 0, made.stderr
    assay("worker", *on, "--mlflow-url", mlflow_url)
    ingest = assay("ingest", *on, "--view")
    check(run_client(ingest.url), mlflow_url)
