"""`assay serve` from outside: every door of one process over the embedded log."""

import json
import threading

import httpx
import pytest

from support.assay import Assay
from support.door import (
    accepted,
    assessments,
    chat,
    events,
    new_request_id,
    new_trace_id,
    post_trace,
    receipt,
    trace_info,
    wait_assessment,
    wait_state,
)
from support.waiting import wait_until

THUMB = {"is_correct": True, "comment": "spot on"}
GENERAL = {
    "name": "tone",
    "value": {"polite": True, "words": 12},
    "rationale": "friendly",
    "metadata": {"screen": "mobile"},
    "source": {"type": "LLM_JUDGE", "id": "judge-7"},
}


@pytest.fixture
def serve(assay) -> Assay:
    return assay("serve")


# ── chat ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_chat_answers_with_the_ids_of_its_trace(serve):
    answer = chat(serve.http)
    assert set(answer) == {"response", "trace_id", "client_request_id", "feedback_token"}
    assert answer["response"]
    assert answer["trace_id"].startswith("tr-") and len(answer["trace_id"]) == 35
    assert answer["client_request_id"].startswith("req-") and len(answer["client_request_id"]) >= 4 + 22, "128 random bits"


def test_who_prefers_to_wait_is_answered_when_it_is_committed(serve):
    trace_id = chat(serve.http)["trace_id"]
    for wait in ("wait=5", "respond-async, Wait=5", "wait = 5", ["respond-async", "wait=5"]):
        headers = [("Prefer", line) for line in ([wait] if isinstance(wait, str) else wait)]
        for _ in range(20):
            answer = serve.http.post("/feedback", params={"trace_id": trace_id}, json={"is_correct": True}, headers=headers)
            assert answer.status_code == 200 and answer.headers["Preference-Applied"] == "wait=5", answer.text
            assert receipt(serve.http, answer.json()["assessment_id"])["state"] == "committed"
    early = serve.http.post("/feedback", params={"client_request_id": "req-of-nobody"}, json={"is_correct": True}, headers={"Prefer": "wait=5"})
    assert early.status_code == 202 and early.headers["Preference-Applied"] == "wait=5"
    assert receipt(serve.http, early.json()["assessment_id"])["state"] == "parked"
    for none in ("wait=soon", "return=minimal", ""):
        answer = serve.http.post("/feedback", params={"trace_id": trace_id}, json={"is_correct": True}, headers={"Prefer": none})
        assert answer.status_code == 200 and "Preference-Applied" not in answer.headers


def test_a_chat_is_a_trace_with_question_answer_session_user_and_tags(serve):
    request_id = new_request_id()
    answer = serve.http.post(
        "/chat",
        json={"message": "Is fire hot?", "tags": {"team": "blue"}},
        headers={"X-Client-Request-Id": request_id, "X-Session-ID": "session-1", "X-User-ID": "ana"},
    ).json()
    assert answer["client_request_id"] == request_id
    info = trace_info(serve.http, answer["trace_id"])
    assert info["state"] == "OK"
    assert info["client_request_id"] == request_id
    assert info["tags"]["team"] == "blue"
    assert info["trace_metadata"]["mlflow.trace.session"] == "session-1"
    assert info["trace_metadata"]["mlflow.trace.user"] == "ana"
    assert "Is fire hot?" in info["request_preview"]
    assert json.dumps(answer["response"])[1:-1][:40] in info["response_preview"]


def test_a_streamed_chat_sends_its_tokens_and_then_done_with_its_ids(serve):
    with serve.http.stream("POST", "/chat/stream", json={"message": "Is water wet?"}) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.headers["X-Accel-Buffering"] == "no"
        came = list(events(answer.iter_lines()))
    ids, data = [i for i, _ in came], [d for _, d in came]
    assert all(ids) and len(set(ids)) == len(ids), f"every event has an id of its own: {ids}"
    assert [d["type"] for d in data] == ["token"] * (len(data) - 1) + ["done"] and len(data) > 1
    done = data[-1]
    assert done["trace_id"] == answer.headers["X-Trace-Id"]
    assert done["client_request_id"] == answer.headers["X-Client-Request-Id"]
    info = trace_info(serve.http, done["trace_id"])
    assert info["state"] == "OK"
    assert json.dumps("".join(d["content"] for d in data[:-1]))[1:-1][:40] in info["response_preview"]


