"""The page in a real browser: answers as they come, stopped, gone on with, and followed."""

import json
import signal
import threading

import pytest
from playwright.sync_api import expect
from support.browser import Tab
from support.fake_model import FakeModel
from support.page import STREAM, Tale, browser, public, said_of, streams_of, tab, trace_of  # noqa: F401 - fixtures
from support.waiting import wait_until


def stored(page: Tab) -> dict:
    """The newest turn as the browser keeps it."""
    return json.loads(page.page.evaluate("localStorage.getItem('assay.conversation')"))[-1]


WITH_AND_WITHOUT_LOCKS = pytest.mark.parametrize("locks", [True, False], ids=["locks", "plain"])


def tab_with(first: Tab, locks: bool) -> Tab:
    """Web Locks are only there for a page that came by HTTPS, or from this machine."""
    if not locks:
        first.page.context.add_init_script("Object.defineProperty(navigator, 'locks', { value: undefined })")
        first.page.reload()
    return first


def test_stop_ends_the_answer_and_its_upstream_and_what_was_said_can_be_rated(assay, tab):
    tale = Tale()
    with FakeModel(tale) as model:
        server = public(assay, "--model-url", model.url, "--resume-max", "10m")  # nothing but the stop ends the answer
        page = tab(server)
        seen = streams_of(page.page)
        turn = page.ask("Tell me a tale")
        expect(turn.locator(".answer")).to_contain_text("Once")
        page.page.get_by_role("button", name="Stop").click()
        expect(turn.get_by_text("Stopped.")).to_be_visible()
        expect(page.page.get_by_role("button", name="Send")).to_be_visible()
        assert seen == [("DELETE", 200)]
        info = trace_of(server, page, "Tell me a tale")
        assert info["state"] == "OK" and "Once" in info["response_preview"]
        turn.get_by_role("button", name="Good answer").click()
        expect(turn.get_by_text("Thank you!")).to_be_visible()
        wait_until("the thumb is on the trace", lambda: said_of(server, page, "Tell me a tale") == {"user_feedback": [True]})
        tale.told.set()
        assert model.gone.wait(30), "the model is told, too"


def test_an_answer_goes_on_behind_a_reload(assay, tab):
    tale = Tale()
    with FakeModel(tale) as model:
        server = assay("serve", "--model-url", model.url)
        page = tab(server)
        seen = streams_of(page.page)
        turn = page.ask("Tell me a tale")
        expect(turn.locator(".answer")).to_contain_text("Once")
        with page.page.expect_response(STREAM):
            page.page.reload()
        tale.told.set()
        expect(turn.get_by_role("button", name="Good answer")).to_be_visible()
        expect(turn.locator(".answer")).to_have_text("Answer: Once upon a time.")
        assert seen == [("GET", 200)]
        assert trace_of(server, page, "Tell me a tale")["state"] == "OK"


def test_a_connection_that_dies_without_a_word_is_given_up_for_a_new_one(assay, tab):
    tale = Tale()
    with FakeModel(tale) as model:
        server = assay("serve", "--model-url", model.url)
        page = tab(server)
        page.page.clock.install()
        seen = streams_of(page.page)
        turn = page.ask("Tell me a tale")
        expect(turn.locator(".answer")).to_contain_text("Once")
        server.signal(signal.SIGSTOP)  # its connections stand, and nothing comes
        page.page.clock.fast_forward(46_000)
        expect(turn.get_by_text("Picking the answer up again")).to_be_visible()
        with page.page.expect_request(STREAM):
            page.page.clock.fast_forward(3_000)  # the pause before it asks for the rest
        with page.page.expect_request(STREAM):
            page.page.clock.fast_forward(21_000)  # this one is given up, too
            page.page.clock.fast_forward(10_000)
        server.signal(signal.SIGCONT)
        tale.told.set()
        expect(turn.get_by_role("button", name="Good answer")).to_be_visible()
        expect(turn.locator(".answer")).to_have_text("Answer: Once upon a time.")
        assert seen[-1] == ("GET", 200)


