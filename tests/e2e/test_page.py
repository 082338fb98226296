"""The page in a real browser: its flows, and what it does when the server is killed in the middle of one."""

import json
import re
import threading
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from support.assay import Assay, run_assay
from support.browser import Tab, chromium
from support.fake_model import FakeModel
from support.keys import create_key
from support.paths import ROOT
from support.waiting import wait_until


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
    assert [error for tab in opened for error in tab.errors] == []


def trace_of(server: Assay, tab: Tab, question: str) -> dict:
    """The trace of a question's answer as the server has it."""
    turns = json.loads(tab.page.evaluate("localStorage.getItem('assay.conversation')"))
    trace_id = next(turn["traceId"] for turn in reversed(turns) if turn["question"] == question)
    return server.http.get(f"/api/3.0/mlflow/traces/{trace_id}").raise_for_status().json()["trace"]["trace_info"]


def said_of(server: Assay, tab: Tab, question: str) -> dict[str, list]:
    """Every valid assessment of an answer: name -> values."""
    said: dict[str, list] = {}
    for assessment in trace_of(server, tab, question).get("assessments", []):
        said.setdefault(assessment["assessment_name"], []).append(assessment["feedback"]["value"])
    return said


def test_an_answer_streams_and_its_thumb_reaches_the_trace(assay, tab):
    server = assay("serve")
    page = tab(server)
    turn = page.answered("Is water wet?")
    expect(turn.locator(".answer")).to_contain_text("You said: Is water wet?")
    turn.get_by_role("button", name="Good answer").click()
    expect(turn.get_by_text("Thank you!")).to_be_visible()
    assert said_of(server, page, "Is water wet?") == {"user_feedback": [True]}
    info = trace_of(server, page, "Is water wet?")
    assert info["assessments"][0]["source"]["source_id"].startswith("visitor-")
    page.screenshot("chat-light")


def test_a_change_of_mind_and_undo_leave_one_opinion_or_none(assay, tab):
    server = assay("serve")
    page = tab(server)
    turn = page.answered("And fire?")
    turn.get_by_role("button", name="Good answer").click()
    turn.get_by_role("button", name="Bad answer").click()
    turn.get_by_role("button", name="incomplete").click()
    turn.get_by_label("Comment").fill("Nothing about flames")
    turn.get_by_role("button", name="Save comment").click()
    expect(turn.get_by_text("Thank you. What was wrong?")).to_be_visible()
    wait_until("both are on the trace", lambda: said_of(server, page, "And fire?") == {"user_feedback": [False], "user_categories": [["incomplete"]]})
    wait_until("the comment is, too", lambda: any(a.get("rationale") == "Nothing about flames" for a in trace_of(server, page, "And fire?")["assessments"]))
    page.screenshot("thumbs-down")
    turn.get_by_role("button", name="Undo").click()
    wait_until("all of it is taken back", lambda: said_of(server, page, "And fire?") == {})
    expect(turn.get_by_role("button", name="Bad answer")).to_have_attribute("aria-pressed", "false")


def test_a_thumb_up_leaves_nothing_of_what_was_wrong(assay, tab):
    server = assay("serve")
    page = tab(server)
    turn = page.answered("And fire?")
    turn.get_by_role("button", name="Bad answer").click()
    turn.get_by_role("button", name="incomplete").click()
    turn.get_by_label("Comment").fill("Nothing about flames")
    turn.get_by_role("button", name="Save comment").click()
    wait_until("the comment is there", lambda: any(a.get("rationale") == "Nothing about flames" for a in trace_of(server, page, "And fire?")["assessments"]))
    turn.get_by_role("button", name="Good answer").click()
    wait_until("only the thumb is left", lambda: said_of(server, page, "And fire?") == {"user_feedback": [True]})
    assert not trace_of(server, page, "And fire?")["assessments"][0].get("rationale")
    turn.get_by_role("button", name="Bad answer").click()
    expect(turn.get_by_label("Comment")).to_have_value("")


def test_ratings_go_together_and_change_alone(assay, tab):
    server = assay("serve")
    page = tab(server)
    turn = page.answered("Rate me")
    turn.get_by_role("button", name="Rate in detail").click()
    for dimension, score in (("accuracy", 5), ("helpfulness", 4)):
        turn.get_by_role("radiogroup", name=dimension).get_by_role("radio", name=f"{score} of 5").click()
    assert said_of(server, page, "Rate me") == {}
    turn.get_by_role("radiogroup", name="relevance").get_by_role("radio", name="1 of 5").click()
    wait_until("all three", lambda: said_of(server, page, "Rate me") == {"user_accuracy": [1.0], "user_helpfulness": [0.8], "user_relevance": [0.2]})
    turn.get_by_role("radiogroup", name="relevance").get_by_role("radio", name="3 of 5").click()
    wait_until("one of them changed", lambda: said_of(server, page, "Rate me") == {"user_accuracy": [1.0], "user_helpfulness": [0.8], "user_relevance": [0.6]})
    page.screenshot("ratings")