# ── feedback ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("by", ["trace_id", "client_request_id"])
@pytest.mark.parametrize("body, name, value, said", [(THUMB, "user_feedback", True, "spot on"), (GENERAL, "tone", GENERAL["value"], "friendly")])
def test_feedback_about_a_known_trace_is_committed_and_shown_on_it(serve, by, body, name, value, said):
    answer = chat(serve.http)
    given = serve.http.post("/feedback", params={by: answer[by], "user_id": "ana"}, json=body)
    assessment_id = accepted(given)
    assert given.status_code == 200 and given.json()["trace_id"] == answer["trace_id"]
    assert given.headers["Assay-Durability"] == "disk"

    where = wait_state(serve.http, assessment_id, "committed")
    assert where["trace_id"] == answer["trace_id"] and where["sinks"]
    info = trace_info(serve.http, answer["trace_id"])
    [shown] = info["assessments"]
    assert shown["assessment_id"] == assessment_id and shown["assessment_name"] == name
    assert shown["feedback"]["value"] == value and shown["rationale"] == said
    source = body.get("source", {"type": "HUMAN", "id": "ana"})
    assert shown["source"] == {"source_type": source["type"], "source_id": source["id"]}
    assert name in info["tags"]["assay.feedback"]


def test_the_user_of_the_query_wins_over_the_header(serve):
    trace_id = chat(serve.http)["trace_id"]
    by_query = accepted(serve.http.post("/feedback", params={"trace_id": trace_id, "user_id": "ana"}, json=THUMB, headers={"X-User-ID": "bob"}))
    by_header = accepted(serve.http.post("/feedback", params={"trace_id": trace_id}, json=THUMB, headers={"X-User-ID": "bob"}))
    assert wait_assessment(serve.http, trace_id, by_query)["source"]["source_id"] == "ana"
    assert wait_assessment(serve.http, trace_id, by_header)["source"]["source_id"] == "bob"


def test_detailed_feedback_is_three_assessments_of_a_fifth_a_point_with_the_comment_on_accuracy(serve):
    trace_id = chat(serve.http)["trace_id"]
    query = {"trace_id": trace_id, "accuracy": 5, "helpfulness": 3, "relevance": 1, "user_id": "ana", "comment": "all true"}
    answer = serve.http.post("/detailed-feedback", params=query)
    assert answer.status_code == 200
    assert answer.json()["feedback_recorded"] == {"accuracy": 5, "helpfulness": 3, "relevance": 1}
    found = wait_until("three assessments", lambda: len(found := assessments(serve.http, trace_id)) == 3 and found)
    by_name = {a["assessment_name"]: a for a in found.values()}
    assert {name: a["feedback"]["value"] for name, a in by_name.items()} == {"user_accuracy": 1.0, "user_helpfulness": 0.6, "user_relevance": 0.2}
    assert {name for name, a in by_name.items() if "rationale" in a} == {"user_accuracy"}


@pytest.mark.parametrize("wrong, field", [({"accuracy": 6}, "accuracy"), ({"relevance": "much"}, "relevance"), ({"user_id": None}, "user_id")])
def test_detailed_feedback_is_all_or_nothing(serve, wrong, field):
    trace_id = chat(serve.http)["trace_id"]
    query = {"trace_id": trace_id, "accuracy": 5, "helpfulness": 3, "relevance": 1, "user_id": "ana"} | wrong
    answer = serve.http.post("/detailed-feedback", params={k: v for k, v in query.items() if v is not None})
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json" and field in answer.text
    assert assessments(serve.http, trace_id) == {}


