"""What the tests of bad input share: one `assay serve` for all of a module, which must come out of each unharmed."""

import json
import time
from collections.abc import Iterator

import pytest

from .assay import Assay
from .door import accepted, assessments, post_trace, wait_state
from .raw_http import Answer

TRACE = "tr-" + "1" * 32
TARGET = f"/feedback?trace_id={TRACE}"
GOOD = b'{"is_correct":true}'


@pytest.fixture(scope="module")
def serve(tmp_path_factory) -> Iterator[Assay]:
    """One for all: what one test does to it must not hurt the next."""
    flags = ("--header-timeout", "1500ms", "--body-timeout", "1500ms")
    with Assay("serve", *flags, home=tmp_path_factory.mktemp("bad-input")).start() as serve:
        post_trace(serve.http, TRACE)
        yield serve


@pytest.fixture(autouse=True)
def unharmed(serve) -> Iterator[None]:
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
    time.sleep(0.04)  # who asks for /metrics more often than 50 times a second is given the last page once more
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
