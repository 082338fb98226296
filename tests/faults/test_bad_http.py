"""HTTP that is none, or none that anybody should send: refused or cut, never a 5xx, and nothing of it in the log."""

import json
import os
import random

import pytest

from support.assay import Assay
from support.door import accepted, new_request_id, new_trace_id, post_trace, wait_state
from support.raw_http import RawConnection, ask, request
from support.refusals import GOOD, TARGET, TRACE, assert_refused, serve, unharmed  # noqa: F401
from support.waiting import wait_until


# ── headers ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "header, word",
    [
        ("Idempotency-Key: ", "Idempotency-Key"),
        ("Idempotency-Key: " + "k" * 300, "Idempotency-Key"),
        ("Idempotency-Key: a b", "Idempotency-Key"),
        ("Idempotency-Key: \xff\xfe", "Idempotency-Key"),
        ("Idempotency-Key: a\r\nIdempotency-Key: b", "Idempotency-Key"),
        ("X-User-ID: \xff\xfe", "X-User-ID"),
        ("X-User-ID: " + "u" * 300, "X-User-ID"),
    ],
)
def test_a_bad_header_is_refused_by_name(serve, header, word):
    assert_refused(ask(serve.port, request("POST", TARGET, GOOD, header)), 400, word)


@pytest.mark.parametrize(
    "header, word",
    [
        ("X-Client-Request-Id: " + "r" * 300, "X-Client-Request-Id"),
        ("X-Client-Request-Id: \xff\xfe", "X-Client-Request-Id"),
        ("X-Session-ID: \xff\xfe", "X-Session-ID"),
        ("X-Client-Request-Id: a\r\nX-Client-Request-Id: b", "X-Client-Request-Id"),
    ],
)
def test_a_bad_header_of_a_chat_is_refused_by_name(serve, header, word):
    assert_refused(ask(serve.port, request("POST", "/chat", b'{"message":"hi"}', header)), 400, word)


@pytest.mark.parametrize(
    "headers",
    [
        [f"X-Flood-{i}: {i}" for i in range(500)],
        ["X-Long: " + "x" * 30_000],
        [f"X-Flood: {'x' * 100}"] * 5000,
        ["X" * 30_000 + ": 1"],
    ],
    ids=["many", "long", "many and long", "a long name"],
)
def test_a_flood_of_headers_is_431(serve, headers):
    with RawConnection(serve.port) as connection:
        connection.send(request("POST", TARGET, GOOD, *headers))
        assert_refused(connection.answer(), (0, 400, 431))  # 0: closed before the client had read the answer
        assert connection.ended(within=10)


def test_headers_without_an_end_are_431_and_closed(serve):
    with RawConnection(serve.port) as connection:
        connection.send(b"POST /feedback HTTP/1.1\r\nHost: x\r\n")
        for i in range(10_000):
            if not connection.send(b"X-Flood-%d: %s\r\n" % (i, b"x" * 200)):
                break
        assert_refused(connection.answer(), (0, 431))


# ── HTTP itself ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _head(*lines: str) -> bytes:
    return "\r\n".join([f"POST {TARGET} HTTP/1.1", "Host: x", *lines]).encode("latin-1") + b"\r\n\r\n"


SMUGGLED = b"POST /feedback?trace_id=" + TRACE.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 19\r\n\r\n" + GOOD

