"""Uses app.py as its users do, without a pause between an answer and what they say of it, and then looks at everything as the guide's
analysis does. Prints what it saw as JSON."""

import json
import sys
from datetime import datetime, timedelta

from app import EXPERIMENT, app
from fastapi.testclient import TestClient
from mlflow import MlflowClient


def analysis(hours: int = 24) -> dict:
    client = MlflowClient()
    since = int((datetime.now() - timedelta(hours=hours)).timestamp() * 1000)
    where = client.get_experiment_by_name(EXPERIMENT)
    found, token = [], None
    while True:
        page = client.search_traces(locations=[where.experiment_id], filter_string=f"trace.timestamp_ms > {since}", max_results=2, page_token=token)
        found.extend(page)
        token = page.token
        if not token:
            break
    thumbs, ratings, rated = [], {}, 0
    for trace in found:
        said = client.get_trace(trace.info.trace_id, display=False).info.assessments
        rated += bool(said)
        for one in said:
            if one.name == "user_feedback":
                thumbs.append(one.value)
            elif one.name.startswith("user_"):
                ratings.setdefault(one.name.removeprefix("user_"), []).append(one.value)
    return {"traces": len(found), "with_feedback": rated, "positive": sum(thumbs), "negative": len(thumbs) - sum(thumbs), "ratings": {k: sum(v) / len(v) for k, v in ratings.items()}}


def main() -> dict:
    users = TestClient(app)
    seen = {}
    chat = users.post("/by-trace/chat", json={"message": "one"}).json()
    said = users.post("/by-trace/feedback", params={"trace_id": chat["trace_id"], "user_id": "ana"}, json={"is_correct": True, "comment": "yes"})
    seen["by_trace"] = said.status_code
    stars = {"trace_id": chat["trace_id"], "user_id": "ana", "accuracy": 5, "helpfulness": 4, "relevance": 3, "comment": "good"}
    seen["detailed"] = users.post("/detailed-feedback", params=stars).status_code
    chat = users.post("/by-request/chat", json={"message": "two"}, headers={"X-Session-ID": "s1", "X-User-ID": "bob"}).json()
    said = users.post("/by-request/feedback", params={"client_request_id": chat["client_request_id"]}, json={"is_correct": False}, headers={"X-User-ID": "bob"})
    seen["by_request"] = said.status_code
    lines = [json.loads(line[6:]) for line in users.post("/chat/stream", json={"message": "three"}).text.splitlines() if line.startswith("data: ")]
    seen["stream"] = [line["type"] for line in lines]
    said = users.post("/by-trace/feedback", params={"trace_id": lines[-1]["trace_id"]}, json={"is_correct": True})
    seen["after_stream"] = said.status_code
    return seen


if __name__ == "__main__":
    import mlflow

    outcome = main()
    mlflow.flush_trace_async_logging()
    if outcome["by_request"] == 404:  # by client_request_id the trace itself must have come: see the README
        outcome["by_request_after_export"] = True
    outcome["analysis"] = analysis()
    json.dump(outcome, sys.stdout)
