"""`assay serve --mlflow-url`: the door before a real MLflow server, and what the feeder finds in it."""

import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta

import httpx
import pytest

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")

from mlflow import MlflowClient  # noqa: E402

from support.door import accepted, chat, new_request_id, new_trace_id, post_trace, trace_info, wait_state  # noqa: E402
from support.mlflow_client import client_env  # noqa: E402
from support.ports import free_port  # noqa: E402
from support.raw_http import ask  # noqa: E402
from support.waiting import wait_until  # noqa: E402

WITHIN = 30.0


@pytest.fixture
def door(assay, mlflow_url):
    return assay("serve", "--mlflow-url", mlflow_url, "--mlflow-feed-interval", "500ms", "--experiment", f"before-{uuid.uuid4().hex[:8]}")


def test_mlflows_page_and_everything_else_of_it_comes_through_unchanged(door, mlflow_url):
    direct = httpx.Client(base_url=mlflow_url, timeout=30, trust_env=False)
    page = door.http.get("/")
    assert page.status_code == 200 and page.content == direct.get("/").content
    for path in ("/version", "/health", "/api/3.0/mlflow/server-info", "/no-such-path", "/static-files/no-such-file"):
        ours, theirs = door.http.get(path), direct.get(path)
        assert (ours.status_code, ours.content, ours.headers.get("content-type")) == (theirs.status_code, theirs.content, theirs.headers.get("content-type")), path
    assert door.http.head("/version").headers["content-length"] == direct.head("/version").headers["content-length"]
    # Its own page's POSTs carry this door's origin; another's are refused by MLflow as ever.
    search = {"json": {"max_results": 5}}
    assert door.http.post("/ajax-api/2.0/mlflow/experiments/search", headers={"Origin": door.url}, **search).status_code == 200
    assert door.http.post("/ajax-api/2.0/mlflow/experiments/search", headers={"Origin": "http://evil.example"}, **search).status_code == 403
    assert door.http.get("/livez").status_code == 200 and "assay_proxy_passed_total" in door.http.get("/metrics").text


def test_the_unmodified_client_works_on_experiments_and_large_artifacts_through_the_door(door, tmp_path):
    client = MlflowClient(door.url)
    experiment_id = client.create_experiment(f"through-{uuid.uuid4().hex[:8]}")
    run = client.create_run(experiment_id)
    content = os.urandom(1 << 20) * 8
    url = f"/api/2.0/mlflow-artifacts/artifacts/{experiment_id}/{run.info.run_id}/artifacts/large.bin"
    assert door.http.put(url, content=content).status_code == 200

    def pieces():
        for at in range(0, len(content), 100_000):
            yield content[at : at + 100_000]

    assert door.http.put(url + ".chunked", content=pieces()).status_code == 200
    assert door.http.get(url).content == content
    assert door.http.get(url + ".chunked").content == content


def test_a_trace_that_only_mlflow_knows_is_read_through_the_door(door, mlflow_url):
    trace_id = new_trace_id()
    with httpx.Client(base_url=mlflow_url, timeout=30, trust_env=False) as direct:
        post_trace(direct, trace_id, None)
    assert door.http.get(f"/api/3.0/mlflow/traces/{trace_id}").json()["trace"]["trace_info"]["trace_id"] == trace_id
    assert door.http.get("/api/3.0/mlflow/traces/tr-nowhere").status_code == 404


def test_feedback_finds_a_trace_that_an_application_logged_straight_to_mlflow(door, mlflow_url):
    early, request_id, trace_id = new_request_id(), new_request_id(), new_trace_id()
    late_id = new_trace_id()
    parked = accepted(door.http.post("/feedback", params={"client_request_id": early, "user_id": "ana"}, json={"is_correct": True}))
    wait_state(door.http, parked, "parked")
    with httpx.Client(base_url=mlflow_url, timeout=30, trust_env=False) as direct:
        post_trace(direct, trace_id, request_id)
        post_trace(direct, late_id, early)
    wait_state(door.http, parked, "committed", WITHIN)
    found = accepted(door.http.post("/feedback", params={"client_request_id": request_id, "user_id": "ana"}, json={"is_correct": False}))

    def shown():
        return {t: _ids(mlflow_url, t) for t in (late_id, trace_id)} == {late_id: [parked], trace_id: [found]}

    wait_until("both stand in MLflow", shown, WITHIN)


