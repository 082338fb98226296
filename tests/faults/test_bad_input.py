"""Bad input of every kind: a clear 4xx that names the field, never a 5xx, and nothing of it in the log."""

import json
import os
import random

import pytest

from support.assay import Assay
from support.door import accepted, assessments, new_request_id, new_trace_id, post_trace, wait_state
from support.raw_http import Answer, RawConnection, ask, request
from support.waiting import wait_until

TRACE = "tr-" + "1" * 32
TARGET = f"/feedback?trace_id={TRACE}"
GOOD = b'{"is_correct":true}'


@pytest.fixture(scope="module")
def serve(tmp_path_factory) -> Assay:
    """One for all: what one test does to it must not hurt the next."""
    flags = ("--header-timeout", "1500ms", "--body-timeout", "1500ms")
    with Assay("serve", *flags, home=tmp_path_factory.mktemp("bad-input")).start() as serve:
        post_trace(serve.http, TRACE)
        yield serve


@pytest.fixture(autouse=True)
def unharmed(serve):
    """Around each test: nothing reached the log, and the next good feedback is taken and committed."""
    before = _accepted_so_far(serve)
    yield
    assert serve.running, serve.tail()
    assert _accepted_so_far(serve) == before, "something of it was accepted"
    marker = accepted(serve.http.post("/feedback", params={"trace_id": TRACE}, json={"name": "marker", "value": 1}))
    wait_state(serve.http, marker, "committed")
    assert {a["assessment_name"] for a in assessments(serve.http, TRACE).values()} == {"marker"}
    assert serve.metric("assay_ingest_handler_failures_total") == 0


def _accepted_so_far(serve: Assay) -> float:
    return serve.metric("assay_ingest_assessments_total")


def assert_refused(answer: Answer, status: int | tuple[int, ...], *words: str) -> None:
    allowed = (status,) if isinstance(status, int) else status
    assert answer.status in allowed, f"{answer.status} {answer.body[:300]!r}"
    if answer.headers.get("content-type") == "application/problem+json":
        problem = json.loads(answer.body)  # valid UTF-8 and JSON, whatever was sent
        assert problem["status"] == answer.status and problem.get("detail"), problem
    text = answer.body.decode()
    for word in words:
        assert word in text, f"{word!r} is not named: {text}"


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

BODIES = [
    ("empty", b"", 400, "body"),
    ("not JSON", b"is_correct=true", 400, "body"),
    ("cut off", b'{"is_correct":tr', 400, "body"),
    ("two documents", b'{"is_correct":true}{"is_correct":true}', 400, "body"),
    ("broken UTF-8", b'{"is_correct":true,"comment":"\xff\xfe"}', 400, "UTF-8"),
    ("overlong UTF-8", b'{"is_correct":true,"comment":"\xc0\xaf"}', 400, "UTF-8"),
    ("a lone surrogate", b'{"is_correct":true,"comment":"\\ud800"}', (400, 422), ""),
    ("a raw NUL", b'{"is_correct":true,"comment":"a\x00b"}', 400, "body"),
    ("UTF-16", '{"is_correct":true}'.encode("utf-16"), 400, "body"),
    ("deep lists", b'{"name":"n","value":' + b"[" * 5000 + b"]" * 5000 + b"}", 400, "nested"),
    ("deep objects", b'{"a":' * 5000 + b"1" + b"}" * 5000, 400, "nested"),
    ("deep and never closed", b"[" * 60_000, 400, "body"),
    ("a huge number", b'{"name":"n","value":1e999}', 400, "number"),
    ("a huge integer", b'{"name":"n","value":' + b"9" * 400 + b"}", 400, "number"),
    ("NaN", b'{"name":"n","value":NaN}', 400, "body"),
    ("Infinity", b'{"name":"n","value":-Infinity}', 400, "body"),
    ("a list", b"[true]", 422, "object"),
    ("a string", b'"true"', 422, "object"),
    ("null", b"null", 422, "object"),
    ("an empty object", b"{}", 422, "is_correct"),
    ("yes for true", b'{"is_correct":"yes"}', 422, "is_correct"),
    ("1 for true", b'{"is_correct":1}', 422, "is_correct"),
    ("null for true", b'{"is_correct":null}', 422, "is_correct"),
    ("a number as comment", b'{"is_correct":true,"comment":7}', 422, "comment"),
    ("a comment that is too long", b'{"is_correct":true,"comment":"%s"}' % (b"x" * 40_000), (413, 422), "comment"),
    ("a field twice", b'{"is_correct":true,"is_correct":false}', 422, "is_correct"),
    ("an unknown field", b'{"is_correct":true,"is_corect":true}', 422, "is_corect"),
    ("a name without a value", b'{"name":"n"}', 422, "value"),
    ("a null value", b'{"name":"n","value":null}', 422, "value"),
    ("a value without a name", b'{"value":1}', 422, "name"),
    ("an empty name", b'{"name":"","value":1}', 422, "name"),
    ("a name of 300", b'{"name":"%s","value":1}' % (b"n" * 300), 422, "name"),
    ("a NUL in the name", b'{"name":"a\\u0000b","value":1}', 422, "name"),
    ("a number as name", b'{"name":7,"value":1}', 422, "name"),
    ("metadata of numbers", b'{"name":"n","value":1,"metadata":{"a":1}}', 422, "metadata"),
    ("metadata as a list", b'{"name":"n","value":1,"metadata":[]}', 422, "metadata"),
    ("an unknown source", b'{"name":"n","value":1,"source":{"type":"DOG"}}', 422, "source"),
    ("a source without a type", b'{"name":"n","value":1,"source":{"id":"x"}}', 422, "source"),
    ("an empty span", b'{"name":"n","value":1,"span_id":""}', (400, 422), "span_id"),
]


