"""More than `assay serve` can take: it says "later" early, refuses chat before feedback, and slow clients harm nobody but themselves."""

import gzip
import json
import resource
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest

from support.assay import Assay, run_assay
from support.door import accepted, assessments, chat, new_trace_id, post_trace, wait_state
from support.fake_model import FakeModel
from support.raw_http import RawConnection, ask, request
from support.waiting import wait_until

GOOD = b'{"is_correct":true}'


def resident_bytes(serve: Assay) -> int:
    for line in Path(f"/proc/{serve.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def target(trace_id: str) -> str:
    return f"/feedback?trace_id={trace_id}"


def held(serve: Assay, trace_id: str, bytes_each: int, how_many: int) -> list[RawConnection]:
    """Requests whose bodies do not come: each holds its share of the budget."""
    wait_until("what was answered holds none", lambda: serve.metric("assay_ingest_in_flight_requests") == 0)
    connections = []
    for _ in range(how_many):
        connection = RawConnection(serve.port)
        connection.send(request("POST", target(trace_id)).replace(b"Content-Length: 0", f"Content-Length: {bytes_each}".encode()) + b"{")
        connections.append(connection)
    return connections


def close_all(connections: list[RawConnection]) -> None:
    for connection in connections:
        connection.close()


def assert_says_later(answer) -> None:
    assert answer.status == 503, answer
    assert int(answer.headers["retry-after"]) >= 1
    assert json.loads(answer.body)["status"] == 503


def test_over_the_budget_of_bytes_the_answer_is_503_before_the_body_is_read(assay):
    serve = assay("serve", "--in-flight-max", "1MB", "--answer-max", "64KB", "--body-timeout", "60s")
    trace_id = new_trace_id()
    post_trace(serve.http, trace_id)
    connections = held(serve, trace_id, 60_000, 17)
    try:
        wait_until("the budget is taken", lambda: serve.metric("assay_ingest_in_flight_bytes") > 980_000)
        with RawConnection(serve.port) as one_more:
            one_more.send(request("POST", target(trace_id)).replace(b"Content-Length: 0", b"Content-Length: 60000"))
            assert_says_later(one_more.answer())  # and not a byte of the body was sent
        assert serve.http.get("/livez").status_code == 200, "health is answered at any load"
        assert serve.http.get("/readyz").status_code == 200
        assert serve.metric("assay_ingest_refused_total") >= 1
    finally:
        close_all(connections)
    wait_until("the budget is free again", lambda: serve.metric("assay_ingest_in_flight_bytes") == 0)
    wait_state(serve.http, accepted(serve.http.post(target(trace_id), json={"is_correct": True})), "committed")


def test_a_refused_client_with_a_small_body_keeps_its_connection(assay):
    serve = assay("serve", "--requests-max", "4", "--body-timeout", "60s")
    trace_id = new_trace_id()
    post_trace(serve.http, trace_id)
    connections = held(serve, trace_id, 1000, 4)
    try:
        wait_until("the budget is taken", lambda: serve.metric("assay_ingest_in_flight_requests") >= 4)
        with RawConnection(serve.port) as one_more:
            one_more.send(request("POST", target(trace_id), GOOD))
            refused = one_more.answer()
            assert_says_later(refused)
            close_all(connections)
            wait_until("the budget is free again", lambda: serve.metric("assay_ingest_in_flight_requests") == 0)
            assert not refused.closed
            one_more.send(request("POST", target(trace_id), GOOD))
            assert one_more.answer().status == 200
    finally:
        close_all(connections)


def test_chat_is_refused_before_feedback_is(assay):
    serve = assay("serve", "--requests-max", "8", "--body-timeout", "60s")
    trace_id = new_trace_id()
    post_trace(serve.http, trace_id)
    connections = held(serve, trace_id, 1000, 6)  # three quarters
    try:
        wait_until("the chats' share is taken", lambda: serve.metric("assay_ingest_in_flight_requests") >= 6)
        for path in ("/chat", "/chat/stream"):
            assert_says_later(ask(serve.port, request("POST", path, b'{"message":"hi"}')))
        assert ask(serve.port, request("POST", target(trace_id), GOOD)).status == 200
    finally:
        close_all(connections)
    wait_until("chat is taken again", lambda: serve.http.post("/chat", json={"message": "hi"}).status_code == 200)


def test_one_connection_too_many_is_told_so_and_closed(assay):
    serve = assay("serve", "--connections-max", "8")
    serve.http.close()  # its connection counts until the server has seen the end of it
    connections: list[RawConnection] = []
    try:

        def turned_away() -> bool:
            one_more = RawConnection(serve.port)
            one_more.send(request("GET", "/livez"))
            answer = one_more.answer()
            if answer.status == 200:
                connections.append(one_more)
                return False
            with one_more:
                return len(connections) == 8 and (answer.status == 0 or (answer.status == 503 and one_more.ended(within=10)))

        wait_until("the ninth is turned away", turned_away)
        assert len(connections) == 8
    finally:
        close_all(connections)
    wait_until("there is room again", lambda: ask(serve.port, request("GET", "/livez")).status == 200)


def limited(soft: int, hard: int) -> list[str]:
    """Starts the program with so many open files."""
    return ["prlimit", f"--nofile={soft}:{hard}"]


def test_the_limit_of_open_files_is_raised_and_connections_get_what_it_leaves(assay):
    """Where connections take them all, the database finds none for its next file, and the log writes no more."""
    serve = assay("serve", "--threads", "2", "--write-buffers", "1MB", launcher=limited(256, 1024))
    assert serve.metric("process_max_fds") == 1024
    assert "event=connections_lowered from=4096 to=248" in serve.tail()
    trace_id = new_trace_id()
    post_trace(serve.http, trace_id)
    idle = [RawConnection(serve.port) for _ in range(600)]
    try:
        wait_until("they are accepted or turned away", lambda: serve.metric("assay_ingest_connections_total") >= 600)
        assert serve.metric("assay_ingest_connections") <= 248
        assert serve.metric("process_open_fds") < 900
        for _ in range(300):
            given = accepted(serve.http.post(target(trace_id), json={"name": "n", "value": 1, "rationale": "x" * 15000}))
        wait_state(serve.http, given, "committed")
        assert serve.http.get("/readyz").status_code == 200
    finally:
        close_all(idle)
    refused = run_assay("serve", "--data", str(serve.data) + "2", "--check", launcher=limited(512, 512))
    assert refused.returncode == 2 and "ulimit -n" in refused.stderr, refused


def test_no_descriptors_left_means_later_not_the_end(assay):
    """More than we would take ourselves: a failed accept waits, and who has come is answered when there is one again."""
    serve = assay("serve")
    trace_id = new_trace_id()
    post_trace(serve.http, trace_id)
    before = resource.prlimit(serve.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(serve.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    with RawConnection(serve.port) as waits:
        waits.send(request("POST", target(trace_id), GOOD))
        wait_until("it could not be accepted", lambda: serve.metric("assay_ingest_accept_errors_total") > 0)
        resource.prlimit(serve.pid, resource.RLIMIT_NOFILE, before)
        assert waits.answer().status == 200


def export_packed(serve: Assay, unpacked: int):
    headers = ("x-mlflow-experiment-id: 0", "Content-Encoding: gzip")
    return ask(serve.port, request("POST", "/v1/traces", gzip.compress(bytes(unpacked)), *headers, content_type="application/x-protobuf"))


def test_spans_that_are_announced_or_unpack_to_much_leave_room_for_feedback(assay):
    serve = assay("serve", "--in-flight-max", "8MB", "--body-timeout", "60s")
    trace_id = new_trace_id()
    post_trace(serve.http, trace_id)
    spans = ("x-mlflow-experiment-id: 0",)
    head = request("POST", "/v1/traces", b"", *spans, content_type="application/x-protobuf")
    announced = [RawConnection(serve.port) for _ in range(8)]
    try:
        for connection in announced:
            connection.send(head.replace(b"Content-Length: 0", b"Content-Length: 1900000"))
        wait_until("two have their place", lambda: serve.metric("assay_ingest_in_flight_bytes") > 3_800_000)
        assert serve.metric("assay_ingest_in_flight_bytes") < 4 << 20, "half is not theirs"
        later = ask(serve.port, head.replace(b"Content-Length: 0", b"Content-Length: 1900000"))
        assert later.status == 503 and "retry-after" in later.headers
        assert export_packed(serve, 2 << 20).status == 503
        assert ask(serve.port, request("POST", target(trace_id), GOOD)).status == 200
    finally:
        close_all(announced)
    wait_until("the budget is free again", lambda: serve.metric("assay_ingest_in_flight_bytes") == 0)
    assert export_packed(serve, 2 << 20).status == 400, "zeros are no spans"
    assert export_packed(serve, 5 << 20).status == 413, "there will never be room for it"
    wait_until("all of it is free again", lambda: serve.metric("assay_ingest_in_flight_bytes") == 0)


def asked_from(address: str, port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(address, 0)) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        return connection.recv(4096)


def test_one_address_leaves_connections_for_others(assay):
    serve = assay("serve", "--connections-per-address", "8")
    serve.http.close()
    held = [socket.create_connection(("127.0.0.1", serve.port), timeout=30, source_address=("127.0.0.2", 0)) for _ in range(8)]
    try:
        for connection in held:  # it counts once it was answered
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert b" 200 " in connection.recv(4096)
        wait_until("the ninth is turned away", lambda: b" 503 " in asked_from("127.0.0.2", serve.port))
        assert b" 200 " in asked_from("127.0.0.3", serve.port)
    finally:
        close_all(held)
    wait_until("there is room again", lambda: b" 200 " in asked_from("127.0.0.2", serve.port))


def test_slow_headers_and_slow_bodies_are_cut_by_their_time_limits(assay):
    serve = assay("serve", "--header-timeout", "1s", "--body-timeout", "1s", "--idle-timeout", "1s")
    trace_id = new_trace_id()
    post_trace(serve.http, trace_id)
    head = request("POST", target(trace_id)).replace(b"Content-Length: 0", b"Content-Length: 5000")
    slow = {
        "a header, byte by byte": (b"", b"POST /feedback HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: " + b"a" * 1000),
        "a body, byte by byte": (head, b"{" + b" " * 5000),
        "a body that stops": (head + b"{", b""),
        "a connection without a request": (b"", b""),
    }

    def drip(name: str, first: bytes, rest: bytes, ended: dict[str, float]) -> None:
        began = time.monotonic()
        with RawConnection(serve.port) as connection:
            connection.send(first)
            for byte in rest:
                if not connection.send(bytes([byte])) or connection.ended(within=0.02):
                    break
            else:
                assert connection.ended(within=20), name
            ended[name] = time.monotonic() - began
            told[name] = connection.answer().status

    ended: dict[str, float] = {}
    told: dict[str, int] = {}
    threads = [threading.Thread(target=drip, args=(name, *parts, ended)) for name, parts in slow.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert set(ended) == set(slow)
    assert all(0.5 < seconds < 10 for seconds in ended.values()), ended
    assert told == {name: 0 if name == "a connection without a request" else 408 for name in slow}
    wait_until("all are gone", lambda: serve.metric("assay_ingest_connections") <= 1)
    assert set(assessments(serve.http, trace_id)) == set()


def test_a_slow_reader_of_a_stream_slows_nobody_and_takes_no_memory(assay):
    """The model makes megabytes; who does not read them holds back the model, not the process."""
    made = [0]

    def flood():
        for _ in range(200_000):  # 200 MB in all, if anybody took them
            made[0] += 1
            yield "x" * 1000

    with FakeModel() as model:
        model.tokens = flood
        serve = assay("serve", "--model-url", model.url, "--stall-max", "60s", "--chat-max", "120s")
        trace_id = new_trace_id()
        post_trace(serve.http, trace_id)
        slow = [RawConnection(serve.port, receive_buffer=4096) for _ in range(4)]
        try:
            for connection in slow:
                connection.send(request("POST", "/chat/stream", b'{"message":"much"}'))
            _wait_standing(made)
            resident = resident_bytes(serve)
            # The others do not notice.
            given, began = [], time.monotonic()
            for _ in range(300):
                given.append(accepted(serve.http.post(target(trace_id), json={"is_correct": True})))
            assert time.monotonic() - began < 10
            wait_state(serve.http, given[-1], "committed")
            assert resident_bytes(serve) - resident < 32 << 20
            assert resident < 300 << 20
        finally:
            close_all(slow)
        model.tokens = lambda: ["Water"]
        assert chat(serve.http)["response"] == "Water"


def _wait_standing(count: list[int]) -> None:
    """Waits until a count has begun and then stands still for a second."""
    seen, since = 0, time.monotonic()

    def standing() -> bool:
        nonlocal seen, since
        if count[0] != seen:
            seen, since = count[0], time.monotonic()
        return seen > 0 and time.monotonic() - since > 1

    wait_until("the model is held back", standing, within=60)


def test_a_reader_that_takes_nothing_is_cut(assay):
    with FakeModel() as model:
        model.tokens = lambda: ("x" * 1000 for _ in range(100_000))
        serve = assay("serve", "--model-url", model.url, "--stall-max", "1s", "--resume-max", "0s", "--chat-max", "120s")
        with RawConnection(serve.port, receive_buffer=4096) as connection:
            connection.send(request("POST", "/chat/stream", b'{"message":"much"}'))
            wait_until("the model works", lambda: model.requests)
            assert model.gone.wait(30), "the model is still asked for what nobody reads"


@pytest.mark.timeout(120)
def test_a_burst_of_clients_over_every_bound_gets_2xx_or_503_and_all_2xx_are_committed(assay):
    serve = assay("serve", "--requests-max", "8", "--connections-max", "64", "--queue-max", "64KB")
    trace_id = new_trace_id()
    post_trace(serve.http, trace_id)
    given: list[str] = []
    wrong: list[str] = []
    later = [0]

    def load() -> None:
        with httpx.Client(base_url=serve.url, timeout=30, trust_env=False) as http:
            for _ in range(60):
                try:
                    answer = http.post(target(trace_id), json={"name": "n", "value": 1, "rationale": "x" * 8000})
                except httpx.HTTPError:
                    continue  # turned away as a connection
                if answer.status_code == 200:
                    given.append(accepted(answer))
                elif answer.status_code == 503 and "Retry-After" in answer.headers:
                    later[0] += 1
                else:
                    wrong.append(f"{answer.status_code} {answer.text}")

    threads = [threading.Thread(target=load) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert not wrong, f"promises broken: {wrong[:5]}"
    assert given
    wait_state(serve.http, given[-1], "committed")
    wait_until("all are there", lambda: set(assessments(serve.http, trace_id)) == set(given))
    wait_until("counters settled", lambda: serve.metric("assay_unaccounted") == 0)
    print(f"{len(given)} taken, {later[0]} refused")
