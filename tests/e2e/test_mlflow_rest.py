"""`assay serve --mlflow-url`: nothing that a real MLflow server can't be told by REST holds back what it can."""

import json
import subprocess
import sys
import uuid
from pathlib import Path

import httpx

from support.assay import run_assay
from support.door import accepted, chat, new_trace_id, post_trace, receipt, trace_info
from support.mlflow_client import client_env
from support.mlflow_server import MlflowServer
from support.waiting import wait_until

WITHIN = 30.0


def give(http: httpx.Client, trace_id: str) -> str:
    return accepted(http.post("/feedback", params={"trace_id": trace_id, "user_id": "ana"}, json={"is_correct": True}))


def wait_sink(http: httpx.Client, assessment_id: str, state: str) -> dict:
    return wait_until(f"it is {state}", lambda: (r := receipt(http, assessment_id))["sinks"].get("mlflow") == state and r, WITHIN)


def test_an_id_that_its_api_has_no_path_for_is_a_dead_letter_and_what_comes_behind_is_committed(assay, mlflow_url):
    serve = assay("serve", "--mlflow-url", mlflow_url)
    trace_id = new_trace_id()
    post_trace(serve.http, "a/" + trace_id)
    lost = give(serve.http, "a/" + trace_id)
    for odd in ("a;b?c#d%2Fe\\f g", "é🐎"):
        post_trace(serve.http, odd + trace_id)
        wait_sink(serve.http, give(serve.http, odd + trace_id), "committed")
    assert "has no path for its id" in wait_sink(serve.http, lost, "dead")["reason"]
    letters = run_assay("deadletters", "list", "--data", str(serve.data)).stdout
    assert letters.count("has no path for its id") == 2, letters


def test_a_server_that_serves_no_artifacts_gets_the_spans_too(assay, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_SERVE_ARTIFACTS", "false")
    with MlflowServer(tmp_path / "mlflow") as server, httpx.Client(base_url=server.url, timeout=30, trust_env=False) as direct:
        assert direct.put("/api/2.0/mlflow-artifacts/artifacts/x", content=b"x").status_code == 503
        serve = assay("serve", "--mlflow-url", server.url)
        for _ in range(3):
            trace_id = chat(serve.http)["trace_id"]
            wait_sink(serve.http, give(serve.http, trace_id), "committed")
            trace = direct.get("/api/3.0/mlflow/traces/get", params={"trace_id": trace_id}).json()["trace"]
            assert trace["trace_info"]["state"] == "OK" and trace["spans"]
        assert "event=mlflow_spans_refused" not in serve.log.read_text()


def test_another_server_gets_what_was_committed_before_when_that_is_asked_for(assay, mlflow_url, tmp_path):
    """The URL may be a new name of the same server: nothing begins anew by itself, and that is said."""
    serve = assay("serve", "--mlflow-url", mlflow_url)
    trace_ids = [new_trace_id(), new_trace_id()]
    post_trace(serve.http, trace_ids[0])
    wait_sink(serve.http, give(serve.http, trace_ids[0]), "committed")
    with MlflowServer(tmp_path / "mlflow") as server, httpx.Client(base_url=server.url, timeout=30, trust_env=False) as direct:

        def shown(trace_id: str) -> bool:
            answer = direct.get(f"/api/3.0/mlflow/traces/{trace_id}")
            return answer.status_code == 200 and len(answer.json()["trace"]["trace_info"].get("assessments", [])) == 1

        def restart() -> None:
            assert serve.terminate() == 0
            serve.start()

        serve.args = ("--mlflow-url", server.url)
        restart()
        said = [line for line in serve.log.read_text().splitlines() if "event=sink_of_another_server" in line]
        assert len(said) == 1 and mlflow_url in said[0] and server.url in said[0] and f"sinks replay mlflow --data {serve.data}" in said[0], said
        post_trace(serve.http, trace_ids[1])
        wait_sink(serve.http, give(serve.http, trace_ids[1]), "committed")
        assert [shown(id) for id in trace_ids] == [False, True]
        asked = run_assay("sinks", "replay", "mlflow", "--data", str(serve.data))
        assert asked.returncode == 0, asked
        restart()
        wait_until("it has both", lambda: all(shown(id) for id in trace_ids), WITHIN)
        assert serve.log.read_text().count("event=sink_of_another_server") == 1


def logged(url: str, mlflow_url: str) -> dict:
    """What MLflow finds and shows of a trace that its client has logged at `url`."""
    command = [sys.executable, "spans.py", f"spans-{uuid.uuid4().hex[:8]}", mlflow_url]
    done = subprocess.run(command, cwd=Path(__file__).parent / "clients", env=client_env(url), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


def test_mlflow_finds_and_shows_spans_as_if_its_client_had_sent_them(assay, mlflow_url):
    serve = assay("serve", "--mlflow-url", mlflow_url)
    seen = logged(serve.url, mlflow_url)
    assert seen["starts"] and seen["lasts"]
    as_directly = logged(mlflow_url, mlflow_url)
    times = {"starts", "lasts"}  # MLflow's own are a millisecond beside, now and then
    assert {k: v for k, v in seen.items() if k not in times} == {k: v for k, v in as_directly.items() if k not in times}
    assert [n for f, n in seen["found"].items() if "nobody" not in f] == [1] * 6
    assert seen["location"] == "TRACKING_STORE"


def joined(serve, trace_id: str) -> str:
    """A chat in that trace; its client_request_id."""
    return chat(serve.http, traceparent=f"00-{trace_id.removeprefix('tr-')}-00f067aa0ba902b7-01")["client_request_id"]


def test_a_chat_that_joins_a_trace_that_its_caller_tells_mlflow_adds_its_span_to_that(assay, mlflow_url):
    serve = assay("serve", "--mlflow-url", mlflow_url)
    with httpx.Client(base_url=mlflow_url, timeout=30, trust_env=False) as direct:
        experiment_id = direct.post("/api/2.0/mlflow/experiments/create", json={"name": f"joined-{uuid.uuid4().hex}"}).json()["experiment_id"]

        def whole(trace_id: str, spans: int) -> dict:
            def read():
                trace = direct.get("/api/3.0/mlflow/traces/get", params={"trace_id": trace_id, "allow_partial": True}).json()["trace"]
                return len(trace.get("spans", [])) == spans and trace["trace_info"]

            return wait_until(f"{trace_id} has {spans} spans", read, WITHIN)

        told_first, told_later = new_trace_id(), new_trace_id()
        post_trace(direct, told_first, "app-1", experiment_id, execution_duration="600s")  # MLflow makes it as long as its spans
        before = trace_info(direct, told_first)
        joined(serve, told_first)
        after = whole(told_first, 1)
        assert after["tags"].pop("mlflow.trace.spansLocation") == "TRACKING_STORE"
        assert after == before

        request_id = joined(serve, told_later)
        assert whole(told_later, 1)["client_request_id"] == request_id and whole(told_later, 1)["state"] == "OK"
        post_trace(direct, told_later, "app-2", experiment_id)
        joined(serve, told_later)
        after = whole(told_later, 2)
        assert (after["client_request_id"], after["tags"]["mlflow.traceName"]) == ("app-2", "answer")
        assert after["trace_location"]["mlflow_experiment"]["experiment_id"] == experiment_id
        wait_sink(serve.http, give(serve.http, told_later), "committed")