def test_feedback_finds_a_trace_that_began_long_before_it_was_logged(door, mlflow_url):
    named, unnamed, request_id = new_trace_id(), new_trace_id(), new_request_id()
    waiting = [
        accepted(door.http.post("/feedback", params=params | {"user_id": "ana"}, json={"is_correct": True}))
        for params in ({"client_request_id": request_id}, {"trace_id": unnamed})
    ]
    began = (datetime.now(UTC) - timedelta(minutes=20)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    with httpx.Client(base_url=mlflow_url, timeout=30, trust_env=False) as direct:
        post_trace(direct, named, request_id, request_time=began, execution_duration="1199s")
        post_trace(direct, unnamed, None, request_time=began, execution_duration="1199s")
    for assessment_id in waiting:
        wait_state(door.http, assessment_id, "committed", 2 * WITHIN)  # half a minute between two looks for what waits


def _meant(door, request_id: str) -> str:
    """The trace that feedback by this id is for."""
    answer = door.http.post("/feedback", params={"client_request_id": request_id, "user_id": "ana"}, json={"is_correct": True})
    return answer.json().get("trace_id", "none")


def _meant_for_a_while(door, request_id: str) -> set[str]:
    meant, until = set(), time.monotonic() + 3  # several looks at MLflow
    while time.monotonic() < until:
        meant.add(_meant(door, request_id))
        time.sleep(0.1)
    return meant


def test_of_two_traces_of_one_name_the_last_one_is_meant_whatever_mlflow_tells(door, mlflow_url):
    request_id = new_request_id()
    first, second = (chat(door.http, client_request_id=request_id)["trace_id"] for _ in range(2))
    assert _meant_for_a_while(door, request_id) == {second}
    direct = httpx.Client(base_url=mlflow_url, timeout=30, trust_env=False)
    wait_until("both stand in MLflow", lambda: all(direct.get(f"/api/3.0/mlflow/traces/{t}").status_code == 200 for t in (first, second)), WITHIN)
    assert _meant_for_a_while(door, request_id) == {second}

    straight = new_request_id()
    older, newer = new_trace_id(), new_trace_id()
    post_trace(direct, older, straight)
    time.sleep(0.01)
    post_trace(direct, newer, straight)
    wait_until("the newer one is known", lambda: _meant(door, straight) == newer, WITHIN)
    assert _meant_for_a_while(door, straight) == {newer}
    door.restart_after_kill9()
    assert _meant_for_a_while(door, straight) == {newer}
    assert _meant_for_a_while(door, request_id) == {second}


READER = """
import sys, mlflow
trace = mlflow.get_trace(sys.argv[1])
print(*(span.name for span in trace.data.spans) if trace else ())
"""


def _span_names(url: str, trace_id: str) -> list[str]:
    """As a process of its own reads them: a client looks for artifacts at its process's server."""
    done = subprocess.run([sys.executable, "-c", READER, trace_id], env=client_env(url), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return sorted(done.stdout.split())


def test_a_chat_is_read_with_its_spans_here_and_in_mlflow(door, mlflow_url):
    trace_id = chat(door.http)["trace_id"]
    spans = _span_names(door.url, trace_id)  # at once, whatever MLflow has
    assert len(spans) == 1
    wait_until("it stands in MLflow", lambda: _span_names(mlflow_url, trace_id) == spans, WITHIN)
    assert _span_names(door.url, trace_id) == spans


APPLICATION = """
import mlflow
mlflow.set_experiment("traced")
with mlflow.start_span("answer") as span:
    with mlflow.start_span("retrieve"):
        pass
mlflow.flush_trace_async_logging()
print(span.trace_id)
"""


def _run_application(url: str) -> str:
    done = subprocess.run([sys.executable, "-c", APPLICATION], env=client_env(url), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]


def test_an_applications_traces_are_read_with_their_spans_whichever_way_they_went(door, mlflow_url):
    for url in (door.url, mlflow_url):
        trace_id = _run_application(url)
        for reader in (door.url, mlflow_url):
            wait_until(f"logged at {url} it is read at {reader}", lambda: _span_names(reader, trace_id) == ["answer", "retrieve"], WITHIN)  # noqa: B023


def test_spans_are_accepted_while_mlflow_is_away(assay):
    away = assay("serve", "--mlflow-url", f"http://127.0.0.1:{free_port()}", "--mlflow-feed-interval", "0s")
    span = {"traceId": uuid.uuid4().hex, "spanId": uuid.uuid4().hex[:16], "name": "answer", "startTimeUnixNano": "1", "endTimeUnixNano": "2"}
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    answer = away.http.post("/v1/traces", json=body, headers={"x-mlflow-experiment-id": "0"})
    assert answer.status_code == 200 and answer.headers["Assay-Durability"] == "disk", answer.text
    assert _span_names(away.url, "tr-" + span["traceId"]) == ["answer"]


def test_a_trace_is_found_by_its_client_request_id_while_mlflow_is_away(assay):
    away = assay("serve", "--mlflow-url", f"http://127.0.0.1:{free_port()}", "--mlflow-feed-interval", "0s")
    trace_id, request_id = new_trace_id(), new_request_id()
    post_trace(away.http, trace_id, request_id)

    def search(request_id: str) -> httpx.Response:
        locations = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}]
        asked = {"locations": locations, "filter": f"client_request_id = '{request_id}'", "max_results": 1}
        return away.http.post("/api/3.0/mlflow/traces/search", json=asked)

    assert [trace["trace_id"] for trace in search(request_id).raise_for_status().json()["traces"]] == [trace_id]
    assert search(new_request_id()).status_code == 502, "MLflow may have it"