def test_a_conversation_survives_a_reload_and_each_answer_keeps_its_own_thumbs(assay, tab):
    server = assay("serve")
    page = tab(server)
    for question, name in (("First?", "Good answer"), ("Second?", "Bad answer")):
        page.answered(question).get_by_role("button", name=name).click()
    expect(page.page.get_by_text("Thank you. What was wrong?")).to_be_visible()
    page.page.reload()
    expect(page.turn("First?").get_by_role("button", name="Good answer")).to_have_attribute("aria-pressed", "true")
    expect(page.turn("Second?").get_by_role("button", name="Bad answer")).to_have_attribute("aria-pressed", "true")
    assert said_of(server, page, "First?") == {"user_feedback": [True]}
    page.page.get_by_role("button", name="New conversation").click()
    expect(page.page.locator("article.turn")).to_have_count(0)


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


def test_two_tabs_show_one_answer_and_the_second_goes_on_when_the_first_is_closed(assay, tab):
    tale = Tale()
    with FakeModel(tale) as model:
        server = assay("serve", "--model-url", model.url)
        first = tab(server)
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


def test_a_second_tab_takes_no_answer_from_the_first_and_can_stop_it(assay, tab):
    tale = Tale()
    with FakeModel(tale) as model:
        server = assay("serve", "--model-url", model.url)
        first = tab(server)
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
        tale.told.set()


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


def refuse_once(page: Tab, path: str) -> None:
    page.page.route(re.compile(path), lambda route: route.fulfill(status=422, json={"detail": "comment: it is too long"}), times=1)


def test_what_the_server_refuses_is_said_and_taken_back_and_can_be_tried_again(assay, tab):
    server = assay("serve")
    page = tab(server)
    turn = page.answered("Refused?")
    good, bad = turn.get_by_role("button", name="Good answer"), turn.get_by_role("button", name="Bad answer")
    refuse_once(page, r"/feedback\?")
    good.click()
    expect(page.page.get_by_text("it is too long")).to_be_visible()
    expect(good).to_have_attribute("aria-pressed", "false")
    expect(turn.get_by_text("Thank you!")).to_be_hidden()
    page.screenshot("refused")
    page.page.get_by_role("button", name="Dismiss").click()
    good.click()
    wait_until("it is tried again", lambda: said_of(server, page, "Refused?") == {"user_feedback": [True]})
    refuse_once(page, r"/feedback/a-")
    bad.click()
    expect(page.page.get_by_text("it is too long")).to_be_visible()
    expect(good).to_have_attribute("aria-pressed", "true")
    refuse_once(page, r"/feedback/a-")
    turn.get_by_role("button", name="Undo").click()
    expect(page.page.get_by_text("it is too long")).to_be_visible()
    expect(good).to_have_attribute("aria-pressed", "true")
    bad.click()
    wait_until("it is changed after all", lambda: said_of(server, page, "Refused?") == {"user_feedback": [False]})
    expect(page.page.get_by_text("it is too long")).to_be_hidden()


def test_a_change_behind_a_refusal_is_said_anew(assay, tab):
    server = assay("serve")
    page = tab(server)
    turn = page.answered("Refused?")
    held = []
    page.page.route(re.compile(r"/feedback\?"), lambda route: held.append(route), times=1)
    with page.page.expect_request(re.compile(r"/feedback\?")):
        turn.get_by_role("button", name="Good answer").click()
    turn.get_by_role("button", name="Bad answer").click()
    held[0].fulfill(status=422, json={"detail": "no"})
    wait_until("the second has arrived", lambda: said_of(server, page, "Refused?") == {"user_feedback": [False]})
    expect(turn.get_by_role("button", name="Bad answer")).to_have_attribute("aria-pressed", "true")
    expect(page.page.get_by_role("alert")).to_be_hidden()


def test_ratings_that_are_refused_can_be_given_again(assay, tab):
    server = assay("serve")
    page = tab(server)
    turn = page.answered("Rate me")
    turn.get_by_role("button", name="Rate in detail").click()
    score = lambda dimension, n: turn.get_by_role("radiogroup", name=dimension).get_by_role("radio", name=f"{n} of 5")  # noqa: E731
    refuse_once(page, r"/detailed-feedback\?")
    for dimension in ("accuracy", "helpfulness", "relevance"):
        score(dimension, 5).click()
    expect(page.page.get_by_text("it is too long")).to_be_visible()
    expect(score("accuracy", 5)).to_be_checked()
    expect(score("relevance", 5)).not_to_be_checked()
    score("relevance", 1).click()
    wait_until("all three", lambda: said_of(server, page, "Rate me") == {"user_accuracy": [1.0], "user_helpfulness": [1.0], "user_relevance": [0.2]})


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


