"""What the tests of the page share: a browser's tab at a server, what the server has of it, models and servers that hold back or refuse."""

import json
import re
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from .assay import Assay
from .browser import Tab, chromium
from .keys import create_key


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def tab(browser: Browser, request: pytest.FixtureRequest):
    """Opens the page of a server in a profile of its own; nothing may have gone wrong in it at the end."""
    opened: list[Tab] = []
    contexts = []

    def open_tab(server: Assay, **options) -> Tab:
        context = browser.new_context(**options)
        contexts.append(context)
        opened.append(Tab(context, server.url))
        return opened[-1].open()

    yield open_tab
    for context in contexts:
        context.close()
    errors = [error for tab in opened for error in tab.errors]
    assert not errors, errors


def trace_of(server: Assay, tab: Tab, question: str) -> dict:
    """The trace of a question's answer as the server has it."""
    turns = json.loads(tab.page.evaluate("localStorage.getItem('assay.conversation')"))
    return info_of(server, next(turn["traceId"] for turn in reversed(turns) if turn["question"] == question))


def info_of(server: Assay, trace_id: str) -> dict:
    return server.http.get(f"/api/3.0/mlflow/traces/{trace_id}").raise_for_status().json()["trace"]["trace_info"]


def said_of(server: Assay, tab: Tab, question: str) -> dict[str, list]:
    """Every valid assessment of an answer: name -> values."""
    return said_in(trace_of(server, tab, question))


def said_in(info: dict) -> dict[str, list]:
    said: dict[str, list] = {}
    for assessment in info.get("assessments", []):
        said.setdefault(assessment["assessment_name"], []).append(assessment["feedback"]["value"])
    return said


def public(assay, *flags: str) -> Assay:
    """A door where nobody may say what he thinks of an answer without its token."""
    server = assay("serve", "--require-keys", "--anonymous", "chat,read", *flags, start=False)
    create_key(server, "app", "feedback")
    return server.start()


class Tale:
    """A model that says "Once" and waits for the test before it goes on."""

    def __init__(self):
        self.told = threading.Event()

    def __call__(self):
        yield "Once"
        self.told.wait(60)
        yield " upon a time."


STREAM = re.compile("/chat/stream/tr-")  # where an answer goes on, and is stopped


def streams_of(page: Page) -> list[tuple[str, int]]:
    """Fills with method and status of each answer that comes from there."""
    seen: list[tuple[str, int]] = []
    page.on("response", lambda answer: seen.append((answer.request.method, answer.status)) if STREAM.search(answer.url) else None)
    return seen


def refuse_once(page: Tab, path: str) -> None:
    page.page.route(re.compile(path), lambda route: route.fulfill(status=422, json={"detail": "comment: it is too long"}), times=1)