@pytest.mark.parametrize("form", ["list", "lines"])
def test_a_bad_item_of_a_batch_harms_none_beside_it(serve, form):
    trace_id, early = chat(serve.http)["trace_id"], new_request_id()
    items = [
        {"trace_id": trace_id, "name": "first", "value": 1},
        {"trace_id": trace_id, "name": "no value"},
        {"client_request_id": early, "name": "early", "value": "later"},
        {"name": "about nothing", "value": 1},
        {"trace_id": trace_id, "is_correct": "yes"},
        {"trace_id": trace_id, "name": "last", "value": 2, "idempotency_key": "key-1"},
    ]
    if form == "list":
        answer = serve.http.post("/feedback/batch", json=items)
    else:
        lines = "".join(json.dumps(i) + "\n" for i in items)
        answer = serve.http.post("/feedback/batch", content=lines, headers={"Content-Type": "application/x-ndjson"})
    assert answer.status_code == 207
    results = answer.json()["results"]
    assert [r["status"] for r in results] == [200, 422, 202, 422, 422, 200]
    assert ["assessment_id" in r for r in results] == [True, False, True, False, False, True]
    assert "value" in json.dumps(results[1]["error"]) and "is_correct" in json.dumps(results[4]["error"])
    wait_state(serve.http, results[0]["assessment_id"], "committed")
    wait_state(serve.http, results[2]["assessment_id"], "parked")
    wait_state(serve.http, results[5]["assessment_id"], "committed")
    assert set(assessments(serve.http, trace_id)) == {results[0]["assessment_id"], results[5]["assessment_id"]}


# ── changes ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "bad",
    [b'{"trace_id":"tr-1","name":"n","value":' + b"[" * 40 + b"]" * 40 + b"}", b'{"trace_id":"tr-1","name":"n","value":1e999}', b'{"trace_id":"tr-\xff","is_correct":true}', b"nonsense", b""],
    ids=["deep", "huge", "no UTF-8", "no JSON", "nothing"],
)
def test_an_item_of_a_list_that_is_no_json_harms_none_beside_it(serve, bad):
    good = b'{"trace_id":"tr-1","is_correct":true,"comment":"a \\" ] , [ { quote"}'
    answer = serve.http.post("/feedback/batch", content=b" [" + good + b" ," + bad + b", " + good + b"]\n")
    assert answer.status_code == 207, answer.text
    first, second, third = (result["status"] for result in answer.json()["results"])
    assert first < 300 and third < 300 and 400 <= second < 500


def test_what_curl_calls_a_form_is_taken_for_the_json_that_it_is(serve):
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": "identity"}
    accepted(serve.http.post("/feedback", params={"trace_id": chat(serve.http)["trace_id"]}, content=b' {"is_correct":true}', headers=headers))


def test_a_change_of_mind_replaces_what_was_said_and_keeps_the_rest(serve):
    trace_id = chat(serve.http)["trace_id"]
    assessment_id = accepted(serve.http.post("/feedback", params={"trace_id": trace_id, "user_id": "ana"}, json=GENERAL))
    changed = serve.http.patch(f"/feedback/{assessment_id}", json={"value": 3, "metadata": {"why": "read again"}})
    assert changed.status_code in (200, 202), changed.text

    def with_new_value():
        return (a := assessments(serve.http, trace_id).get(assessment_id)) and a["feedback"]["value"] == 3 and a

    now = wait_until("the new value", with_new_value)
    assert now["rationale"] == "friendly" and now["assessment_name"] == "tone"
    assert now["metadata"] == {"screen": "mobile", "why": "read again"}


