"""Fixtures of all tests in Python (tests/e2e, tests/faults)."""

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.assay import Assay
from support.kafka import KafkaCluster, delete_topics
from support.mlflow_server import MlflowServer
from support.postgres import Postgres

_running = pytest.StashKey[list[Assay]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """A test that fails shows the end of the log of each process that it started."""
    report = yield
    if report.failed:
        for process in item.stash.get(_running, []):
            report.sections.append((f"assay {process.role} {process.address}", process.tail()))
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Why a test was run again: pytest-rerunfailures keeps it to itself, and it may be a fault that comes seldom."""
    if report.outcome == "rerun":
        print(f"\n── run again: {report.nodeid} ({report.when})\n{report.longreprtext}\n", file=sys.__stdout__, flush=True)


@pytest.fixture
def assay(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Assay]]:
    """Makes processes of the program: `assay("serve")`, `assay("worker", "--kafka", kafka, name="second")`; ended with the test.

    `start=False` leaves the starting to the test. `name` tells processes of one role apart; `env`, `launcher`: see Assay.
    """
    made = request.node.stash.setdefault(_running, [])

    def make(role: str, *args: str, name: str = "", start: bool = True, **how) -> Assay:
        process = Assay(role, *args, home=tmp_path / (name or f"{role}-{len(made) + 1}"), **how)
        made.append(process)
        return process.start() if start else process

    yield make
    for process in reversed(made):
        process.close()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap address of a broker that all tests share and none may stop: the one of ASSAY_TEST_KAFKA, or one of our own."""
    given = os.environ.get("ASSAY_TEST_KAFKA")
    if given:
        yield given
        return
    with KafkaCluster(tmp_path_factory.mktemp("kafka")) as cluster:
        yield cluster.bootstrap


@pytest.fixture
def topic_prefix(kafka: str) -> Iterator[str]:
    """For `--topic-prefix`: keeps the topics of tests on one broker apart, and takes them away afterwards."""
    prefix = f"t{uuid.uuid4().hex[:8]}."
    yield prefix
    delete_topics(kafka, prefix)


@pytest.fixture
def kafka_cluster(tmp_path: Path) -> Iterator[Callable[..., KafkaCluster]]:
    """Makes clusters that the test may kill: `kafka_cluster(brokers=3)`."""
    made: list[KafkaCluster] = []

    def make(brokers: int = 1, **how) -> KafkaCluster:
        made.append(KafkaCluster(tmp_path / f"kafka-{len(made) + 1}", brokers, **how))
        return made[-1].start()

    yield make
    for cluster in made:
        cluster.stop()


@pytest.fixture(scope="session")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an MLflow server that all tests share and none may stop: the one of ASSAY_TEST_MLFLOW, or one of our own."""
    given = os.environ.get("ASSAY_TEST_MLFLOW")
    if given:
        yield given
        return
    with MlflowServer(tmp_path_factory.mktemp("mlflow")) as server:
        yield server.url


@pytest.fixture
def mlflow_server(tmp_path: Path) -> Iterator[MlflowServer]:
    """A server that the test may kill."""
    with MlflowServer(tmp_path / "mlflow") as server:
        yield server


@pytest.fixture(scope="session")
def mlflow_on_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MlflowServer, Postgres]]:
    """An MLflow server whose traces stand in a PostgreSQL; tests share both and may stop neither."""
    home = tmp_path_factory.mktemp("mlflow-pg")
    with Postgres(home / "postgres") as database, MlflowServer(home / "mlflow", database.url) as server:
        yield server, database
