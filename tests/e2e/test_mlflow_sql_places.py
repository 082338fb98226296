"""`assay serve --mlflow-db`: traces that MLflow was told of past us, and experiments that go and come back."""

import uuid

import pytest

from support.door import chat, new_trace_id, post_trace
from support.mlflow_tables import Behind


@pytest.fixture
def behind(assay, mlflow_on_postgres) -> Behind:
    return Behind.begin(assay, mlflow_on_postgres)


def test_a_chat_that_joins_a_trace_that_its_caller_tells_mlflow_adds_its_span_and_changes_nothing(behind: Behind):
    import httpx

    experiment_id = behind.mlflow.create_experiment(f"joined-{uuid.uuid4().hex[:8]}")
    trace_id = new_trace_id()
    with httpx.Client(base_url=behind.server.url, timeout=30, trust_env=False) as direct:
        post_trace(direct, trace_id, "app-1", experiment_id, execution_duration="600s")

    def told() -> list[tuple]:
        return behind.rows("SELECT experiment_id, timestamp_ms, execution_time_ms, status, client_request_id, trace_name FROM trace_info WHERE request_id = %s", trace_id)

    before = told()
    for n in (1, 2):
        chat(behind.assay.http, traceparent=f"00-{trace_id.removeprefix('tr-')}-00f067aa0ba902b7-01")
        behind.wait_rows(n, "SELECT 1 FROM spans WHERE trace_id = %s AND experiment_id = %s", trace_id, int(experiment_id))
        assert told() == before
    behind.give({"is_correct": True}, trace_id=trace_id)
    behind.wait_assessments(trace_id, 1)
    assert told() == before


def test_what_comes_while_its_experiment_is_deleted_is_written_when_that_is_restored(behind: Behind):
    behind.give({"is_correct": True}, trace_id=chat(behind.assay.http, "hello")["trace_id"])
    behind.wait_rows(1, "SELECT 1 FROM experiments WHERE name = %s", behind.experiment)
    experiment_id = behind.mlflow.get_experiment_by_name(behind.experiment).experiment_id
    behind.mlflow.delete_experiment(experiment_id)
    behind.assay.restart_after_kill9()  # which remembers no experiment
    late = chat(behind.assay.http, "meanwhile")["trace_id"]
    behind.give({"is_correct": True}, trace_id=late)
    behind.wait_rows(1, "SELECT 1 FROM assay.waiting WHERE trace_id = %s AND stream = 'assessments'", late)
    assert behind.rows("SELECT 1 FROM trace_info WHERE request_id = %s", late) == []
    behind.mlflow.restore_experiment(experiment_id)
    behind.wait_assessments(late, 1)
