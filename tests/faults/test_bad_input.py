"""Bad input of every kind: a clear 4xx that names the field, never a 5xx, and nothing of it in the log."""

import pytest

from support.raw_http import RawConnection, ask, request
from support.refusals import GOOD, TARGET, TRACE, assert_refused, serve, unharmed  # noqa: F401


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
    ("Infinity", b'{"name":"n","value":-Infinity}', 400, "value"),
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
    ("a NUL in the comment", b'{"is_correct":true,"comment":"a\\u0000b"}', 422, "comment"),
    ("a span of 51", b'{"name":"n","value":1,"span_id":"%s"}' % (b"s" * 51), 422, "span_id"),
    ("an empty span", b'{"name":"n","value":1,"span_id":""}', (400, 422), "span_id"),
]


@pytest.mark.parametrize("body, status, word", [b[1:] for b in BODIES], ids=[b[0] for b in BODIES])
def test_a_bad_body_is_refused_by_name(serve, body, status, word):
    assert_refused(ask(serve.port, request("POST", TARGET, body)), status, word)


@pytest.mark.parametrize("method, target", [("POST", TARGET), ("POST", "/feedback/batch"), ("PATCH", "/feedback/a-1"), ("POST", "/chat"), ("POST", "/capabilities")])
def test_a_form_or_a_packed_body_is_said_to_be_one(serve, method, target):
    form = request(method, target, b"is_correct=true", content_type="application/x-www-form-urlencoded")
    assert_refused(ask(serve.port, form), 415, "JSON is needed, not a form")
    parts = request(method, target, b"--x\r\n", content_type="multipart/form-data; boundary=x")
    assert_refused(ask(serve.port, parts), 415, "JSON is needed, not multipart")
    assert_refused(ask(serve.port, request(method, target, b"\x1f\x8b\x08", "Content-Encoding: gzip")), 415, "Content-Encoding")


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
    b'{"trace":{"trace_info":{"trace_id":"tr-2","client_request_id":"a\\u0000b"}}}',
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
    ("no id yet", "/feedback?trace_id=undefined", 422, "the page had none yet"),
    ("an object for an id", "/feedback?client_request_id=%5Bobject%20Object%5D", 422, "the page had none yet"),
    ("white space around an id", f"/feedback?trace_id={TRACE}%20", 422, "white space"),
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


def test_a_number_that_nobody_can_read_is_refused_by_name(serve):
    for number in (b"1e999", b"123456789012345678901234567890"):
        assert_refused(ask(serve.port, request("POST", TARGET, b'{"name":"n","value":' + number + b"}")), (400, 422), "value")


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
