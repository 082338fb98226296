"""React components as a guide for feedback shows them, bundled as they stand and used in Chromium, each at the server's own address:
ours in tests/e2e/guide/react, and a guide's own where ../shared/guide/react has them."""

import re
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from support.assay import Assay
from support.browser import SCREENSHOTS, chromium
from support.fake_model import FakeModel
from support.paths import ROOT
from support.waiting import wait_until

MODULES = ROOT / "build" / "web" / "work" / "node_modules"  # what the page is made with; ops/build leaves it
OURS = Path(__file__).parent / "guide" / "react"
THEIRS = ROOT.parent / "shared" / "guide" / "react"
KINDS = [pytest.param(OURS, id="ours"), pytest.param(THEIRS, id="theirs", marks=pytest.mark.skipif(not THEIRS.is_dir(), reason="no ../shared here"))]


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def component(browser: Browser, tmp_path: Path):
    """Mounts a component of a folder on a page of the server's own address, with nothing beside it."""
    pages: list[Page] = []
    errors: list[str] = []

    def mount(folder: Path, name: str, server: Assay) -> Page:
        entry = tmp_path / "entry.jsx"
        entry.write_text(
            f'import React from "react";\nimport {{ createRoot }} from "react-dom/client";\nimport {{ {name} }} from "{folder / name}.jsx";\n'
            f'createRoot(document.getElementById("root")).render(<{name} />);\n'
        )
        bundle = [MODULES / ".bin" / "esbuild", entry, "--bundle", "--loader:.jsx=jsx", '--define:process.env.NODE_ENV="production"']
        made = subprocess.run(bundle, capture_output=True, env={"NODE_PATH": str(MODULES), "PATH": "/usr/bin:/bin"}, timeout=60, check=False)
        assert made.returncode == 0, made.stderr.decode()
        pages.append(browser.new_page())
        pages[-1].on("pageerror", lambda error: errors.append(str(error)))
        pages[-1].on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        pages[-1].route("**/component.html", lambda route: route.fulfill(content_type="text/html", body='<!doctype html><div id="root"></div><script src="component.js"></script>'))
        pages[-1].route("**/component.js", lambda route: route.fulfill(content_type="text/javascript", body=made.stdout))
        pages[-1].route("**/favicon.ico", lambda route: route.fulfill(status=204))
        pages[-1].goto(f"{server.url}/component.html")
        return pages[-1]

    yield mount
    for page in pages:
        page.close()
    assert errors == []


def ask(page: Page, question: str) -> None:
    page.get_by_role("textbox").fill(question)
    page.get_by_role("button", name="Send").click()


def traces(server: Assay) -> list[dict]:
    found = server.http.post("/api/3.0/mlflow/traces/search", json={"locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}]})
    return found.raise_for_status().json().get("traces", [])


def opinions(server: Assay) -> list[tuple]:
    """Of every trace, newest first: what is said of it, and by whom."""
    return [tuple((a["feedback"]["value"], a["source"].get("source_id")) for a in trace.get("assessments", [])) for trace in traces(server)]


@pytest.mark.parametrize("folder", KINDS)
def test_a_whole_answer_and_its_thumb(assay, component, folder):
    server = assay("serve")
    page = component(folder, "ChatWithFeedback", server)
    ask(page, "Is water wet?")
    expect(page.get_by_text("You said: Is water wet?")).to_be_visible()
    page.get_by_role("button", name="👎").click()
    expect(page.get_by_role("button", name="👍")).to_be_disabled()
    wait_until("the thumb is on its trace", lambda: opinions(server) == [((False, "user-1"),)])
    ask(page, "And ice?")
    expect(page.get_by_text("You said: And ice?")).to_be_visible()
    page.get_by_role("button", name="👍").click()
    wait_until("each answer has its own", lambda: opinions(server) == [((True, "user-1"),), ((False, "user-1"),)])


@pytest.mark.parametrize("folder", KINDS)
def test_a_conversation_by_request_ids(assay, component, folder):
    server = assay("serve")
    page = component(folder, "ChatWithRequestTracking", server)
    for number, question in enumerate(("One?", "Two?", "Three?"), 1):
        ask(page, question)
        expect(page.locator(".conversation")).to_have_count(number)
    page.locator(".conversation", has_text="Two?").get_by_role("button", name="👎").click()
    page.locator(".conversation", has_text="One?").get_by_role("button", name="👍").click()
    wait_until("two of three are judged", lambda: opinions(server) == [(), ((False, "user-1"),), ((True, "user-1"),)])
    expect(page.get_by_role("button", name="👍", disabled=False)).to_have_count(1)
    sessions = {trace["trace_metadata"]["mlflow.trace.session"] for trace in traces(server)}
    assert len(sessions) == 1 and re.fullmatch(r"session-\d+", sessions.pop())
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"guide-react-{'theirs' if folder == THEIRS else 'ours'}.png")


@pytest.mark.parametrize("folder", KINDS)
def test_a_streamed_answer_can_be_judged_when_it_is_done(assay, component, folder):
    server = assay("serve", "--builtin-pause", "20ms")
    page = component(folder, "StreamingChatWithFeedback", server)
    ask(page, "Will it come in pieces?")
    page.get_by_role("button", name="👍").click()
    wait_until("the thumb is on its trace", lambda: opinions(server) == [((True, None),)])
    assert traces(server)[0]["state"] == "OK"


@pytest.mark.parametrize("folder", KINDS)
def test_a_broken_stream_is_said_by_the_component(assay, component, folder):
    def broken():
        yield "Once"
        raise ConnectionAbortedError

    with FakeModel(broken) as model:
        server = assay("serve", "--model-url", model.url)
        page = component(folder, "StreamingChatWithFeedback", server)
        ask(page, "Tell me a tale")
        expect(page.locator(".error-message")).to_be_visible()
        expect(page.get_by_role("button", name="👍")).to_have_count(0)
        assert traces(server)[0]["state"] == "ERROR"
