"""The page in a real browser: what its user thinks of an answer, and what reaches the trace."""

import re

from playwright.sync_api import expect
from support.page import browser, public, refuse_once, said_of, tab, trace_of  # noqa: F401 - fixtures
from support.waiting import wait_until


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
    wait_until("both are on the trace", lambda: said_of(server, page, "And fire?") == {"user_feedback": [False], "feedback_categories": [["incomplete"]]})
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


def test_ratings_can_be_taken_back(assay, tab):
    server = public(assay)
    page = tab(server)
    turn = page.answered("Rate me")
    trigger, back = turn.get_by_role("button", name="Rate in detail"), turn.get_by_role("button", name="Take ratings back")
    trigger.click()
    score = lambda dimension, n: turn.get_by_role("radiogroup", name=dimension).get_by_role("radio", name=f"{n} of 5")  # noqa: E731
    expect(back).to_have_count(0)
    score("accuracy", 2).click()
    back.click()
    expect(score("accuracy", 2)).not_to_be_checked()
    expect(trigger).to_be_focused()
    for again in (5, 3):
        for dimension in ("accuracy", "helpfulness", "relevance"):
            score(dimension, again).click()
        value = again / 5
        wait_until("all three", lambda: said_of(server, page, "Rate me") == {"user_accuracy": [value], "user_helpfulness": [value], "user_relevance": [value]})
        back.click()
        wait_until("none is left", lambda: said_of(server, page, "Rate me") == {})
        expect(turn.get_by_role("radio", checked=True)).to_have_count(0)
        expect(back).to_have_count(0)


def test_ratings_whose_taking_back_is_refused_are_shown_again(assay, tab):
    server = assay("serve")
    page = tab(server)
    turn = page.answered("Rate me")
    turn.get_by_role("button", name="Rate in detail").click()
    for dimension in ("accuracy", "helpfulness", "relevance"):
        turn.get_by_role("radiogroup", name=dimension).get_by_role("radio", name="4 of 5").click()
    wait_until("all three", lambda: len(said_of(server, page, "Rate me")) == 3)
    page.page.route(re.compile("/feedback/a-"), lambda route: route.fulfill(status=422, json={"detail": "no"}))
    turn.get_by_role("button", name="Take ratings back").click()
    expect(page.page.get_by_role("alert")).to_be_visible()
    expect(turn.get_by_role("radio", name="4 of 5", checked=True)).to_have_count(3)
    assert len(said_of(server, page, "Rate me")) == 3


def test_all_that_the_page_says_is_taken_with_the_answer_s_token(assay, tab):
    server = public(assay)
    page = tab(server)
    turn = page.answered("Rate me")
    turn.get_by_role("button", name="Bad answer").click()
    turn.get_by_role("button", name="incomplete").click()
    turn.get_by_role("button", name="Rate in detail").click()
    for dimension in ("accuracy", "helpfulness", "relevance"):
        turn.get_by_role("radiogroup", name=dimension).get_by_role("radio", name="4 of 5").click()
    ratings = {"user_accuracy": [0.8], "user_helpfulness": [0.8], "user_relevance": [0.8]}
    wait_until("all of it is there", lambda: said_of(server, page, "Rate me") == {"user_feedback": [False], "feedback_categories": [["incomplete"]], **ratings})
    for name, (value,) in said_of(server, page, "Rate me").items():
        assert not name.startswith("user_") or isinstance(value, (bool, float)), "what begins with user_ is averaged by the guide's analysis"


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


def test_a_new_conversation_can_be_taken_back_until_something_is_asked_in_it(assay, tab):
    server = assay("serve")
    page = tab(server)
    page.answered("First?").get_by_role("button", name="Good answer").click()
    new, back = (page.page.get_by_role("button", name=name) for name in ("New conversation", "Back to the last conversation"))
    new.dblclick()
    back.click()
    expect(page.turn("First?").get_by_role("button", name="Good answer")).to_have_attribute("aria-pressed", "true")
    expect(page.page.get_by_label("Your question")).to_be_focused()
    session = lambda question: trace_of(server, page, question)["trace_metadata"]["mlflow.trace.session"]  # noqa: E731
    page.answered("Second?")
    first = session("First?")
    assert session("Second?") == first, "it goes on as one"
    new.click()
    page.answered("Third?")
    assert session("Third?") != first
    new.click()
    back.click()
    expect(page.page.locator("article.turn")).to_have_count(1)
    expect(page.turn("Third?")).to_be_visible()


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