def test_quality_moves_as_feedback_comes(assay, tab):
    server = assay("serve")
    page = tab(server)
    page.answered("One").get_by_role("button", name="Good answer").click()
    page.answered("Two").get_by_role("button", name="Bad answer").click()
    page.answered("Three")
    page.page.get_by_role("tab", name="Quality").click()
    tile = lambda name: page.page.locator(".tile", has=page.page.get_by_text(name, exact=True)).locator("dd")  # noqa: E731
    expect(tile("Traces")).to_have_text("3")
    expect(tile("With feedback")).to_have_text("2")
    expect(tile("Feedback rate")).to_have_text("66.7 %")
    expect(tile("Positive rate")).to_have_text("50.0 %")
    answer = server.http.post("/chat", json={"message": "from elsewhere"}).json()
    server.http.post("/detailed-feedback", params={"trace_id": answer["trace_id"], "accuracy": 5, "helpfulness": 4, "relevance": 3, "user_id": "u"}).raise_for_status()
    expect(tile("Traces")).to_have_text("4")
    expect(page.page.get_by_text("5.00 of 5 · 1")).to_be_visible()
    page.screenshot("quality")


def test_quality_in_words_for_bad_questions_and_where_there_is_no_store(assay, kafka, topic_prefix):
    server = assay("serve")
    assert server.http.get("/assay/quality", params={"hours": "-1"}).status_code == 400
    assert server.http.get("/assay/quality", params={"hours": "nan"}).json()["detail"].startswith("hours")
    report = server.http.get("/assay/quality").raise_for_status()
    assert report.json()["total_traces"] == 0 and report.headers["Cache-Control"] == "no-store"
    on = ("--kafka", kafka, "--topic-prefix", topic_prefix)
    assert run_assay("topics", "create", *on, "--partitions", "2").returncode == 0
    door = assay("ingest", *on)
    assert door.http.get("/assay/quality").status_code == 501


def test_the_page_is_worked_from_the_keyboard(assay, tab):
    page = tab(assay("serve"))
    keys = page.page.keyboard
    expect(page.page.get_by_label("Your question")).to_be_focused()
    keys.type("No mouse")
    keys.press("Enter")
    good = page.turn("No mouse").get_by_role("button", name="Good answer")
    good.wait_for()
    for _ in range(12):
        if good.evaluate("element => element === document.activeElement"):
            break
        keys.press("Shift+Tab")
    expect(good).to_be_focused()
    keys.press("Space")
    expect(good).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1100, 800), (360, 740)], ids=["desk", "phone"])
def test_axe_finds_nothing_serious(assay, tab, scheme: str, size: tuple[int, int]):
    server = assay("serve")
    page = tab(server, color_scheme=scheme, viewport={"width": size[0], "height": size[1]}, bypass_csp=True)
    turn = page.answered("Accessible?")
    turn.get_by_role("button", name="Bad answer").click()
    turn.get_by_role("button", name="Rate in detail").click()
    for view in ("Chat", "Quality"):
        page.page.get_by_role("tab", name=view).click()
        if view == "Quality":
            page.page.locator(".tile").first.wait_for()
        page.page.add_script_tag(path=ROOT / "build" / "web" / "work" / "node_modules" / "axe-core" / "axe.min.js")
        found = page.page.evaluate("async () => (await axe.run()).violations.map(v => [v.id, v.impact, v.nodes.map(n => n.html)])")
        assert [violation for violation in found if violation[1] in ("serious", "critical")] == [], view
        assert page.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out at the side"
        page.screenshot(f"{view.lower()}-{scheme}-{size[0]}")


def test_files_are_compressed_cached_and_fenced(assay):
    server = assay("serve")
    assert server.http.get("/").headers["Location"] == "/assay/"
    page = server.http.get("/assay/", headers={"Accept-Encoding": "gzip, br"})
    assert page.headers["Cache-Control"] == "no-cache" and "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    script = re.search(r'src="(/assay/assets/[^"]+\.js)"', server.http.get("/assay/", headers={"Accept-Encoding": "identity"}).text)[1]
    plain = server.http.get(script, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers and "immutable" in plain.headers["Cache-Control"]
    first_load = 0
    for path in ["/assay/", script, *re.findall(r'href="(/assay/assets/[^"]+)"', server.http.get("/assay/").text)]:
        with server.http.stream("GET", path, headers={"Accept-Encoding": "br"}) as answer:
            first_load += int(answer.headers["Content-Length"])
            if path == script:
                assert answer.headers["Content-Encoding"] == "br" and answer.headers["Vary"] == "Accept-Encoding"
    assert first_load < 200_000
    assert server.http.get(script, headers={"Accept-Encoding": "gzip;q=1, br;q=0"}).headers["Content-Encoding"] == "gzip"
    tags = {}
    for coding in ("identity", "gzip", "br"):
        asked = {"Accept-Encoding": coding}
        with server.http.stream("GET", script, headers=asked) as answer:  # not decoded: Brotli is not known here
            tags[coding] = answer.headers["ETag"]
        again = server.http.get(script, headers=asked | {"If-None-Match": tags[coding]})
        assert again.status_code == 304 and again.content == b"" and again.headers["ETag"] == tags[coding]
    assert len(set(tags.values())) == 3, "other bytes, another tag"
    assert server.http.get(script, headers={"Accept-Encoding": "gzip", "If-None-Match": tags["br"]}).status_code == 200
    assert server.http.get("/assay/assets/other.js").status_code == 404
    assert httpx.head(server.url + script, trust_env=False).headers["Content-Length"]