def test_a_feedback_taken_back_is_gone_from_its_trace(serve):
    trace_id = chat(serve.http)["trace_id"]
    kept, taken_back = (accepted(serve.http.post("/feedback", params={"trace_id": trace_id}, json=THUMB)) for _ in range(2))
    wait_state(serve.http, taken_back, "committed")
    assert serve.http.delete(f"/feedback/{taken_back}").status_code in (200, 202)
    wait_until("only the other is left", lambda: set(assessments(serve.http, trace_id)) == {kept})
    wait_state(serve.http, taken_back, "deleted")
    assert receipt(serve.http, taken_back)["trace_id"] == trace_id and receipt(serve.http, taken_back)["sinks"] == {"store": "deleted"}
    assert serve.http.delete(f"/feedback/{taken_back}").status_code == 200, "whoever missed the answer asks again"
    changed = serve.http.patch(f"/feedback/{taken_back}", json={"value": True})
    assert changed.status_code == 404 and "deleted" in changed.json()["detail"]
    assert set(assessments(serve.http, trace_id)) == {kept}


def test_a_change_and_an_undo_sent_before_the_trace_take_effect_when_it_comes(serve):
    request_id, trace_id = new_request_id(), new_trace_id()
    changed, taken_back = (accepted(serve.http.post("/feedback", params={"client_request_id": request_id}, json=THUMB)) for _ in range(2))
    assert serve.http.patch(f"/feedback/{changed}", json={"value": False, "rationale": "wrong after all"}).status_code == 202
    assert serve.http.delete(f"/feedback/{taken_back}").status_code == 200, "nothing of it waits any more but that it was there"
    post_trace(serve.http, trace_id, request_id)
    wait_state(serve.http, changed, "committed")

    def settled():
        found = assessments(serve.http, trace_id)
        return set(found) == {changed} and found[changed]["feedback"]["value"] is False and found[changed]

    assert wait_until("the change and the undo", settled)["rationale"] == "wrong after all"
    wait_state(serve.http, taken_back, "deleted")


def test_a_change_to_a_feedback_that_nobody_gave_is_404(serve):
    unknown = "a-" + "0" * 32
    for answer in (
        serve.http.get(f"/feedback/{unknown}"),
        serve.http.patch(f"/feedback/{unknown}", json={"value": 1}),
        serve.http.delete(f"/feedback/{unknown}"),
    ):
        assert answer.status_code == 404 and answer.headers["Content-Type"] == "application/problem+json"


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_repeat_with_its_key_is_the_same_feedback(serve):
    trace_id = chat(serve.http)["trace_id"]
    ask = {"params": {"trace_id": trace_id, "user_id": "ana"}, "json": THUMB, "headers": {"Idempotency-Key": "click-1"}}
    first, again = (accepted(serve.http.post("/feedback", **ask)) for _ in range(2))
    assert first == again
    wait_state(serve.http, first, "committed")
    assert set(assessments(serve.http, trace_id)) == {first}


def test_twenty_repeats_at_once_are_one_feedback(serve):
    trace_id = chat(serve.http)["trace_id"]
    ids = []

    def click():
        with httpx.Client(base_url=serve.url, timeout=30, trust_env=False) as http:
            ids.append(accepted(http.post("/feedback", params={"trace_id": trace_id}, json=THUMB, headers={"Idempotency-Key": "click-2"})))

    clicks = [threading.Thread(target=click) for _ in range(20)]
    for c in clicks:
        c.start()
    for c in clicks:
        c.join()
    assert len(ids) == 20 and len(set(ids)) == 1
    wait_state(serve.http, ids[0], "committed")
    assert set(assessments(serve.http, trace_id)) == {ids[0]}


def test_a_key_used_again_for_something_else_is_422(serve):
    trace_id = chat(serve.http)["trace_id"]
    key = {"Idempotency-Key": "click-3"}
    first = accepted(serve.http.post("/feedback", params={"trace_id": trace_id}, json=THUMB, headers=key))
    other = serve.http.post("/feedback", params={"trace_id": trace_id}, json={"is_correct": False}, headers=key)
    assert other.status_code == 422 and "Idempotency-Key" in other.text
    wait_state(serve.http, first, "committed")
    assert assessments(serve.http, trace_id)[first]["feedback"]["value"] is True


