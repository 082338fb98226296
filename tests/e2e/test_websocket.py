"""GET /chat/ws with an unmodified client (`websockets`), and Autobahn's cases against the same server and WebSocket (`kosoku`)."""

import asyncio
import json
import re
import socket
import subprocess
import sys
import threading
from http.client import HTTPResponse
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from support.door import accepted, events, trace_info
from support.fake_model import FakeModel
from support.paths import ASSAY_BIN
from support.waiting import wait_until

ASK = json.dumps({"message": "Is water wet?", "tags": {"team": "blue"}, "session_id": "s-1", "user_id": "ana"})


def url(serve) -> str:
    return f"ws://{serve.address}/chat/ws"


def until_end(ws) -> list[dict]:
    came = []
    while not came or came[-1]["type"] not in ("done", "error"):
        came.append(json.loads(ws.recv(timeout=30)))
    return came


def test_a_long_handshake_and_what_comes_with_it_are_read(assay):
    serve = assay("serve")
    cookie = {"Cookie": "; ".join(f"c{i}={'x' * 90}" for i in range(60))}
    with connect(url(serve), proxy=None, additional_headers=cookie) as ws:
        ws.send(ASK)
        assert until_end(ws)[-1]["type"] == "done"
    # The first message stands in the same bytes as the handshake.
    head = f"GET /chat/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nX-Pad: {'p' * 3000}\r\n\r\n"
    text = json.dumps({"message": "Is water wet?", "tags": {"pad": "p" * 3000}}).encode()
    frame = b"\x81\xfe" + len(text).to_bytes(2, "big") + b"\0\0\0\0" + text
    with socket.create_connection(("127.0.0.1", serve.port), timeout=30) as raw:
        raw.sendall(head.encode() + frame)
        came = b""
        while b'"type":"done"' not in came:
            more = raw.recv(65536)
            assert more, came
            came += more
    assert came.startswith(b"HTTP/1.1 101 ")


def test_a_turn_is_a_message_and_the_events_are_those_of_the_stream(assay):
    serve = assay("serve")
    with connect(url(serve), proxy=None) as ws:
        for _ in range(2):  # one connection, turn after turn
            ws.send(ASK)
            start, *tokens, done = until_end(ws)
            assert start["type"] == "start" and {t["type"] for t in tokens} == {"token"} and done["type"] == "done"
            for name in ("trace_id", "client_request_id", "feedback_token"):
                assert done[name] == start[name]
            info = trace_info(serve.http, done["trace_id"])
            assert info["state"] == "OK" and info["tags"]["team"] == "blue"
            assert info["trace_metadata"]["mlflow.trace.session"] == "s-1" and info["trace_metadata"]["mlflow.trace.user"] == "ana"
            accepted(serve.http.post("/feedback", params={"trace_id": done["trace_id"]}, json={"is_correct": True}))
        ws.send('{"message":"again","client_request_id":"mine"}')
        assert until_end(ws)[-1]["client_request_id"] == "mine"


def test_a_turn_joins_the_trace_of_the_handshake(assay):
    serve = assay("serve")
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    with connect(url(serve), proxy=None, additional_headers={"traceparent": f"00-{trace}-{parent}-01", "X-Client-Request-Id": "first"}) as ws:
        ends = []
        for _ in range(2):
            ws.send(ASK)
            ends.append(until_end(ws)[-1])
    assert [end["trace_id"] for end in ends] == [f"tr-{trace}"] * 2
    assert ends[0]["client_request_id"] == "first" != ends[1]["client_request_id"]


def test_what_cannot_be_a_turn_is_an_error_and_the_connection_goes_on(assay):
    serve = assay("serve")
    with connect(url(serve), proxy=None) as ws:
        for bad in ("", "[]", "{", "{}", '{"message":1}', '{"message":"x","user_id":""}', '{"type":"sing"}', '{"message":"x","tags":{"mlflow.a":"b"}}'):
            ws.send(bad)
            [error] = until_end(ws)
            assert error["type"] == "error" and error["error"], bad
        ws.send(ASK)
        assert until_end(ws)[-1]["type"] == "done"


def test_each_turn_costs_its_caller_a_token(assay):
    serve = assay("serve", "--quota-address", "0.01:3")
    with connect(url(serve), proxy=None) as ws:
        for _ in range(3):
            ws.send(ASK)
            assert until_end(ws)[-1]["type"] == "done"
        ws.send(ASK)
        [refused] = until_end(ws)
        assert refused["type"] == "error" and "too many" in refused["error"]
    assert serve.http.post("/chat", json={"message": "hi"}).status_code == 429


def test_any_origin_may_connect_where_any_is_allowed(assay):
    serve = assay("serve", "--cors-origin", "*")
    with connect(url(serve), proxy=None, origin="https://any.example") as ws:
        ws.send(ASK)
        assert until_end(ws)[-1]["type"] == "done"


