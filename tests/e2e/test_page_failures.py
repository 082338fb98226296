"""The page in a real browser, when the server is away, full, killed in the middle, or says no."""

import json
import re
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect
from support.browser import Tab
from support.fake_model import FakeModel
from support.keys import create_key
from support.page import Tale, browser, public, said_of, tab, trace_of  # noqa: F401 - fixtures
from support.waiting import wait_until


def test_feedback_given_while_the_server_is_away_is_kept_and_arrives_once(assay, tab):
    server = assay("serve")
    page = tab(server)
    turn = page.answered("Are you there?")
    server.kill9()
    turn.get_by_role("button", name="Good answer").click()
    expect(page.page.get_by_text("can't be reached")).to_be_visible()
    expect(page.page.get_by_text("1 waiting")).to_be_visible()
    page.screenshot("server-away")
    server.start()
    expect(page.page.get_by_text("1 waiting")).to_be_hidden(timeout=30_000)
    assert said_of(server, page, "Are you there?") == {"user_feedback": [True]}


def test_a_server_that_dies_before_its_answer_arrives_has_the_feedback_once(assay, tab):
    """The browser never hears the answer to what was accepted, and sends it again with the same key."""
    server = assay("serve")
    page = tab(server)
    turn = page.answered("Twice?")

    def swallow(route) -> None:
        route.fetch()  # it arrives, and is accepted …
        route.abort()  # … and nobody is told

    page.page.route(re.compile(r"/feedback\?"), swallow, times=1)
    with page.page.expect_event("requestfailed"):
        turn.get_by_role("button", name="Good answer").click()
    server.restart_after_kill9()
    expect(turn.get_by_text("Thank you!")).to_be_visible(timeout=30_000)
    assert said_of(server, page, "Twice?") == {"user_feedback": [True]}


def test_a_server_killed_in_mid_stream_leaves_words_and_a_way_on(assay, tab):
    held = threading.Event()

    def tokens():
        yield "Half an answer"
        if not held.is_set():
            held.wait(60)

    with FakeModel(tokens) as model:
        server = assay("serve", "--model-url", model.url)
        page = tab(server)
        turn = page.ask("Finish this")
        expect(turn.locator(".answer")).to_contain_text("Half an answer")
        server.kill9()
        expect(turn.get_by_text("Picking the answer up again")).to_be_visible()
        server.start()
        expect(turn.get_by_role("alert")).to_contain_text("cut off", timeout=30_000)
        page.screenshot("cut-off")
        assert trace_of(server, page, "Finish this")["state"] == "ERROR"
        held.set()
        turn.get_by_role("button", name="Ask again").click()
        page.turn("Finish this").get_by_role("button", name="Good answer").wait_for()


def test_a_full_server_is_said_in_plain_words(assay, tab):
    server = assay("serve")
    page = tab(server)
    page.page.route("**/chat/stream", lambda route: route.fulfill(status=503, headers={"Retry-After": "1"}, json={"title": "x"}))
    turn = page.ask("Room?")
    expect(turn.get_by_role("alert")).to_contain_text("full")


@pytest.mark.parametrize(("retry_after", "words"), [("1", "a second"), ("42", "42 seconds"), ("150", "3 minutes"), (None, "a moment")])
def test_who_asks_too_much_is_told_how_long_to_wait(assay, tab, retry_after: str | None, words: str):
    page = tab(assay("serve"))
    headers = {"Retry-After": retry_after} if retry_after else {}
    page.page.route("**/chat/stream", lambda route: route.fulfill(status=429, headers=headers, json={"title": "x"}))
    expect(page.ask("Room?").get_by_role("alert")).to_contain_text(f"That was a lot in a short time. Please wait {words}.")


@pytest.mark.parametrize(("limit", "words"), [(("--answer-max", "64KB"), "the answer grew longer"), (("--chat-max", "1s"), "the answer took longer")], ids=["length", "time"])
def test_an_answer_over_a_bound_of_the_server_says_so_without_its_flags(assay, tab, limit: tuple[str, str], words: str):
    tale = Tale()
    with FakeModel(tale if limit[0] == "--chat-max" else lambda: ["a word " * 1000] * 10) as model:
        turn = tab(assay("serve", "--model-url", model.url, *limit)).ask("Go on")
        expect(turn.get_by_role("alert")).to_have_text(f"{words} than this server allows Ask again")
        tale.told.set()


def broken() -> Iterator[str]:
    yield "Half an answer"
    raise ConnectionError


def test_an_answer_that_broke_off_can_be_rated_with_its_token(assay, tab):
    with FakeModel(broken) as model:
        server = public(assay, "--model-url", model.url)
        page = tab(server)
        turn = page.ask("Finish this")
        expect(turn.get_by_role("alert")).to_contain_text("Ask again")
        turn.get_by_role("button", name="Bad answer").click()
        expect(turn.get_by_text("Thank you. What was wrong?")).to_be_visible()
        wait_until("it is taken", lambda: said_of(server, page, "Finish this") == {"user_feedback": [False]})
        page.screenshot("broke-off")


