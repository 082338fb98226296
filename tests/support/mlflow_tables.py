"""An assay that commits into the tables of an MLflow's PostgreSQL, that MLflow, and what stands in the tables."""

import os
import uuid

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")

from mlflow import MlflowClient, set_tracking_uri  # noqa: E402

from .assay import Assay  # noqa: E402
from .door import accepted, new_trace_id, post_trace  # noqa: E402
from .mlflow_server import MlflowServer  # noqa: E402
from .postgres import PASSWORD, Postgres  # noqa: E402
from .waiting import wait_until  # noqa: E402

WITHIN = 30.0
ASSESSMENT_COLUMNS = (
    "name, assessment_type, value, error, aggregate_value, is_numeric_value, source_type, source_id, span_id, rationale, valid,"
    " assessment_metadata, overrides, run_id, experiment_id = (select experiment_id from trace_info where request_id = trace_id),"
    " trace_timestamp_ms = (select timestamp_ms from trace_info where request_id = trace_id)"
)


class Behind:
    def __init__(self, assay: Assay, server: MlflowServer, database: Postgres, experiment: str):
        self.assay, self.server, self.database, self.experiment = assay, server, database, experiment
        set_tracking_uri(server.url)
        self.mlflow = MlflowClient(server.url)

    @classmethod
    def begin(cls, assay, mlflow_on_postgres: tuple[MlflowServer, Postgres]) -> "Behind":
        """By the fixtures of these names: a serve in an experiment of its own."""
        server, database = mlflow_on_postgres
        experiment = f"sql-{uuid.uuid4().hex[:8]}"
        process = assay("serve", "--mlflow-db", database.url, "--experiment", experiment, env={"ASSAY_MLFLOW_DB_PASSWORD": PASSWORD})
        return cls(process, server, database, experiment)

    def rows(self, sql: str, *values):
        return self.database.rows(sql, *values)

    def wait_rows(self, expected: int, sql: str, *values) -> list[tuple]:
        def there():
            found = self.rows(sql, *values)
            if len(found) == expected:
                return [True, *found]
            raise AssertionError(found)

        return wait_until(f"{expected} rows of {sql}", there, WITHIN)[1:]

    def wait_assessments(self, trace_id: str, expected: int) -> list[tuple]:
        return self.wait_rows(expected, f"SELECT {ASSESSMENT_COLUMNS} FROM assessments WHERE trace_id = %s ORDER BY name", trace_id)

    def tag(self, trace_id: str) -> str | None:
        found = self.rows("SELECT value FROM trace_tags WHERE request_id = %s AND key = 'assay.feedback'", trace_id)
        return found[0][0] if found else None

    def trace(self, trace_id: str | None = None, request_id: str | None = None) -> str:
        trace_id = trace_id or new_trace_id()
        post_trace(self.assay.http, trace_id, request_id, experiment_id=self.experiment)
        return trace_id

    def receipt(self, assessment_id: str) -> dict:
        return self.assay.http.get(f"/feedback/{assessment_id}").raise_for_status().json()

    def give(self, body: dict, **target: str) -> str:
        return accepted(self.assay.http.post("/feedback", params={**target, "user_id": "ana"}, json=body))
