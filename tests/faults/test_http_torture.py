"""Malformed and ambiguous HTTP: refused, or read as nginx and haproxy read it; never read as two requests. Alone, and behind both."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.assay import Assay
from support.proxies import Proxy
from support.raw_http import Answer, RawConnection, ask, request
from support.torture import PAYLOADS
from support.waiting import wait_until


@pytest.fixture(scope="module")
def door(tmp_path_factory) -> Assay:
    flags = ("--header-timeout", "1s", "--body-timeout", "1s", "--idle-timeout", "60s")
    with Assay("serve", *flags, home=tmp_path_factory.mktemp("torture")) as door:
        yield door.start()


@pytest.fixture(scope="module")
def proxies(door, tmp_path_factory):
    home = tmp_path_factory.mktemp("proxies")
    with Proxy("nginx", door.port, home) as nginx, Proxy("haproxy", door.port, home) as haproxy:
        yield [nginx, haproxy]


def first_answers(port: int) -> dict[str, Answer]:
    def one(data: bytes) -> Answer:
        try:
            return ask(port, data, timeout=20)
        except TimeoutError:
            return Answer(-1)

    with ThreadPoolExecutor(16) as pool:
        return dict(zip(PAYLOADS, pool.map(one, PAYLOADS.values()), strict=True))


def smuggled(door: Assay) -> float:
    """How often what was carried along was taken for a request: it asks about nobody else's client_request_id. Who asks for the figures that often may get
    the last page: one that has counted more requests for it was made since."""

    def page() -> tuple[float, float]:
        made = door.metrics()
        asked = sum(v for k, v in made.items() if k.startswith("assay_ingest_requests_total{") and 'route="GET /metrics"' in k)
        return asked, sum(v for k, v in made.items() if k.split("{", 1)[0] == "assay_ingest_assessments_total")

    first = page()[0]
    return wait_until("a page is made anew", lambda: next(((taken,) for asked, taken in (page(),) if asked > first), None))[0]


def test_there_are_enough_of_them():
    assert len(PAYLOADS) >= 150


def test_each_is_refused_or_read_as_nginx_or_haproxy_reads_it(door, proxies):
    direct = first_answers(door.port)
    through = [first_answers(proxy.port) for proxy in proxies]
    wrong = []
    for name, answer in direct.items():
        refused = answer.status == 0 or 400 <= answer.status < 500 or answer.status in (501, 505)
        others = [answers[name].status for answers in through]
        if not refused and not any(200 <= other < 300 for other in others):
            wrong.append(f"{name}: {answer.status}, nginx and haproxy: {others}")
    assert not wrong, "\n".join(wrong)
    assert door.running and door.metric("assay_ingest_handler_failures_total") == 0


def test_what_is_refused_closes_the_connection_and_nothing_behind_it_is_read(door):
    for name, data in PAYLOADS.items():
        before = smuggled(door)
        with RawConnection(door.port) as connection:
            connection.send(data)
            answer = connection.answer()
            if answer.status in (400, 408, 413, 414, 431) and answer.closed:
                assert connection.ended(5), name
                assert smuggled(door) == before, f"{name}: what followed was taken for a request"
            else:  # what follows is a request of its own: answered before the next one begins
                connection.finish()
                connection.ended(10)


@pytest.mark.parametrize("which", [0, 1], ids=["nginx", "haproxy"])
def test_behind_a_proxy_each_client_gets_its_own_answer(door, proxies, which):
    """Connections between proxy and door are shared: an answer too many, or too few, would come to somebody else."""
    port = proxies[which].port

    def own_answer() -> None:
        trace = f"tr-{uuid.uuid4().hex}"
        answer = ask(port, request("GET", f"/api/3.0/mlflow/traces/{trace}"), timeout=20)
        assert answer.status == 404 and trace.encode() in answer.body, f"after {name}: {answer.status} {answer.body[:200]!r}"

    for name, data in PAYLOADS.items():
        with RawConnection(port, timeout=20) as connection:
            connection.send(data)
            own_answer()
            own_answer()
    wait_until("nothing is in flight", lambda: door.metric("assay_ingest_in_flight_requests") == 1 or door.metrics()["assay_ingest_in_flight_requests"] <= 1)


def test_heads_of_every_length_are_read_whole(door):
    """A connection begins with room for a small request: what is longer must not be cut, mixed up or refused."""
    good = b'{"is_correct":true}'
    pads = [0, *range(1000, 1300, 7), 3_000, 8_000, 15_000]
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(good), good)
    for fresh in (True, False):
        connection = RawConnection(door.port)
        for pad in pads:
            if fresh:
                connection.close()
                connection = RawConnection(door.port)
            ids = [f"req-{uuid.uuid4().hex}" for _ in range(2)]
            heads = [f"POST /feedback?client_request_id={one} HTTP/1.1\r\nHost: x\r\nX-Pad: {'p' * pad}\r\n".encode() for one in ids]
            whole = heads[0] + b"Content-Length: %d\r\n\r\n" % len(good) + good + heads[1] + b"Transfer-Encoding: chunked\r\n\r\n" + chunked
            middle = len(heads[0]) - 2
            for piece in (whole[:middle], whole[middle:]):
                assert connection.send(piece)
            for one in ids:
                answer = connection.answer()
                assert answer.status == 202 and answer.json()["client_request_id"] == one, (pad, fresh, answer)
        connection.close()


@pytest.mark.parametrize("lines, head", [(40_000, 0), (16_300, 6_000), (4_090, 15_000)])
def test_empty_lines_before_a_request_are_no_work_without_an_end(door, lines, head):
    """Each of these once kept a thread busy for ever: there was no room left to read into, and no end to the reading."""
    request = f"GET /livez HTTP/1.1\r\nHost: x\r\nX-Pad: {'p' * head}\r\n\r\n".encode()
    with RawConnection(door.port) as connection:
        connection.send(b"\r\n" * lines + request)
        assert connection.answer().status == (200 if lines < 4_096 else 400)
        if lines > 4_096:
            assert connection.ended(within=20)