@pytest.mark.parametrize("body, status, word", [b[1:] for b in BODIES], ids=[b[0] for b in BODIES])
def test_a_bad_body_is_refused_by_name(serve, body, status, word):
    assert_refused(ask(serve.port, request("POST", TARGET, body)), status, word)


CHAT_BODIES = [
    (b"", 400, "body"),
    (b"{}", 422, "message"),
    (b'{"message":7}', 422, "message"),
    (b'{"message":null}', 422, "message"),
    (b'{"message":""}', 422, "message"),
    (b'{"message":"hi","tags":[]}', 422, "tags"),
    (b'{"message":"hi","tags":{"a":1}}', 422, "tags"),
    (b'{"message":"\xff"}', 400, "body"),
    (b"[" * 30_000, 400, "body"),
]


@pytest.mark.parametrize("path", ["/chat", "/chat/stream"])
@pytest.mark.parametrize("body, status, word", CHAT_BODIES)
def test_a_bad_chat_is_refused_before_the_model_is_asked(serve, path, body, status, word):
    assert_refused(ask(serve.port, request("POST", path, body)), status, word)


TRACE_BODIES = [
    b"",
    b"[]",
    b"{}",
    b'{"trace":7}',
    b'{"trace":{"trace_info":{}}}',
    b'{"trace":{"trace_info":{"trace_id":""}}}',
    b'{"trace":{"trace_info":{"trace_id":7}}}',
    b'{"trace":{"trace_info":{"trace_id":"tr-2","client_request_id":""}}}',
    b'{"trace":{"trace_info":{"trace_id":"tr-2","client_request_id":7}}}',
    b'{"trace":{"trace_info":{"trace_id":"tr-2","tags":7}}}',
    b'{"trace":{"trace_info":{"trace_id":"\xff"}}}',
    b'{"trace":' * 2000,
]


@pytest.mark.parametrize("body", TRACE_BODIES)
def test_a_bad_trace_is_refused_in_mlflows_words(serve, body):
    answer = ask(serve.port, request("POST", "/api/3.0/mlflow/traces", body))
    assert_refused(answer, 400)
    assert answer.json()["error_code"] and answer.json()["message"]


@pytest.mark.parametrize("method, path", [("POST", "/feedback"), ("POST", "/feedback/batch"), ("POST", "/chat"), ("PATCH", "/feedback/a-1")])
def test_a_body_of_ten_megabytes_is_413(serve, method, path):
    """The refusal comes before the body: the client may find the connection closed while it still writes."""
    target = TARGET if path == "/feedback" else path
    head = request(method, target).replace(b"Content-Length: 0", b"Content-Length: 10485760")
    with RawConnection(serve.port) as connection:
        connection.send(head)
        assert_refused(connection.answer(), 413)
        for _ in range(160):
            if not connection.send(b"x" * 65536):
                break
        assert connection.ended(within=10), "a body that nobody wants is not read for ever"


