"""The page in a real browser that does not keep what the page gives it: its storage is full, or forbidden."""

import json
import re

from playwright.sync_api import expect
from support.assay import Assay
from support.browser import Tab
from support.page import browser, info_of, said_in, tab  # noqa: F401 - fixtures
from support.waiting import wait_until

FILL = """() => {
  let piece = "x".repeat(1 << 20);
  for (let i = 0; piece.length > 0; ) {
    try { localStorage.setItem(`junk${i}`, piece); i++; } catch { piece = piece.slice(0, piece.length >> 1); }
  }
}"""

# As if this browser had long answers to many questions, all later than what it has.
OLDER_ANSWERS = """() => {
  const turns = JSON.parse(localStorage.getItem("assay.conversation") ?? "[]");
  for (let i = 0; i < 20; i++)
    turns.push({ id: `req-${i}`, question: `Old question ${i}.`, answer: "y".repeat(50000), state: "done", traceId: "tr-" + String(i).padStart(32, "0"),
                 resumeToken: null, lastEventId: null, capability: null, reason: null, askedAt: 1 });
  localStorage.setItem("assay.conversation", JSON.stringify(turns));
}"""

FORBID = """() => {
  const denied = () => { throw new DOMException("denied", "SecurityError"); };
  for (const name of ["localStorage", "sessionStorage"]) Object.defineProperty(window, name, { get: denied });
  Object.defineProperty(navigator, "locks", { value: { request: async () => denied() } });
}"""


def answered(page: Tab, question: str) -> tuple:
    """The turn, and its trace_id: storage can't be asked for it here."""
    with page.page.expect_response(re.compile("/chat/stream$")) as asked:
        turn = page.answered(question)
    return turn, asked.value.headers["x-trace-id"]


def arrives(server: Assay, trace_id: str, said: dict[str, list]) -> None:
    wait_until("it is on the trace", lambda: said_in(info_of(server, trace_id)) == said)


def stored(page: Tab) -> list[str]:
    return [turn["question"] for turn in json.loads(page.page.evaluate("localStorage.getItem('assay.conversation')"))]


def test_with_storage_full_a_thumb_arrives_and_a_question_is_answered(assay, tab):
    server = assay("serve")
    page = tab(server)
    first, first_id = answered(page, "First?")
    first.get_by_role("button", name="Bad answer").click()
    arrives(server, first_id, {"user_feedback": [False]})
    page.page.evaluate(FILL)
    first.get_by_role("button", name="Good answer").click()
    arrives(server, first_id, {"user_feedback": [True]})
    expect(first.get_by_role("button", name="Good answer")).to_have_attribute("aria-pressed", "true")
    second, second_id = answered(page, "Second?")
    second.get_by_role("button", name="Bad answer").click()
    second.get_by_role("button", name="incomplete").click()
    arrives(server, second_id, {"user_feedback": [False], "feedback_categories": [["incomplete"]]})
    held = []
    page.page.route(re.compile("/chat/stream$"), lambda route: held.append(route))
    page.ask("Third? " + "z" * 4000)
    expect(page.page.get_by_text("is gone when you close or reload it")).to_be_visible()
    page.screenshot("storage-full", full_page=False)
    page.page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('junk')).forEach((key) => localStorage.removeItem(key))")
    held[0].continue_()
    expect(page.turn("Third?").get_by_role("button", name="Good answer")).to_be_visible()
    expect(page.page.get_by_text("is gone when you close or reload it")).to_be_hidden()
    assert stored(page)[-1].startswith("Third?"), "it is written once there is room"


def test_the_oldest_turns_make_room_but_not_what_waits_to_be_sent(assay, tab):
    server = assay("serve")
    page = tab(server)
    waiting, waiting_id = answered(page, "Does it wait?")
    page.page.route(re.compile(r"/feedback\?"), lambda route: route.abort())
    waiting.get_by_role("button", name="Good answer").click()
    expect(page.page.get_by_text("1 waiting")).to_be_visible()
    page.page.evaluate(OLDER_ANSWERS)
    page.page.reload()
    page.page.evaluate(FILL)
    page.answered("Is there room?")
    expect(page.page.get_by_text("The oldest questions were taken off")).to_be_visible()
    page.screenshot("storage-made-room", full_page=False)
    kept = stored(page)
    assert kept[0] == "Does it wait?" and kept[-1] == "Is there room?"
    assert 0 < len(kept) - 2 < 20 and kept[-2] == "Old question 19.", kept
    page.page.get_by_role("button", name="Dismiss").click()
    expect(page.page.get_by_text("The oldest questions were taken off")).to_be_hidden()
    page.page.reload()
    expect(page.turn("Is there room?").get_by_role("button", name="Good answer")).to_be_visible()
    page.page.unroute_all()
    page.page.get_by_role("button", name="Send now").click()
    arrives(server, waiting_id, {"user_feedback": [True]})


def test_with_storage_forbidden_the_page_asks_and_sends_all_the_same(assay, tab):
    server = assay("serve")
    page = tab(server)
    page.page.add_init_script(f"({FORBID})()")
    page.page.reload()
    turn, trace_id = answered(page, "May I?")
    turn.get_by_role("button", name="Good answer").click()
    arrives(server, trace_id, {"user_feedback": [True]})
    expect(turn.get_by_text("Thank you!")).to_be_visible()
    expect(page.page.get_by_text("store nothing")).to_be_visible()
    page.answered("And again?")
    users = {info_of(server, trace)["trace_metadata"]["mlflow.trace.user"] for trace in (trace_id, answered(page, "Who am I?")[1])}
    assert len(users) == 1, "one visitor, until the tab is closed"