def test_an_answer_that_somebody_else_reads_has_not_failed(assay, tab):
    tale = Tale()
    with FakeModel(tale) as model:
        server = assay("serve", "--model-url", model.url)
        page = tab(server)
        turn = page.ask("Tell me a tale")
        expect(turn.locator(".answer")).to_contain_text("Once")
        with page.page.expect_response(STREAM), server.http.stream("GET", f"/chat/stream/{stored(page)['traceId']}", headers={"X-Resume-Token": stored(page)["resumeToken"]}) as other:
            assert other.status_code == 200
        tale.told.set()
        expect(turn.get_by_role("button", name="Good answer")).to_be_visible()
        expect(turn.locator(".answer")).to_have_text("Answer: Once upon a time.")
        expect(turn.get_by_role("alert")).to_have_count(0)


def test_what_another_tab_has_stored_meanwhile_stands_once(assay, tab):
    tale = Tale()
    with FakeModel(tale) as model:
        page = tab(assay("serve", "--model-url", model.url))
        turn = page.ask("Tell me a tale")
        expect(turn.locator(".answer")).to_contain_text("Once")
        events = [(10, {"type": "token", "content": "Once über"}), (11, {"type": "done"})]
        body = "".join(f"id: {n}\ndata: {json.dumps(event)}\n\n" for n, event in events)
        page.page.route(STREAM, lambda route: route.fulfill(content_type="text/event-stream", body=body))
        page.page.reload()
        expect(turn.get_by_role("button", name="Good answer")).to_be_visible()
        expect(turn.locator(".answer")).to_have_text("Answer: Once über")
        tale.told.set()


def test_an_answer_of_many_tokens_is_written_a_few_times(assay, tab):
    """Each time, all of the conversation is: a long one came to a halt."""
    page = tab(assay("serve", "--builtin-pause", "5ms", "--token-interval", "0ms"))
    page.page.evaluate("""() => {
      window.writes = 0;
      const { setItem } = Storage.prototype;
      Storage.prototype.setItem = function (key, value) { writes += key === "assay.conversation"; setItem.call(this, key, value); };
    }""")
    turn = page.answered("word " * 390)
    expect(turn.locator(".answer")).to_contain_text("word " * 390)
    assert page.page.evaluate("writes") < 200


@WITH_AND_WITHOUT_LOCKS
def test_two_tabs_show_one_answer_and_the_second_goes_on_when_the_first_is_closed(assay, tab, locks: bool):
    tale = Tale()
    with FakeModel(tale) as model:
        server = assay("serve", "--model-url", model.url)
        first = tab_with(tab(server), locks)
        expect(first.ask("Tell me a tale").locator(".answer")).to_contain_text("Once")
        second = Tab(first.page.context, server.url)
        seen = streams_of(second.page)
        turn = second.open().turn("Tell me a tale")
        expect(turn.locator(".answer")).to_contain_text("Once")
        with second.page.expect_response(STREAM):
            first.page.close()
        tale.told.set()
        expect(turn.get_by_role("button", name="Good answer")).to_be_visible()
        expect(turn.locator(".answer")).to_have_text("Answer: Once upon a time.")
        assert seen == [("GET", 200)] and second.errors == []


@WITH_AND_WITHOUT_LOCKS
def test_a_second_tab_takes_no_answer_from_the_first_and_can_stop_it(assay, tab, locks: bool):
    tale = Tale()
    with FakeModel(tale) as model:
        server = assay("serve", "--model-url", model.url)
        first = tab_with(tab(server), locks)
        whole = first.ask("Tell me a tale")
        expect(whole.locator(".answer")).to_contain_text("Once")
        second = Tab(first.page.context, server.url)
        seen = streams_of(second.page)
        expect(second.open().turn("Tell me a tale").locator(".answer")).to_contain_text("Once")
        second.page.wait_for_timeout(1500)  # longer than a tab waits before it reads on
        assert seen == []
        second.page.get_by_role("button", name="Stop").click()
        for page in (first, second):
            expect(page.turn("Tell me a tale").get_by_text("Stopped.")).to_be_visible()
            expect(page.turn("Tell me a tale").get_by_role("button", name="Good answer")).to_be_visible()
        assert seen == [("DELETE", 200)] and second.errors == []
        tale.told.set()


