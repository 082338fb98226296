"""One `ingest`, two `worker`s, a broker and an MLflow server, and what a test asks of them."""

import json
import os
import uuid
from dataclasses import dataclass

import httpx

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow import MlflowClient, set_tracking_uri  # noqa: E402
from mlflow.entities import Assessment  # noqa: E402

from .assay import Assay, run_assay  # noqa: E402
from .door import accepted, new_request_id, new_trace_id, post_trace  # noqa: E402
from .kafka import Record, key_partition, read_topic  # noqa: E402
from .waiting import wait_until  # noqa: E402

PARTITIONS = 4
WITHIN = 60.0  # a worker that was killed has to be told of its partitions again, on a machine that does other things, too
THUMB = {"is_correct": True, "comment": "spot on"}


@dataclass
class Deployment:
    ingest: Assay
    workers: list[Assay]
    kafka: str
    prefix: str
    mlflow: MlflowClient
    experiment_id: str

    @property
    def http(self) -> httpx.Client:
        return self.ingest.http

    def give(self, body: dict = THUMB, key: str | None = None, **target: str) -> str:
        """A feedback that was accepted; its assessment_id."""
        headers = {"Idempotency-Key": key} if key else {}
        answer = self.http.post("/feedback", params={**target, "user_id": "ana"}, json=body, headers=headers)
        assert answer.status_code == 202 and answer.headers["Assay-Durability"] == "kafka", answer.text
        return accepted(answer)

    def trace(self, trace_id: str, client_request_id: str | None = None) -> None:
        post_trace(self.http, trace_id, client_request_id, experiment_id=self.experiment_id)

    def records(self, stream: str) -> list[Record]:
        return read_topic(self.kafka, f"{self.prefix}{stream}")

    def forwarded(self) -> list[dict]:
        """What a read_committed reader of the integration point sees."""
        return [json.loads(r.value) for r in self.records("assessments")]

    def shown(self) -> dict[str, list[Assessment]]:
        """Every trace of this test's experiment in MLflow with its assessments, by trace_id, read with the SDK."""
        found, token = {}, None
        while True:
            page = self.mlflow.search_traces(locations=[self.experiment_id], include_spans=False, max_results=200, page_token=token)
            found |= {trace.info.trace_id: list(trace.info.assessments) for trace in page}
            token = page.token
            if not token:
                return found

    def wait_shown(self, trace_id: str, *assessment_ids: str) -> list[Assessment]:
        """Waits until exactly these stand on the trace in MLflow."""
        expected = sorted(assessment_ids)

        def settled():
            found = self.shown().get(trace_id, [])
            if sorted(a.assessment_id for a in found) == expected:
                return [True, *found]
            raise AssertionError(found)

        return wait_until(f"{expected} on {trace_id} in MLflow", settled, WITHIN, every=0.2)[1:]

    def wait_flowed(self) -> None:
        """A feedback sent now has come out at the end, on every partition: what was before it is decided."""
        for partition in range(PARTITIONS):
            request_id, trace_id = self.request_id_in(partition), new_trace_id()
            marker = self.give(client_request_id=request_id)
            self.trace(trace_id, request_id)
            self.wait_shown(trace_id, marker)

    def request_id_in(self, partition: int) -> str:
        while True:
            request_id = new_request_id()
            if key_partition(request_id.encode(), PARTITIONS) == partition:
                return request_id

    def restart(self, worker: int, down: float = 0.0) -> None:
        self.workers[worker].restart_after_kill9(down)


def deploy(assay, kafka: str, prefix: str, mlflow_url: str, ingest_flags: tuple[str, ...] = (), worker_flags: tuple[str, ...] = ()) -> Deployment:
    made = run_assay("topics", "create", "--kafka", kafka, "--topic-prefix", prefix, "--partitions", str(PARTITIONS))
    assert made.returncode == 0, made.stderr
    set_tracking_uri(mlflow_url)  # spans are downloaded from there, whatever the client was made with
    mlflow = MlflowClient(mlflow_url)
    experiment_id = mlflow.create_experiment(f"assay-{uuid.uuid4().hex[:8]}")
    on = ("--kafka", kafka, "--topic-prefix", prefix)
    ingest = assay("ingest", *on, "--experiment", experiment_id, *ingest_flags, start=False).spawn()
    workers = [assay("worker", *on, "--mlflow-url", mlflow_url, "--instance-id", f"w{i}", *worker_flags, start=False).spawn() for i in (1, 2)]
    for process in (ingest, *workers):
        process.wait_ready()
    return Deployment(ingest, workers, kafka, prefix, mlflow, experiment_id)