def test_a_search_for_one_client_request_id_finds_here_what_mlflow_does_not(door, mlflow_url):
    here, there = MlflowClient(door.url), MlflowClient(mlflow_url)
    trace_id, request_id = new_trace_id(), f"long-{uuid.uuid4().hex}-{uuid.uuid4().hex}"  # too long for MLflow's column
    post_trace(door.http, trace_id, request_id)

    def found(client: MlflowClient, experiment: str = "0") -> list[str]:
        page = client.search_traces(locations=[experiment], filter_string=f"client_request_id = '{request_id}'", include_spans=False)
        return [trace.info.trace_id for trace in page]

    assert found(here) == [trace_id] and found(here, here.create_experiment(f"other-{uuid.uuid4().hex[:8]}")) == []
    wait_until("it is there", lambda: httpx.get(f"{mlflow_url}/api/3.0/mlflow/traces/{trace_id}", trust_env=False).status_code == 200, WITHIN)
    assert found(there) == [] and found(here) == [trace_id]


def _ids(url: str, trace_id: str) -> list[str]:
    info = httpx.get(f"{url}/api/3.0/mlflow/traces/{trace_id}", trust_env=False).json()["trace"]["trace_info"]
    return [a["assessment_id"] for a in info.get("assessments", [])]


def test_a_server_that_is_away_or_silent_is_said_in_words(assay):
    away = assay("serve", "--mlflow-url", f"http://127.0.0.1:{free_port()}", "--mlflow-feed-interval", "0s")
    answer = away.http.get("/")
    assert answer.status_code == 502 and "MLflow" in answer.text
    assert chat(away.http, "hello")["trace_id"]