def test_ids_are_those_that_feedback_takes(assay):
    serve = assay("serve")
    for bad in ("a\nb", "a\0b", "x" * 251, ""):
        for field in ("client_request_id", "user_id", "session_id"):
            with connect(url(serve), proxy=None) as ws:
                ws.send(json.dumps({"message": "x", field: bad}))
                [error] = until_end(ws)
                assert error["type"] == "error" and field in error["error"], error
    for none in ("undefined", "null", "[object Object]", " x"):
        with connect(url(serve), proxy=None) as ws:
            ws.send(json.dumps({"message": "x", "client_request_id": none}))
            assert "client_request_id" in until_end(ws)[0]["error"]
    assert serve.http.post("/chat", json={"message": "hi"}, headers={"X-Client-Request-Id": "a\tb"}).status_code == 400


def test_a_turn_can_be_stopped_and_only_one_runs(assay):
    def tokens():
        while True:
            yield "water "

    with FakeModel(tokens) as model:
        serve = assay("serve", "--model-url", model.url)
        with connect(url(serve), proxy=None) as ws:
            ws.send(ASK)
            assert json.loads(ws.recv(timeout=30))["type"] == "start"
            ws.send(ASK)
            while (said := json.loads(ws.recv(timeout=30)))["type"] == "token":
                pass
            assert said["type"] == "error" and "one turn" in said["error"]
            ws.send('{"type":"stop"}')
            while (said := json.loads(ws.recv(timeout=30)))["type"] == "token":
                pass
            assert said["type"] == "done" and said["stopped"]
            assert model.gone.wait(30)
            assert trace_info(serve.http, said["trace_id"])["state"] == "OK"


def test_a_stop_right_behind_its_message_is_heard(assay):
    serve = assay("serve", "--builtin-pause", "2s")
    with connect(url(serve), proxy=None) as ws:
        for _ in range(5):
            ws.send(ASK)
            ws.send('{"type":"stop"}')
            *_, done = until_end(ws)
            assert done["type"] == "done" and done["stopped"] is True


@pytest.mark.parametrize("shows_token", [True, False])
def test_a_turn_whose_connection_breaks_goes_on_as_a_stream(assay, shows_token):
    go_on = threading.Event()

    def tokens():
        yield "Water"
        assert go_on.wait(30)
        yield " is wet."

    with FakeModel(tokens) as model:
        serve = assay("serve", "--model-url", model.url, "--threads", "2")
        with connect(url(serve), proxy=None) as ws:
            ws.send(ASK)
            start, token = (json.loads(ws.recv(timeout=30)) for _ in range(2))
            assert token["content"] == "Water"
            ws.socket.shutdown(socket.SHUT_RDWR)
        go_on.set()
        proof = {"X-Resume-Token": start["resume_token"]} if shows_token else {"X-User-ID": "ana", "X-Session-ID": "s-1"}
        headers = proof | {"Last-Event-ID": "5"}
        assert serve.http.get(f"/chat/stream/{start['trace_id']}").status_code == 403
        with serve.http.stream("GET", f"/chat/stream/{start['trace_id']}", headers=headers) as rest:
            assert [d.get("content", d["type"]) for _, d in events(rest.iter_lines())] == [" is wet.", "done"]


def test_sizes_kinds_origins_and_plain_http_have_their_answers(assay):
    serve = assay("serve")
    with connect(url(serve), proxy=None) as ws:
        with pytest.raises(ConnectionClosed) as closed:
            ws.send("x" * (1 << 20))  # which may see the close in mid-frame already
            ws.recv(timeout=30)
        assert closed.value.rcvd.code == 1009
    with connect(url(serve), proxy=None) as ws:
        with pytest.raises(ConnectionClosed) as closed:
            ws.send(b"bytes")
            ws.recv(timeout=30)
        assert closed.value.rcvd.code == 1003
    with connect(url(serve), proxy=None, origin=f"http://{serve.address}") as ws:
        ws.send(ASK)
        assert until_end(ws)[-1]["type"] == "done", "our own page"
    for origin in ("https://evil.example", "null", f"http://{serve.address}.evil.example"):
        with pytest.raises(InvalidStatus) as refused:
            connect(url(serve), proxy=None, origin=origin)
        assert refused.value.response.status_code == 403
    plain = serve.http.get("/chat/ws")
    assert plain.status_code == 426 and plain.headers["Upgrade"] == "websocket"


KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = {"Connection": "keep-alive, Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": KEY}