# ── early ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("by", ["trace_id", "client_request_id"])
def test_feedback_before_its_trace_is_kept_and_committed_when_the_trace_comes(serve, by):
    ids = {"trace_id": new_trace_id(), "client_request_id": new_request_id()}
    given = serve.http.post("/feedback", params={by: ids[by], "user_id": "ana"}, json=THUMB)
    assessment_id = accepted(given)
    assert given.status_code == 202 and given.json()[by] == ids[by]
    assert wait_state(serve.http, assessment_id, "parked")[by] == ids[by]

    info = post_trace(serve.http, ids["trace_id"], ids["client_request_id"])
    assert info["trace_id"] == ids["trace_id"]
    assert "mlflow.trace.spansLocation" not in info["tags"], "as MLflow answers while no spans are there: its client then uploads them"
    assert wait_state(serve.http, assessment_id, "committed")["trace_id"] == ids["trace_id"]
    assert set(assessments(serve.http, ids["trace_id"])) == {assessment_id}


def test_feedback_before_its_chat_is_committed_when_the_chat_takes_that_id(serve):
    request_id = new_request_id()
    assessment_id = accepted(serve.http.post("/feedback", params={"client_request_id": request_id}, json=THUMB))
    trace_id = chat(serve.http, client_request_id=request_id)["trace_id"]
    wait_state(serve.http, assessment_id, "committed")
    assert set(assessments(serve.http, trace_id)) == {assessment_id}


def test_a_door_told_to_reject_unknown_traces_answers_404_and_accepts_nothing(assay):
    serve = assay("serve", "--unknown-trace=reject")
    answer = serve.http.post("/feedback", params={"client_request_id": new_request_id()}, json=THUMB)
    assert answer.status_code == 404 and "client_request_id" in answer.text
    known = chat(serve.http)
    assert serve.http.post("/feedback", params={"client_request_id": known["client_request_id"]}, json=THUMB).status_code == 200


# ── MLflow's dialect ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("flags", [(), ("--unknown-trace", "reject")])
def test_feedback_for_a_trace_that_was_deleted_is_404_on_every_door(assay, flags):
    serve = assay("serve", *flags)
    said = chat(serve.http)
    trace_id, by_request = said["trace_id"], {"client_request_id": said["client_request_id"]}
    deleted = serve.http.post("/api/3.0/mlflow/traces/delete-traces", json={"experiment_id": "0", "request_ids": [trace_id]})
    assert deleted.status_code == 200 and deleted.json()["traces_deleted"] == 1, deleted.text
    scores = {"trace_id": trace_id, "user_id": "u", "accuracy": 5, "helpfulness": 5, "relevance": 5}
    answers = [
        serve.http.post("/feedback", params={"trace_id": trace_id}, json={"is_correct": True}),
        serve.http.post("/feedback", params=by_request, json={"is_correct": True}),
        serve.http.post("/detailed-feedback", params=scores),
    ]
    for answer in answers:
        assert answer.status_code == 404 and "deleted" in answer.json()["detail"], answer.text
    batch = serve.http.post("/feedback/batch", json=[{"trace_id": trace_id, "is_correct": True}]).json()["results"]
    assert batch[0]["status"] == 404


def test_a_trace_sent_twice_is_one_and_an_unknown_one_is_mlflows_404(serve):
    trace_id = new_trace_id()
    for _ in range(2):
        post_trace(serve.http, trace_id, new_request_id(), tags={"mlflow.traceName": "answer", "k": "v"})
    assert trace_info(serve.http, trace_id)["tags"]["k"] == "v"
    unknown = serve.http.get(f"/api/3.0/mlflow/traces/{new_trace_id()}")
    assert unknown.status_code == 404 and unknown.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"


def test_a_bad_trace_is_refused_in_mlflows_words(serve):
    answer = serve.http.post("/api/3.0/mlflow/traces", json={"trace": {"trace_info": {"state": "OK"}}})
    assert answer.status_code == 400 and answer.json()["error_code"] == "INVALID_PARAMETER_VALUE" and "trace_id" in answer.json()["message"]