class Upstream:
    """A server that answers one request with given bytes and keeps what it was asked."""

    def __init__(self, answer: bytes):
        self._answer, self.asked = answer, b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        connection, _ = self._listener.accept()
        with connection:
            while b"\r\n\r\n" not in self.asked:
                self.asked += connection.recv(65536)
            connection.sendall(self._answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()
        self._thread.join(5)


def test_headers_of_one_hop_stay_on_it_and_the_rest_says_where_it_came_from(assay):
    reply = b"HTTP/1.1 302 Found\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nX-Kept: yes\r\nLocation: URL/there\r\nContent-Length: 0\r\n\r\n"
    with Upstream(reply) as upstream:
        upstream._answer = reply.replace(b"URL", upstream.url.encode())
        door = assay("serve", "--mlflow-url", upstream.url, "--mlflow-feed-interval", "0s", "--mlflow-experiment", "1")
        answer = door.http.get("/x?y=%20z", headers={"Connection": "keep-alive, X-Mine", "X-Mine": "1", "TE": "trailers", "X-Forwarded-For": "192.0.2.1"}, follow_redirects=False)
    assert answer.status_code == 302 and answer.headers["x-kept"] == "yes" and "x-hop" not in answer.headers
    assert answer.headers["location"] == "/there"
    asked = upstream.asked.decode().lower()
    assert asked.startswith("get /x?y=%20z http/1.1\r\n")
    assert "x-mine" not in asked and "\r\nte:" not in asked
    assert "\r\nx-forwarded-for: 127.0.0.1\r\n" in asked and "\r\nvia: 1.1 assay\r\n" in asked
    assert f"\r\nx-forwarded-host: {door.address}\r\n" in asked and 'for="127.0.0.1"' in asked


def test_an_answer_that_is_cut_there_is_cut_here(assay):
    with Upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf") as upstream:
        door = assay("serve", "--mlflow-url", upstream.url, "--mlflow-feed-interval", "0s")
        with pytest.raises(httpx.HTTPError):
            door.http.get("/x")


ODD_TARGETS = [b"/x?ids[]=1|2&q={a}^`\\\"", b"/x/100%?p=%zz", "/x/ö?q=ü".encode(), b"/x//y?a=/?"]


@pytest.mark.parametrize("target", ODD_TARGETS)
def test_a_target_goes_on_as_it_came_whatever_it_holds(assay, target):
    with Upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as upstream:
        door = assay("serve", "--mlflow-url", upstream.url, "--mlflow-feed-interval", "0s")
        assert ask(door.port, b"GET " + target + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").status == 200
    assert upstream.asked.startswith(b"GET " + target + b" HTTP/1.1\r\n")


def test_options_of_the_whole_server_goes_on_and_a_method_that_nobody_knows_does_not(assay):
    with Upstream(b"HTTP/1.1 204 No Content\r\nAllow: GET\r\n\r\n") as upstream:
        door = assay("serve", "--mlflow-url", upstream.url, "--mlflow-feed-interval", "0s")
        assert ask(door.port, b"BREW /x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").status == 501
        answer = ask(door.port, b"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert answer.status == 204 and answer.headers["allow"] == "GET"
    assert upstream.asked.startswith(b"OPTIONS * HTTP/1.1\r\n")
    assert door.metric("assay_proxy_failed_total") == 0


def test_a_body_that_does_not_come_or_is_broken_is_the_clients_fault_not_mlflows(assay):
    post = b"POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        door = assay("serve", "--mlflow-url", url, "--mlflow-feed-interval", "0s", "--body-timeout", "1s")
        stalled = ask(door.port, post + b"Content-Length: 10\r\n\r\nhalf")
        broken = ask(door.port, post + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n")
    assert (stalled.status, broken.status) == (408, 400)
    assert b"MLflow" not in stalled.body + broken.body
    assert door.metric("assay_proxy_failed_total") == 0


def test_a_head_has_the_length_that_was_said_there_or_none(assay):
    for said in ({"content-length": "7"}, {"transfer-encoding": "chunked"}):
        head = "".join(f"{name}: {value}\r\n" for name, value in said.items())
        with Upstream(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode()) as upstream:
            door = assay("serve", "--mlflow-url", upstream.url, "--mlflow-feed-interval", "0s")
            answer = door.http.head("/x")
        assert answer.status_code == 200
        assert answer.headers.get("content-length") == said.get("content-length")