@pytest.mark.parametrize(
    "change, status, says",
    [
        ({"Connection": None}, 426, "this is a WebSocket"),
        ({"Upgrade": "h2c"}, 426, "this is a WebSocket"),
        ({"Sec-WebSocket-Version": "8"}, 426, "Sec-WebSocket-Version: is not 13"),
        ({"Sec-WebSocket-Version": None}, 426, "Sec-WebSocket-Version"),
        ({"Sec-WebSocket-Key": None}, 400, "Sec-WebSocket-Key"),
        ({"Sec-WebSocket-Key": "short"}, 400, "16 bytes in base64"),
        ({"Sec-WebSocket-Key": "*" * 22 + "=="}, 400, "16 bytes in base64"),
        ({"Sec-WebSocket-Key": KEY * 2}, 400, "16 bytes in base64"),
    ],
)
def test_a_handshake_that_is_none_is_refused_in_the_doors_own_words(assay, change, status, says):
    serve = assay("serve")
    headers = {name: value for name, value in {**HANDSHAKE, **change}.items() if value is not None}
    refused = serve.http.get("/chat/ws", headers=headers)
    assert refused.status_code == status and says in refused.json()["detail"]
    assert refused.headers["Content-Type"] == "application/problem+json" and refused.headers["Server"] == "assay"
    if status == 426:
        assert refused.headers["Sec-WebSocket-Version"] == "13" and refused.headers["Upgrade"] == "websocket"
        assert refused.headers["Connection"] == "Upgrade"


def test_a_handshake_says_nothing_of_what_the_door_is_built_from(assay):
    serve = assay("serve")
    with connect(url(serve), proxy=None) as ws:
        assert ws.response.headers["Server"] == "assay"


@pytest.mark.parametrize("line", ["GET /chat/ws HTTP/1.0", "HEAD /chat/ws HTTP/1.1"])
def test_a_handshake_of_another_method_or_version_is_refused_in_the_doors_own_form(assay, line):
    serve = assay("serve")
    with socket.create_connection(("127.0.0.1", serve.port)) as other:
        lines = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE.items())
        other.sendall(f"{line}\r\nHost: x\r\n{lines}\r\n".encode())
        other.settimeout(30)
        refused = HTTPResponse(other, method=line.split()[0])
        refused.begin()
        assert refused.status == 426 and refused.getheader("Server") == "assay"
        assert refused.getheader("Content-Type") == "application/problem+json"
        assert refused.getheader("Upgrade") == "websocket" and "Upgrade" in refused.getheader("Connection")
        body = refused.read()
        if line.startswith("GET"):
            assert json.loads(body)["detail"] == "this is a WebSocket: GET, with HTTP/1.1"
        elif "close" not in refused.getheader("Connection"):  # nothing stands between it and the next answer
            other.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert other.recv(4096).startswith(b"HTTP/1.1 200")


def test_who_gives_no_sign_of_life_is_closed_and_who_answers_pings_stays(assay):
    serve = assay("serve", "--ws-idle-max", "1s")
    with connect(url(serve), proxy=None, ping_interval=None) as alive, socket.create_connection(("127.0.0.1", serve.port)) as dead:
        dead.sendall(
            b"GET /chat/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        dead.settimeout(30)
        came = b""
        while piece := dead.recv(4096):
            came += piece
        assert came.startswith(b"HTTP/1.1 101") and b"\x89\x00" in came, "it was pinged, and cut"
        alive.send(ASK)
        assert until_end(alive)[-1]["type"] == "done"


def test_a_drain_closes_what_is_idle_with_a_reason(assay):
    serve = assay("serve")
    with connect(url(serve), proxy=None) as ws:
        ws.send(ASK)
        until_end(ws)
        serve.signal(15)
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(timeout=30)
        assert closed.value.rcvd.code == 1001
    wait_until("the end", lambda: not serve.running)
    assert serve.exit_code == 0


@pytest.fixture
def echo():
    """The address of the product's WebSocket, answering with what it was told."""
    process = subprocess.Popen([ASSAY_BIN.parent / "ws_echo"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield f"127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        assert process.wait(30) == 0


@pytest.mark.timeout(280)
def test_autobahns_cases_pass(echo, tmp_path: Path):
    """All but 12.* and 13.*: they are about compression, which is not offered."""
    kosoku = Path(sys.executable).with_name("kosoku")
    command = [kosoku, "-m", "fuzzingclient", "-p", "8", "-x", "12.*", "-x", "13.*", "-o", tmp_path, echo]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    [index] = tmp_path.rglob("index.json")
    [cases] = json.loads(index.read_text()).values()
    behaviours = [case["behavior"] for case in cases.values()]
    failed = {name: case["behavior"] for name, case in cases.items() if case["behavior"] not in ("OK", "NON-STRICT", "INFORMATIONAL")}
    assert not failed, f"{failed}\n{done.stdout[-2000:]}"
    assert len(behaviours) > 240, behaviours
