"""The page in a real browser: the quality tab, the keyboard, what axe finds; and how its files are served."""

import re

import httpx
import pytest
from playwright.sync_api import expect
from support.assay import run_assay
from support.fake_model import FakeModel
from support.page import Tale, browser, tab  # noqa: F401 - fixtures


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
    expect(tile("Thumbs up")).to_have_text("50.0 %")
    answer = server.http.post("/chat", json={"message": "from elsewhere"}).json()
    server.http.post("/detailed-feedback", params={"trace_id": answer["trace_id"], "accuracy": 5, "helpfulness": 4, "relevance": 3, "user_id": "u"}).raise_for_status()
    expect(tile("Traces")).to_have_text("4")
    expect(page.page.get_by_text("5.00 of 5 · 1")).to_be_visible()
    for user in ("a", "b"):  # many may say what they think of one answer
        server.http.post("/feedback", params={"trace_id": answer["trace_id"], "user_id": user}, json={"is_correct": True}).raise_for_status()
    expect(tile("Thumbs up")).to_have_text("75.0 %")
    page.screenshot("quality")


def test_only_what_is_said_in_fifths_is_shown_in_fifths(assay, tab):
    server = assay("serve")
    page = tab(server)
    trace = {"trace_id": server.http.post("/chat", json={"message": "Rate me"}).json()["trace_id"], "user_id": "u"}
    server.http.post("/detailed-feedback", params=trace | {"accuracy": 4, "helpfulness": 4, "relevance": 4}).raise_for_status()
    for name, value in (("user_stars", 4), ("user_tokens", 1900), ("user_resolved", True)):
        server.http.post("/feedback", params=trace, json={"name": name, "value": value}).raise_for_status()
    page.page.get_by_role("tab", name="Quality").click()
    row = lambda name: page.page.locator(".bar-row", has=page.page.get_by_text(name, exact=True))  # noqa: E731
    for name, text in (("accuracy", "4.00 of 5 · 1"), ("stars", "4 on average · 1"), ("tokens", "1,900 on average · 1"), ("resolved", "1 on average · 1")):
        expect(row(name).locator(".bar-text")).to_have_text(text)
        assert row(name).locator(".bar-line").count() == (name == "accuracy"), "a bar is part of a whole"
    page.screenshot("quality-averages")


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


def test_the_focus_is_never_lost_with_its_button(assay, tab):
    page = tab(assay("serve"))
    pressed = lambda scope, name: scope.get_by_role("button", name=name, exact=True).press("Enter")  # noqa: E731
    turn = page.answered("No mouse")
    good, bad = (turn.get_by_role("button", name=name) for name in ("Good answer", "Bad answer"))
    for thumb in (good, bad):
        thumb.press("Enter")
        pressed(turn, "Undo")
        expect(thumb).to_be_focused()
        expect(thumb).to_have_attribute("aria-pressed", "false")
    bad.press("Enter")
    turn.get_by_label("Comment").fill("Too short")
    pressed(turn, "Save comment")
    saved = turn.get_by_role("button", name="Saved")
    expect(saved).to_be_focused()
    expect(saved).to_be_disabled()
    pressed(page.page, "New conversation")
    expect(page.page.get_by_label("Your question")).to_be_focused()


def test_the_focus_stays_with_the_button_that_stops_and_sends(assay, tab):
    tale = Tale()
    with FakeModel(tale) as model:
        page = tab(assay("serve", "--model-url", model.url))
        expect(page.ask("Tell me a tale").locator(".answer")).to_contain_text("Once")
        page.page.get_by_role("button", name="Stop").press("Enter")
        expect(page.page.get_by_role("button", name="Send")).to_be_focused()
        tale.told.set()


def test_an_enter_that_an_input_method_takes_sends_nothing(assay, tab):
    page = tab(assay("serve"))
    question = page.page.get_by_label("Your question")
    question.fill("にほん")
    enter = """(element, how) => element.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true, ...how }))"""
    for how in ({"keyCode": 13, "isComposing": True}, {"keyCode": 229}):  # of most browsers, and of Safari
        question.evaluate(enter, how)
    expect(question).to_have_value("にほん")
    question.evaluate(enter, {"keyCode": 13})
    expect(page.turn("にほん")).to_be_visible()


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
            middles = "row => [...row.querySelectorAll('.bar-name, .bar-line, .bar-text')].map(e => e.getBoundingClientRect()).map(r => r.top + r.height / 2)"
            for row in page.page.locator(".bar-row").all():
                name, line, text = row.evaluate(middles)
                assert abs(name - line) < 4 and abs(text - line) < 4, "a number stands beside its bar"
        assert page.serious_of_axe() == [], view
        assert page.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out at the side"
        page.screenshot(f"{view.lower()}-{scheme}-{size[0]}")


CONTRAST = """(field) => {
  const luminance = (color) => {
    const [r, g, b] = color.match(/\\d+/g).map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => {
    const [dark, light] = [luminance(a), luminance(b)].sort((one, other) => one - other);
    return (light + 0.05) / (dark + 0.05);
  };
  const { borderTopColor, backgroundColor } = getComputedStyle(field);
  const around = getComputedStyle(document.body).backgroundColor;
  return [ratio(borderTopColor, backgroundColor), ratio(borderTopColor, around), ratio(getComputedStyle(field, "::placeholder").color, backgroundColor)];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_field_stands_out_and_its_placeholder_can_be_read(assay, tab, scheme: str):
    page = tab(assay("serve"), color_scheme=scheme)
    page.answered("And fire?").get_by_role("button", name="Bad answer").click()
    for label in ("Your question", "Comment"):
        inside, outside, placeholder = page.page.get_by_label(label, exact=True).evaluate(CONTRAST)
        assert inside >= 3 and outside >= 3 and placeholder >= 4.5, label


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


def test_a_question_that_is_too_long_is_not_cut(assay, tab):
    page = tab(assay("serve"), viewport={"width": 360, "height": 640})
    question, send = page.page.get_by_label("Your question"), page.page.get_by_role("button", name="Send")
    question.fill("x" * 8012)
    expect(page.page.get_by_text("Too long by 12 characters; 8,000 is the most.")).to_be_visible()
    expect(send).to_be_disabled()
    page.screenshot("too-long", full_page=False)
    question.press("Enter")
    expect(page.page.locator("article.turn")).to_have_count(0)
    question.fill("x" * 8000)
    expect(send).to_be_enabled()


def test_a_question_that_is_not_sent_yet_survives_a_reload(assay, tab):
    page = tab(assay("serve"))
    question = page.page.get_by_label("Your question")
    question.fill("Half a ques")
    page.page.reload()
    expect(question).to_have_value("Half a ques")
    page.page.get_by_role("tab", name="Quality").click()
    page.page.get_by_role("tab", name="Chat").click()
    expect(question).to_have_value("Half a ques")
    page.answered("Half a question?")
    page.page.reload()
    expect(page.turn("Half a question?")).to_be_visible()
    expect(question).to_have_value("")