def test_an_answer_whose_server_has_died_can_be_rated_with_its_token(assay, tab):
    tale = Tale()
    with FakeModel(tale) as model:
        server = public(assay, "--model-url", model.url)
        page = tab(server)
        turn = page.ask("Finish this")
        expect(turn.locator(".answer")).to_contain_text("Once")
        server.restart_after_kill9()
        expect(turn.get_by_role("alert")).to_contain_text("cut off", timeout=30_000)
        turn.get_by_role("button", name="Bad answer").click()
        expect(turn.get_by_text("Thank you. What was wrong?")).to_be_visible()
        wait_until("it is taken", lambda: said_of(server, page, "Finish this") == {"user_feedback": [False]})
        tale.told.set()


def with_token(page: Tab, turn, token: str | None) -> None:
    """A page that was left open for longer than a token lives, or has never got one."""
    page.page.evaluate(
        """token => localStorage.setItem("assay.conversation", JSON.stringify(
             JSON.parse(localStorage.getItem("assay.conversation")).map((turn) => ({ ...turn, capability: token }))))""",
        token,
    )
    page.page.reload()
    turn.get_by_role("button", name="Good answer").click()


def test_an_answer_whose_token_has_run_out_says_so(assay, tab):
    server = public(assay)
    page = tab(server)
    turn = page.answered("Too late?")
    with_token(page, turn, "acap_AAAA")
    expect(page.page.get_by_text("This answer can no longer be rated")).to_be_visible()
    expect(turn.get_by_role("button", name="Good answer")).to_have_attribute("aria-pressed", "false")
    assert said_of(server, page, "Too late?") == {}


def test_an_answer_whose_token_never_came_says_so(assay, tab):
    page = tab(public(assay))
    turn = page.answered("Where is it?")
    with_token(page, turn, None)
    expect(page.page.get_by_text("its permission has never reached this page")).to_be_visible()
    expect(turn.get_by_role("button", name="Good answer")).to_have_attribute("aria-pressed", "false")


def test_a_token_that_has_run_out_is_left_away_where_none_is_needed(assay, tab):
    server = assay("serve")
    page = tab(server)
    turn = page.answered("Too late?")
    with_token(page, turn, "acap_AAAA")
    expect(turn.get_by_text("Thank you!")).to_be_visible()
    wait_until("it is taken", lambda: said_of(server, page, "Too late?") == {"user_feedback": [True]})


def test_an_answer_without_a_word_is_no_answer_to_judge(assay, tab):
    with FakeModel() as model:
        model.status = 500
        page = tab(assay("serve", "--model-url", model.url))
        turn = page.ask("Anybody?")
        expect(turn.get_by_role("alert")).to_be_visible()
        expect(turn.get_by_role("button", name="Ask again")).to_be_visible()
        expect(turn.locator(".answer")).to_have_count(0)
        expect(turn.get_by_role("button", name="Good answer")).to_have_count(0)
        page.screenshot("no-word")


@pytest.mark.parametrize("text", ["", " \n "], ids=["nothing", "blanks"])
def test_an_answer_of_nothing_is_said_to_be_one(assay, tab, text: str):
    with FakeModel(lambda: [text]) as model:
        turn = tab(assay("serve", "--model-url", model.url)).answered("Anything?")
        expect(turn.get_by_text("The model answered with nothing.")).to_be_visible()
        expect(turn.locator(".answer")).to_have_count(0)


def cut() -> Iterator[bytes]:
    for choice in ({"delta": {"content": "Once upon a"}, "finish_reason": None}, {"delta": {}, "finish_reason": "length"}):
        yield f"data: {json.dumps({'choices': [choice]})}\n\n".encode()
    yield b"data: [DONE]\n\n"


def test_an_answer_that_the_model_cut_at_its_limit_says_so(assay, tab):
    with FakeModel() as model:
        model.streamed = cut
        page = tab(assay("serve", "--model-url", model.url))
        turn = page.answered("Tell me a tale")
        note = turn.get_by_text("the model has reached its limit of length")
        expect(note).to_be_visible()
        page.page.reload()
        expect(note).to_be_visible()
        model.streamed = None
        expect(page.answered("Shorter").get_by_text("limit of length")).to_have_count(0)


def test_figures_that_need_a_key_say_so(assay, tab):
    server = assay("serve", "--require-keys", "--anonymous", "chat", start=False)
    create_key(server, "app", "feedback")
    page = tab(server.start())
    page.page.get_by_role("tab", name="Quality").click()
    expect(page.page.get_by_role("alert")).to_have_text("The figures need a key with scope read, and this page has none.")