def test_a_chunked_body_without_end_is_413(serve):
    with RawConnection(serve.port) as connection:
        connection.send(request("POST", TARGET, b"", "Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b""))
        for _ in range(200):
            if not connection.send(b"10000\r\n" + b" " * 65536 + b"\r\n"):
                break
        assert_refused(connection.answer(), (0, 413))


# ── targets ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

TARGETS = [
    ("no id", "/feedback", 400, "client_request_id"),
    ("both ids", f"/feedback?trace_id={TRACE}&client_request_id=req-1", 400, "trace_id"),
    ("an empty trace_id", "/feedback?trace_id=", 400, "trace_id"),
    ("an empty client_request_id", "/feedback?client_request_id=", 400, "client_request_id"),
    ("an id without =", "/feedback?trace_id", 400, "trace_id"),
    ("an id of 251 bytes", "/feedback?client_request_id=" + "x" * 251, 400, "client_request_id"),
    ("an id twice", f"/feedback?trace_id={TRACE}&trace_id={TRACE}", 400, "trace_id"),
    ("an id twice, once encoded", f"/feedback?trace_id={TRACE}&trace%5Fid={TRACE}", 400, "trace_id"),
    ("user_id twice", f"{TARGET}&user_id=a&user_id=b", 400, "user_id"),
    ("an empty user_id", f"{TARGET}&user_id=", 400, "user_id"),
    ("a NUL in an id", "/feedback?client_request_id=a%00b", 400, "client_request_id"),
    ("a newline in an id", "/feedback?client_request_id=a%0d%0ab", 400, "client_request_id"),
    ("broken UTF-8 in an id", "/feedback?client_request_id=%ff%fe", 400, "UTF-8"),
    ("raw bytes in an id", "/feedback?client_request_id=\xff\xfe", 400, ""),
    ("half a percent", "/feedback?client_request_id=%4", 400, "query"),
    ("a percent that is none", "/feedback?client_request_id=%zz", 400, "query"),
    ("a request line of 20 kB", "/feedback?client_request_id=" + "x" * 20_000, 414, ""),
]


@pytest.mark.parametrize("target, status, word", [t[1:] for t in TARGETS], ids=[t[0] for t in TARGETS])
def test_a_bad_query_is_refused_by_name(serve, target, status, word):
    assert_refused(ask(serve.port, request("POST", target, GOOD)), status, word)


@pytest.mark.parametrize(
    "query, word",
    [
        ("accuracy=5&helpfulness=3&user_id=a", "relevance"),
        ("accuracy=0&helpfulness=3&relevance=1&user_id=a", "accuracy"),
        ("accuracy=6&helpfulness=3&relevance=1&user_id=a", "accuracy"),
        ("accuracy=5.0&helpfulness=3&relevance=1&user_id=a", "accuracy"),
        ("accuracy=+5&helpfulness=3&relevance=1&user_id=a", "accuracy"),
        ("accuracy=99999999999999999999&helpfulness=3&relevance=1&user_id=a", "accuracy"),
        ("accuracy=&helpfulness=3&relevance=1&user_id=a", "accuracy"),
        ("accuracy=5&accuracy=5&helpfulness=3&relevance=1&user_id=a", "accuracy"),
        ("accuracy=5&helpfulness=3&relevance=1", "user_id"),
    ],
)
def test_a_bad_score_is_refused_by_name(serve, query, word):
    assert_refused(ask(serve.port, request("POST", f"/detailed-feedback?trace_id={TRACE}&{query}")), (400, 422), word)


@pytest.mark.parametrize(
    "body, status",
    [(b"", 400), (b"7", 422), (b'"x"', 422), (b"[" * 5000, 400), (b"[" + b"{}," * 1500 + b"{}]", 413), (b'[{"is_correct":true}', 400)],
)
def test_a_batch_that_is_none_is_refused_whole(serve, body, status):
    answer = ask(serve.port, request("POST", "/feedback/batch", body))
    if answer.status == 207:  # one document a line, and none of them any good
        results = answer.json()["results"]
        assert results and all(400 <= r["status"] < 500 for r in results), results
    else:
        assert_refused(answer, (status, 400, 422))


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("GET", "/feedback", 405),
        ("PUT", TARGET, 405),
        ("DELETE", "/feedback", 405),
        ("POST", "/feedback/a-1", 405),
        ("GET", "/chat", 405),
        ("TRACE", "/chat", (400, 405, 501)),
        ("CONNECT", "127.0.0.1:80", (400, 404, 405, 501)),
        ("OPTIONS", "*", (400, 404, 405, 501)),
        ("BREW", "/chat", (400, 405, 501)),
        ("GET", "/no-such-path", 404),
        ("GET", "/feedback/a-1/more", 404),
        ("GET", "/feedback/%2e%2e/%2e%2e/etc/passwd", 404),
        ("GET", "/../../etc/passwd", (400, 404)),
        ("GET", "//feedback", 404),
        ("GET", "/feedback/" + "%00" * 3, (400, 404)),
        ("GET", "/feedback/%ff", (400, 404)),
        ("GET", "/feedback/%", (400, 404)),
        ("PATCH", "/feedback/a-1%zz", (400, 404)),
        ("GET", "feedback/a-1", (400, 404)),
        ("GET", "http://127.0.0.1/no-such-path", (400, 404)),
    ],
)
def test_a_wrong_method_or_path_is_refused(serve, method, path, status):
    answer = ask(serve.port, request(method, path, GOOD if method in ("PUT", "PATCH", "POST") else b""))
    assert_refused(answer, status)
    if answer.status == 405:
        assert answer.headers["allow"]


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