MALFORMED = [
    ("a negative length", _head("Content-Length: -1") + GOOD),
    ("a length with a plus", _head("Content-Length: +19") + GOOD),
    ("a length that is a word", _head("Content-Length: many") + GOOD),
    ("a length that overflows", _head("Content-Length: 99999999999999999999999") + GOOD),
    ("two lengths", _head("Content-Length: 19", "Content-Length: 3") + GOOD),
    ("two lengths in a list", _head("Content-Length: 19, 3") + GOOD),
    ("length and chunks", _head("Content-Length: 4", "Transfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED),
    ("chunks and length", _head("Transfer-Encoding: chunked", "Content-Length: 4") + b"0\r\n\r\n" + SMUGGLED),
    ("an unknown coding", _head("Transfer-Encoding: xchunked", "Content-Length: 19") + GOOD),
    ("chunked, but not last", _head("Transfer-Encoding: chunked, identity") + b"0\r\n\r\n"),
    ("chunked twice", _head("Transfer-Encoding: chunked", "Transfer-Encoding: identity") + b"0\r\n\r\n"),
    ("a space before the colon", _head("Content-Length : 19") + GOOD),
    ("a folded header", _head("X-A: 1", " Content-Length: 19") + GOOD),
    ("a NUL in a header", _head("X-A: a\0b", "Content-Length: 19") + GOOD),
    ("a chunk size that is none", _head("Transfer-Encoding: chunked") + b"zz\r\n" + GOOD + b"\r\n0\r\n\r\n"),
    ("a negative chunk", _head("Transfer-Encoding: chunked") + b"-1\r\n" + GOOD + b"\r\n0\r\n\r\n"),
    ("a chunk that overflows", _head("Transfer-Encoding: chunked") + b"ffffffffffffffffff\r\n" + GOOD),
    ("a chunk longer than said", _head("Transfer-Encoding: chunked") + b"3\r\n" + GOOD + b"\r\n0\r\n\r\n"),
    ("no version", f"POST {TARGET}\r\n\r\n".encode()),
    ("a version to come", f"POST {TARGET} HTTP/9.9\r\nHost: x\r\nContent-Length: 19\r\n\r\n".encode() + GOOD),
    ("HTTP/2 by prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 64),
    ("TLS on a plain port", bytes.fromhex("16030100a5010000a10303") + b"\0" * 160),
    ("a space in the target", b"POST /feedback?trace_id=a b HTTP/1.1\r\nHost: x\r\nContent-Length: 19\r\n\r\n" + GOOD),
    ("bare line feeds", SMUGGLED.replace(b"\r\n", b"\n")),
    ("noise", bytes(range(256)) * 8 + b"\r\n\r\n"),
]


@pytest.mark.parametrize("data", [m[1] for m in MALFORMED], ids=[m[0] for m in MALFORMED])
def test_malformed_http_is_refused_and_its_connection_closed(serve, data):
    with RawConnection(serve.port) as connection:
        connection.send(data)
        answer = connection.answer()
        assert answer.status == 0 or 400 <= answer.status < 500 or answer.status in (501, 505), answer
        assert connection.ended(within=10), "what follows on this connection can't be trusted"


def test_a_body_that_is_cut_off_is_nothing(serve):
    with RawConnection(serve.port) as connection:
        connection.send(_head("Content-Length: 19") + GOOD[:10])
        connection.socket.shutdown(1)
        assert connection.answer().status in (0, 400, 408)


def test_a_body_that_stops_coming_is_408_or_closed(serve):
    with RawConnection(serve.port) as connection:
        connection.send(_head("Content-Length: 19") + GOOD[:10])
        assert connection.answer().status in (0, 408)
        assert connection.ended(within=10)


def test_a_header_that_stops_coming_is_408_or_closed(serve):
    with RawConnection(serve.port) as connection:
        connection.send(b"POST /feedback HTTP/1.1\r\nHost")
        assert connection.answer().status in (0, 408)
        assert connection.ended(within=10)


def test_a_connection_that_says_nothing_and_leaves_does_no_harm(serve):
    for _ in range(50):
        RawConnection(serve.port).close()
    wait_until("they are gone", lambda: serve.metric("assay_ingest_connections") < 10)


# ── drawn ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _mutated(chance: random.Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 3, 8])):
        at = chance.randrange(len(out)) if out else 0
        kind = chance.randrange(6)
        if kind == 0 and out:
            out[at] = chance.randrange(256)
        elif kind == 1 and out:
            del out[at : at + chance.randrange(1, 9)]
        elif kind == 2:
            out[at:at] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 9)))
        elif kind == 3:
            out[at:at] = chance.choice([b"\r\n", b"\0", b"%00", b"&trace_id=x", b'"', b"{", b"[" * 100, b"\xff", b"-1", b"1e999", b"\\ud800"])
        elif kind == 4 and out:
            other = chance.randrange(len(out))
            out[at:at] = out[other : other + chance.randrange(1, 40)]
        elif out:
            del out[at:]
    return bytes(out)


def test_random_mutations_of_good_requests_are_never_a_5xx(tmp_path):
    """Each mutation on a connection of its own; some of them are still good requests, and may be accepted."""
    seed = int(os.environ.get("ASSAY_TEST_SEED", random.SystemRandom().randrange(2**32)))
    print(f"seed {seed} (again: ASSAY_TEST_SEED={seed})")
    chance = random.Random(seed)
    general = b'{"name":"tone","value":{"a":[1,2.5,"x"]},"rationale":"r","metadata":{"k":"v"},"source":{"type":"CODE","id":"c"}}'
    info = {"trace": {"trace_info": {"trace_id": new_trace_id(), "client_request_id": "req-9", "tags": {"a": "b"}}}}
    good = [
        request("POST", TARGET, GOOD),
        request("POST", "/feedback?client_request_id=req-9&user_id=ana", general, "Idempotency-Key: key-1"),
        request("POST", f"/detailed-feedback?trace_id={TRACE}&accuracy=5&helpfulness=3&relevance=1&user_id=ana&comment=a%20b"),
        request("POST", "/feedback/batch", b'[{"trace_id":"tr-1","name":"n","value":1},{"client_request_id":"c","is_correct":true}]'),
        request("PATCH", "/feedback/a-" + "0" * 32, b'{"value":2,"rationale":null}'),
        request("DELETE", "/feedback/a-" + "0" * 32),
        request("GET", "/feedback/a-" + "0" * 32),
        request("POST", "/chat", b'{"message":"hi","tags":{"a":"b"}}', "X-Session-ID: s", "X-Client-Request-Id: req-9"),
        request("POST", "/chat/stream", b'{"message":"hi"}'),
        request("POST", "/api/3.0/mlflow/traces", json.dumps(info).encode()),
        request("GET", f"/api/3.0/mlflow/traces/{TRACE}"),
    ]
    with Assay("serve", "--header-timeout", "1s", "--body-timeout", "1s", "--idle-timeout", "1s", home=tmp_path).start() as serve:
        waiting: list[tuple[bytes, RawConnection]] = []
        for _ in range(600):
            data = _mutated(chance, chance.choice(good))
            connection = RawConnection(serve.port)
            connection.send(data)
            waiting.append((data, connection))
        for data, connection in waiting:
            with connection:
                try:
                    answer = connection.answer()
                except TimeoutError:
                    raise AssertionError(f"seed {seed}: neither an answer nor an end for {data!r}") from None
            assert answer.status < 500 or answer.status in (501, 505), f"seed {seed}: {answer.status} {answer.body!r} for {data!r}"
        assert serve.running, serve.tail()
        assert serve.metric("assay_ingest_handler_failures_total") == 0
        request_id = new_request_id()
        early = accepted(serve.http.post("/feedback", params={"client_request_id": request_id}, json={"is_correct": True}))
        post_trace(serve.http, new_trace_id(), request_id)
        wait_state(serve.http, early, "committed")
        wait_until("counters settled", lambda: serve.metric("assay_unaccounted") == 0)
