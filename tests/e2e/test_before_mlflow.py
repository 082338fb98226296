"""`assay serve --mlflow-url`: the door before a real MLflow server, and what the feeder finds in it."""

import os
import socket
import threading
import uuid

import httpx
import pytest

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")

from mlflow import MlflowClient  # noqa: E402

from support.door import accepted, chat, new_request_id, new_trace_id, post_trace, wait_state  # noqa: E402
from support.ports import free_port  # noqa: E402
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
    assert "\r\nx-forwarded-for: 192.0.2.1, 127.0.0.1\r\n" in asked
    assert f"\r\nx-forwarded-host: {door.address}\r\n" in asked and 'for="127.0.0.1"' in asked


def test_an_answer_that_is_cut_there_is_cut_here(assay):
    with Upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf") as upstream:
        door = assay("serve", "--mlflow-url", upstream.url, "--mlflow-feed-interval", "0s")
        with pytest.raises(httpx.HTTPError):
            door.http.get("/x")
