"""The page in a real browser, when the server is away, full, killed in the middle, or says no."""

import re
import threading

from playwright.sync_api import expect
from support.browser import Tab
from support.fake_model import FakeModel
from support.keys import create_key
from support.page import browser, public, said_of, tab, trace_of  # noqa: F401 - fixtures
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


def with_a_bad_token(page: Tab, turn) -> None:
    """What a page that was left open for longer than a token lives has in its hands."""
    page.page.evaluate(
        """() => localStorage.setItem("assay.conversation", JSON.stringify(
             JSON.parse(localStorage.getItem("assay.conversation")).map((turn) => ({ ...turn, capability: "acap_AAAA" }))))"""
    )
    page.page.reload()
    turn.get_by_role("button", name="Good answer").click()


def test_an_answer_whose_token_has_run_out_says_so(assay, tab):
    server = public(assay)
    page = tab(server)
    turn = page.answered("Too late?")
    with_a_bad_token(page, turn)
    expect(page.page.get_by_text("This answer can no longer be rated")).to_be_visible()
    expect(turn.get_by_role("button", name="Good answer")).to_have_attribute("aria-pressed", "false")
    assert said_of(server, page, "Too late?") == {}


def test_a_token_that_has_run_out_is_left_away_where_none_is_needed(assay, tab):
    server = assay("serve")
    page = tab(server)
    turn = page.answered("Too late?")
    with_a_bad_token(page, turn)
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


def test_figures_that_need_a_key_say_so(assay, tab):
    server = assay("serve", "--require-keys", "--anonymous", "chat", start=False)
    create_key(server, "app", "feedback")
    page = tab(server.start())
    page.page.get_by_role("tab", name="Quality").click()
    expect(page.page.get_by_role("alert")).to_have_text("The figures need a key with scope read, and this page has none.")
