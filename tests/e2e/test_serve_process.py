"""`assay serve` as a process: its start, its restart and its end."""

import resource
import signal
import socket
import threading
import time

import httpx
import pytest

from support.assay import Assay, assert_verified, run_assay
from support.door import accepted, assessments, chat, events, new_request_id, new_trace_id, post_trace, receipt, wait_state
from support.fake_model import FakeModel
from support.waiting import wait_until

THUMB = {"is_correct": True, "comment": "spot on"}


@pytest.fixture
def serve(assay) -> Assay:
    return assay("serve")


def test_a_restart_keeps_traces_feedback_parked_and_keys(serve):
    answer = chat(serve.http)
    key = {"Idempotency-Key": "click-1"}
    known = accepted(serve.http.post("/feedback", params={"trace_id": answer["trace_id"]}, json=THUMB, headers=key))
    early, trace_id = new_request_id(), new_trace_id()
    parked = accepted(serve.http.post("/feedback", params={"client_request_id": early}, json=THUMB))
    wait_state(serve.http, known, "committed")
    wait_state(serve.http, parked, "parked")

    assert serve.terminate() == 0
    serve.start()
    assert receipt(serve.http, known)["state"] == "committed"
    assert receipt(serve.http, parked)["state"] == "parked"
    assert accepted(serve.http.post("/feedback", params={"trace_id": answer["trace_id"]}, json=THUMB, headers=key)) == known
    post_trace(serve.http, trace_id, early)
    wait_state(serve.http, parked, "committed")
    assert set(assessments(serve.http, answer["trace_id"])) == {known}
    assert_verified(serve)
    assert serve.terminate() == 0
    assert_verified(serve)  # nobody serves: the directory alone says it, too


def test_sigterm_answers_what_is_in_flight_and_ends_with_0(assay):
    go_on = threading.Event()

    def tokens():
        yield "Water"
        assert go_on.wait(30)
        yield " is wet."

    with FakeModel(tokens) as model:
        serve = assay("serve", "--model-url", model.url)
        came = {}

        def ask():
            with httpx.Client(base_url=serve.url, timeout=30, trust_env=False) as http:
                came["answer"] = http.post("/chat", json={"message": "Is water wet?"})

        asking = threading.Thread(target=ask)
        asking.start()
        wait_until("the model was asked", lambda: model.requests)
        serve.signal(signal.SIGTERM)
        wait_until("it takes no more", lambda: not _connects(serve))
        go_on.set()
        asking.join(30)
        assert came["answer"].status_code == 200 and came["answer"].json()["response"] == "Water is wet."
        assert wait_until("the end", lambda: serve.exit_code is not None) and serve.exit_code == 0
    assert_verified(serve)


def test_a_second_sigterm_ends_at_once(assay):
    never = threading.Event()

    def tokens():
        yield "Water"
        never.wait(60)

    with FakeModel(tokens) as model:
        serve = assay("serve", "--model-url", model.url)
        with serve.http.stream("POST", "/chat/stream", json={"message": "Is water wet?"}) as answer:
            assert next(events(answer.iter_lines()))[1]["content"] == "Water"
            serve.signal(signal.SIGTERM)
            wait_until("it takes no more", lambda: not _connects(serve))
            serve.signal(signal.SIGTERM)
            wait_until("the end", lambda: not serve.running, within=10)
        never.set()


def test_with_a_drain_delay_the_door_says_no_before_it_closes(assay):
    serve = assay("serve", "--drain-delay", "4s")
    serve.signal(signal.SIGTERM)
    wait_until("it is not ready", lambda: serve.http.get("/readyz").status_code == 503)
    with httpx.Client(base_url=serve.url, timeout=30, trust_env=False) as late:  # a balancer that has not noticed yet
        accepted(late.post("/feedback", params={"client_request_id": new_request_id()}, json=THUMB))
        assert late.get("/livez").status_code == 200
    assert wait_until("the end", lambda: serve.exit_code is not None) and serve.exit_code == 0
    assert_verified(serve)


@pytest.mark.parametrize("role", ["worker", "ingest"])
def test_a_process_that_waits_for_kafka_ends_at_the_first_signal(assay, role):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = assay(role, "--kafka", f"127.0.0.1:{silent.getsockname()[1]}", "--kafka-wait", "10m", start=False).spawn()
        silent.settimeout(60)
        connection, _ = silent.accept()  # it asks, and will never be answered
        with connection:
            assert process.terminate() == 0


def _connects(serve: Assay) -> bool:
    try:
        with httpx.Client(timeout=5, trust_env=False) as http:
            return http.get(f"{serve.url}/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def test_a_second_process_on_the_same_data_is_refused_in_words(serve, assay):
    second = assay("serve", start=False)
    done = run_assay("serve", "--listen", second.address, "--data", str(serve.data), within=30)
    assert done.returncode == 1
    assert str(serve.data) in done.stderr and "another process" in done.stderr
    assert chat(serve.http)["response"], "the first goes on"


def test_a_taken_port_is_refused_in_words(serve, tmp_path):
    done = run_assay("serve", "--listen", serve.address, "--data", str(tmp_path / "other"), within=30)
    assert done.returncode == 1 and str(serve.port) in done.stderr


def test_a_data_directory_may_be_as_deep_as_a_file_system_lets_it(assay):
    """An address of a socket holds 107 bytes."""
    serve = assay("serve", "--park-max", "1s", start=False)
    serve.data = serve.home / ("deep-" * 20) / ("deeper-" * 20)
    serve.start()
    said = accepted(serve.http.post("/feedback", params={"trace_id": new_trace_id()}, json={"is_correct": True}))
    wait_state(serve.http, said, "dead")
    purged = run_assay("deadletters", "purge", said, "--data", str(serve.data))
    assert purged.returncode == 0, purged.stderr


def test_the_control_socket_outlives_a_lack_of_descriptors(serve):
    """It is how `assay deadletters` and `assay forget` reach the process: a failed accept is not its end."""
    before = resource.prlimit(serve.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(serve.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    with socket.socket(socket.AF_UNIX) as refused:
        refused.connect(str(serve.data / "control.sock"))
        time.sleep(0.3)  # it has tried by then
        resource.prlimit(serve.pid, resource.RLIMIT_NOFILE, before)
        refused.settimeout(10)
        refused.sendall(b"purge a-b\n")
        assert refused.recv(100)