def test_a_new_conversation_stops_what_is_under_way(assay, tab):
    tale = Tale()
    with FakeModel(tale) as model:
        page = tab(assay("serve", "--model-url", model.url))
        expect(page.ask("Tell me a tale").locator(".answer")).to_contain_text("Once")
        with page.page.expect_response(STREAM) as stopped:
            page.page.get_by_role("button", name="New conversation").click()
        assert stopped.value.request.method == "DELETE" and stopped.value.status == 200
        expect(page.page.locator("article.turn")).to_have_count(0)
        page.page.get_by_role("button", name="Back to the last conversation").click()
        expect(page.turn("Tell me a tale").get_by_text("Stopped.")).to_be_visible()
        tale.told.set()


class Pages:
    """A model that says more than a screen holds, and as much again when it is told to go on."""

    def __init__(self):
        self.told = threading.Event()

    def __call__(self):
        for line in range(40):
            yield f"Line {line} of a long answer.\n"
        yield "Half."
        self.told.wait(60)
        for line in range(40):
            yield f"\nLine {line} of the other half."


def end_in_view(page: Tab, turn) -> bool:
    """Whether the end of a turn is seen, above the composer and below the bar."""
    edge = lambda selector, side: page.page.locator(selector).evaluate(f"element => element.getBoundingClientRect().{side}")  # noqa: E731
    return edge(".bar", "bottom") < turn.evaluate("element => element.getBoundingClientRect().bottom") <= edge(".dock", "top")


@pytest.mark.parametrize("size", [(1280, 720), (360, 640)], ids=["desk", "phone"])
def test_a_long_answer_is_followed_but_nobody_is_dragged_who_reads_above(assay, tab, size: tuple[int, int]):
    pages = Pages()
    with FakeModel(pages) as model:
        page = tab(assay("serve", "--model-url", model.url), viewport={"width": size[0], "height": size[1]})
        turn = page.ask("Tell me a lot")
        expect(turn.locator(".answer")).to_contain_text("Half.")
        wait_until("its end is in view", lambda: end_in_view(page, turn))
        page.page.mouse.move(size[0] / 2, size[1] / 2)
        page.page.mouse.wheel(0, -300)
        wait_until("the reader is above", lambda: not end_in_view(page, turn))
        page.page.wait_for_timeout(300)  # the wheel has come to rest
        above = page.page.evaluate("scrollY")
        pages.told.set()
        turn.get_by_role("button", name="Good answer").wait_for()
        assert page.page.evaluate("scrollY") == above > 0
        again = page.answered("And more?")
        wait_until("the new turn is in view", lambda: end_in_view(page, again))
        page.screenshot(f"followed-{size[0]}", full_page=False)


@pytest.mark.parametrize("size", [(1280, 720), (360, 640)], ids=["desk", "phone"])
def test_each_next_question_comes_into_view(assay, tab, size: tuple[int, int]):
    page = tab(assay("serve"), viewport={"width": size[0], "height": size[1]})
    for n in range(6):
        turn = page.answered(f"Question {n}, which is long enough to take a line or two of a phone's screen?")
        wait_until("its end is in view", lambda: end_in_view(page, turn))
        expect(turn.locator(".question")).to_be_in_viewport()


def test_quality_opens_at_its_top_and_the_chat_where_it_was_left(assay, tab):
    page = tab(assay("serve"), viewport={"width": 360, "height": 320})
    for n in range(6):
        turn = page.answered(f"Question {n}")
    at = lambda: page.page.evaluate("scrollY")  # noqa: E731
    wait_until("the end is in view", lambda: end_in_view(page, turn))
    end = at()
    for left_at in (end, 200, 300):
        page.page.evaluate("at => new Promise((done) => { scrollTo(0, at); requestAnimationFrame(() => requestAnimationFrame(done)); })", left_at)
        page.page.get_by_role("tab", name="Quality").click()
        page.page.locator(".tile").first.wait_for()
        assert at() == 0
        page.page.get_by_role("tab", name="Chat").click()
        expect(turn).to_be_visible()
        assert at() == left_at