def test_a_double_click_says_what_one_click_says(assay, tab):
    server = assay("serve")
    page = tab(server)
    turn = page.answered("Twice?")
    turn.get_by_role("button", name="Good answer").dblclick()
    expect(turn.get_by_text("Thank you!")).to_be_visible()
    assert said_of(server, page, "Twice?") == {"user_feedback": [True]}


def test_a_comment_is_saved_when_the_server_has_it(assay, tab):
    server = assay("serve")
    page = tab(server)
    turn = page.answered("And fire?")
    turn.get_by_role("button", name="Bad answer").click()
    expect(turn.get_by_text("Thank you. What was wrong?")).to_be_visible()
    turn.get_by_label("Comment").fill("Nothing about flames")
    page.page.route(re.compile(r"/feedback/a-"), lambda route: route.abort())
    turn.get_by_role("button", name="Save comment").click()
    expect(turn.get_by_role("button", name="Kept, being sent…")).to_be_disabled()
    expect(page.page.get_by_text("1 waiting")).to_be_visible()
    page.page.unroute_all()
    page.page.get_by_role("button", name="Send now").click()
    expect(turn.get_by_role("button", name="Saved")).to_be_disabled()
    assert trace_of(server, page, "And fire?")["assessments"][0]["rationale"] == "Nothing about flames"


def test_a_comment_that_is_not_saved_yet_survives_a_reload(assay, tab):
    server = assay("serve")
    page = tab(server)
    turn = page.answered("And fire?")
    turn.get_by_role("button", name="Bad answer").click()
    comment, save = turn.get_by_label("Comment"), turn.get_by_role("button", name="Save comment")
    for text in ("Nothing about", "Nothing about flames"):
        comment.fill(text)
        page.page.reload()
        expect(comment).to_have_value(text)
        page.page.get_by_role("tab", name="Quality").click()
        page.page.get_by_role("tab", name="Chat").click()
        expect(comment).to_have_value(text)
        save.click()
        expect(turn.get_by_role("button", name="Saved")).to_be_visible()
    assert trace_of(server, page, "And fire?")["assessments"][0]["rationale"] == "Nothing about flames"
    assert page.page.evaluate("sessionStorage.getItem('assay.drafts')") == "[]", "what is saved is no draft"


def test_what_opens_under_an_answer_is_not_behind_the_composer(assay, tab):
    page = tab(assay("serve"), viewport={"width": 360, "height": 640})
    turn = page.answered("And fire?")
    top_of_dock = page.page.locator(".dock").evaluate("element => element.getBoundingClientRect().top")
    seen = lambda element: element.evaluate("element => element.getBoundingClientRect().bottom") <= top_of_dock  # noqa: E731
    turn.get_by_role("button", name="Bad answer").click()
    wait_until("the panel is seen", lambda: seen(turn.get_by_role("button", name="Save comment")))
    turn.get_by_role("button", name="Rate in detail").click()
    wait_until("the ratings are seen", lambda: seen(turn.get_by_role("radio").last))
    page.screenshot("opened-360", full_page=False)


def test_a_comment_that_is_too_long_is_not_cut(assay, tab):
    page = tab(assay("serve"))
    turn = page.answered("And fire?")
    turn.get_by_role("button", name="Bad answer").click()
    turn.get_by_label("Comment").fill("x" * 4001)
    expect(turn.get_by_text("Too long by 1 character; 4,000 is the most.")).to_be_visible()
    expect(turn.get_by_role("button", name="Save comment")).to_be_disabled()
    turn.get_by_label("Comment").fill("x" * 4000)
    expect(turn.get_by_role("button", name="Save comment")).to_be_enabled()
