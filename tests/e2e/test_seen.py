"""What people see: MLflow's own page in Chromium, with a trace made by a chat through assay and what was said of it, through both sinks."""

import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright

from support.door import accepted, chat, new_request_id
from support.paths import ROOT
from support.postgres import PASSWORD
from support.waiting import wait_until

SCREENSHOTS = ROOT / "build" / "test" / "seen"


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1600, "height": 1100})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def _chat_and_judge(http) -> str:
    trace_id = chat(http, "Is water wet?", new_request_id())["trace_id"]
    accepted(http.post("/feedback", params={"trace_id": trace_id, "user_id": "ana"}, json={"is_correct": False, "comment": "it is not"}))
    http.post("/detailed-feedback", params={"trace_id": trace_id, "user_id": "ana", "accuracy": 5, "helpfulness": 4, "relevance": 1}).raise_for_status()
    return trace_id


def _look(page: Page, url: str, mlflow_http, trace_id: str, name: str) -> None:
    def info() -> dict:
        found = mlflow_http.get(f"{url}/api/3.0/mlflow/traces/{trace_id}")
        return found.json()["trace"]["trace_info"] if found.status_code == 200 else {}

    wait_until("four assessments in MLflow", lambda: len(info().get("assessments", [])) == 4 and info()["state"] == "OK", 60)
    experiment = info()["trace_location"]["mlflow_experiment"]["experiment_id"]
    page.goto(f"{url}/#/experiments/{experiment}/traces?selectedEvaluationId={trace_id}")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    try:
        page.locator("button", has_text="Assess").last.click()  # opens the pane of what was said, beside the trace
        pane = page.get_by_test_id("assessments-pane")
        pane.get_by_text("Feedback (4)").wait_for()
        for said in ("user_accuracy", "1", "user_helpfulness", "0.8", "user_relevance", "0.2", "user_feedback", "False"):
            pane.get_by_text(said, exact=True).first.wait_for()
        more = pane.locator("[data-component-id$=toggle-assessment-expanded]")
        for i in range(4):
            more.nth(i).click()
        pane.get_by_text("it is not").first.wait_for()
        page.get_by_text("Is water wet?", exact=True).last.wait_for()
    finally:
        page.screenshot(path=SCREENSHOTS / f"{name}.png")


def test_through_the_rest_sink_and_through_the_door(assay, mlflow_server, page):
    door = assay("serve", "--mlflow-url", mlflow_server.url, "--experiment", f"seen-{uuid.uuid4().hex[:8]}")
    _look(page, door.url, door.http, _chat_and_judge(door.http), "rest")


def test_through_the_sql_sink(assay, mlflow_on_postgres, page):
    server, database = mlflow_on_postgres
    door = assay("serve", "--mlflow-db", database.url, "--mlflow-url", server.url, "--experiment", f"seen-{uuid.uuid4().hex[:8]}", env={"ASSAY_MLFLOW_DB_PASSWORD": PASSWORD})
    _look(page, door.url, door.http, _chat_and_judge(door.http), "sql")
