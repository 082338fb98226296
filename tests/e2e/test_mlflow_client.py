"""The unmodified MLflow client against `assay serve`: what the guide's programs do, and what is deliberately not as MLflow has it."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from support.captures_replay import replay
from support.mlflow_client import client_env
from support.waiting import wait_until

GUIDE = Path(__file__).parent / "guide"
CAPTURES = Path(__file__).parent / "captures"


def run_client(url: str, script: Path) -> dict:
    done = subprocess.run([sys.executable, script.name], cwd=script.parent, env=client_env(url), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


def test_the_guides_programs_work_and_feedback_at_once_is_taken(assay):
    serve = assay("serve")
    seen = run_client(serve.url, GUIDE / "use.py")
    assert seen["stream"] == ["token"] * (len(seen["stream"]) - 1) + ["done"]
    statuses = {name: seen[name] for name in ("by_trace", "detailed", "by_request", "after_stream")}
    assert statuses == dict.fromkeys(statuses, 200), "feedback came before its trace was exported"
    shown = seen["analysis"]
    assert shown["traces"] == 3 and shown["with_feedback"] == 3
    assert (shown["positive"], shown["negative"]) == (2, 1)
    assert shown["ratings"] == {"accuracy": 1.0, "helpfulness": 0.8, "relevance": 0.6}


def test_what_is_hard_to_send_is_kept_and_read_back(assay):
    seen = run_client(assay("serve").url, GUIDE / "hard.py")
    assert seen == {"inputs": ["1", "9.2233720", "zzzzzzzzz", "yyyyyyyyy"], "spans": [2] * 4, "found": 5, "read": True, "tags": "a", "deep": 50}


def test_a_score_is_read_back_as_the_double_that_was_sent(assay):
    seen = run_client(assay("serve").url, GUIDE / "exact.py")
    assert seen == {**dict.fromkeys(("answered", "got", "listed", "expected", "span", "dataset"), True), "found": [1] * 5}


def test_numbers_that_json_has_no_words_for_are_read_back(assay):
    seen = run_client(assay("serve").url, GUIDE / "not_a_number.py")
    assert seen == dict.fromkeys(("inputs", "outputs", "expected", "record"), True)


def test_what_is_said_comes_in_its_order_and_can_be_changed_before_its_trace_comes(assay):
    names = ["old", *(f"n{i}" for i in range(5))]
    changed = [False, "s", {"m": "1"}, "CODE", True]
    assert run_client(assay("serve").url, GUIDE / "said.py") == {
        "order": names,
        "searched": names,
        "refused": "INVALID_PARAMETER_VALUE: Cannot update expectation value on a Feedback assessment.",
        "updated": changed,
        "got": changed,
        "overridden": False,
    }


def feedback_body(trace_id: str) -> dict:
    return {"assessment": {"assessment_name": "user_feedback", "trace_id": trace_id, "source": {"source_type": "HUMAN", "source_id": "ana"},
                           "create_time": "2026-11-23T15:57:31.547Z", "last_update_time": "2026-11-23T15:57:31.547Z", "feedback": {"value": True}, "valid": True}}


def start_trace(http: httpx.Client, trace_id: str, request_id: str | None = None, assessments: list | None = None) -> httpx.Response:
    info = {"trace_id": trace_id, "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}},
            "request_time": "2026-11-23T15:57:30.000Z", "execution_duration": "0.048s", "state": "OK", "tags": {"mlflow.traceName": "x"}}
    if request_id:
        info["client_request_id"] = request_id
    if assessments:
        info["assessments"] = assessments
    return http.post("/api/3.0/mlflow/traces", json={"trace": {"trace_info": info}})


def test_a_repeated_post_is_one_assessment(assay):
    http = assay("serve").http
    trace_id = "tr-" + "1" * 32
    inline = [{k: v for k, v in feedback_body(trace_id)["assessment"].items() if k != "trace_id"} | {"assessment_name": "inline"}]
    ids = set()
    for _ in range(3):
        assert start_trace(http, trace_id, assessments=inline).status_code == 200
        answer = http.post(f"/api/3.0/mlflow/traces/{trace_id}/assessments", json=feedback_body(trace_id))
        assert answer.status_code == 200
        ids.add(answer.json()["assessment"]["assessment_id"])
    assert len(ids) == 1
    shown = http.get(f"/api/3.0/mlflow/traces/{trace_id}").json()["trace"]["trace_info"]["assessments"]
    assert sorted(a["assessment_name"] for a in shown) == ["inline", "user_feedback"]


def test_feedback_for_an_unknown_trace_is_parked_or_refused_as_told(assay):
    trace_id = "tr-" + "2" * 32
    parking = assay("serve").http
    assert parking.post(f"/api/3.0/mlflow/traces/{trace_id}/assessments", json=feedback_body(trace_id)).status_code == 200
    assert start_trace(parking, trace_id).status_code == 200
    assert wait_until("it is released", lambda: parking.get(f"/api/3.0/mlflow/traces/{trace_id}").json()["trace"]["trace_info"].get("assessments"))

    refusing = assay("serve", "--unknown-trace=reject").http
    answer = refusing.post(f"/api/3.0/mlflow/traces/{trace_id}/assessments", json=feedback_body(trace_id))
    assert answer.status_code == 404
    assert answer.json() == {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"Trace with ID '{trace_id}' not found.", "sqlstate": "KAM00", "error_class": "RESOURCE_NOT_FOUND"}
    assert start_trace(refusing, trace_id).status_code == 200
    assert refusing.post(f"/api/3.0/mlflow/traces/{trace_id}/assessments", json=feedback_body(trace_id)).status_code == 200


def search_one(http: httpx.Client, request_id: str, experiment: str = "0") -> dict:
    body = {"locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}], "filter": f"attributes.client_request_id = '{request_id}'", "max_results": 1}
    return http.post("/api/3.0/mlflow/traces/search", json=body).raise_for_status().json()


def test_a_request_that_is_not_exported_yet_is_found_as_a_pending_trace(assay):
    http = assay("serve").http
    [pending] = search_one(http, "req-early")["traces"]
    assert pending["state"] == "IN_PROGRESS" and pending["client_request_id"] == "req-early"
    answer = http.post(f"/api/3.0/mlflow/traces/{pending['trace_id']}/assessments", json=feedback_body(pending["trace_id"]))
    assert answer.status_code == 200
    real = "tr-" + "3" * 32
    assert start_trace(http, real, "req-early").status_code == 200
    [shown] = wait_until("it is released", lambda: http.get(f"/api/3.0/mlflow/traces/{real}").json()["trace"]["trace_info"].get("assessments"))
    assert shown["assessment_id"] == answer.json()["assessment"]["assessment_id"]
    [found] = search_one(http, "req-early")["traces"]
    assert found["trace_id"] == real
    assert http.get(f"/api/3.0/mlflow/traces/{pending['trace_id']}").json()["trace"]["trace_info"]["trace_id"] == real
    assert search_one(assay("serve", "--unknown-trace=reject").http, "req-early") == {}


def test_nobody_waits_for_a_trace_that_stands_elsewhere_or_can_stand_nowhere(assay):
    http = assay("serve").http
    other = http.post("/api/2.0/mlflow/experiments/create", json={"name": "other"}).raise_for_status().json()["experiment_id"]
    assert search_one(http, "req-1", other)["traces"][0]["tags"]["assay.pending"] == "true"
    trace_id = "tr-" + "7" * 32
    assert start_trace(http, trace_id, "req-1").status_code == 200
    assert search_one(http, "req-1", other) == {}
    deleted = http.post("/api/3.0/mlflow/traces/delete-traces", json={"experiment_id": "0", "request_ids": [trace_id]})
    assert deleted.raise_for_status().json() == {"traces_deleted": 1}
    assert search_one(http, "req-1") == {}
    assert search_one(http, "req-2", "404404") == {}
    http.post("/api/2.0/mlflow/experiments/delete", json={"experiment_id": other}).raise_for_status()
    assert search_one(http, "req-2", other) == {}


def test_a_restart_leaves_the_name_that_an_experiment_was_given(assay):
    door = assay("serve", "--experiment", "prod")
    ask = "/api/2.0/mlflow/experiments"
    made = door.http.get(f"{ask}/get-by-name", params={"experiment_name": "prod"}).raise_for_status().json()["experiment"]
    door.http.post(f"{ask}/update", json={"experiment_id": made["experiment_id"], "new_name": "prod-2"}).raise_for_status()
    door.kill9()
    door.start()
    renamed = door.http.get(f"{ask}/get-by-name", params={"experiment_name": "prod-2"}).raise_for_status().json()["experiment"]
    assert renamed["experiment_id"] == made["experiment_id"]
    assert door.http.get(f"{ask}/get-by-name", params={"experiment_name": "prod"}).status_code == 404


def test_what_the_client_could_not_read_back_is_not_let_in(assay):
    http = assay("serve").http
    trace_id = "tr-" + "4" * 32
    assert start_trace(http, trace_id).status_code == 200
    path = f"/api/3.0/mlflow/traces/{trace_id}/assessments"

    def refusal(method: str, path: str, said: dict, **more) -> str:
        answer = http.request(method, path, json={"assessment": {"assessment_name": "n", "source": {"source_type": "HUMAN"}} | said} | more)
        assert answer.status_code == 400, answer.text
        return answer.json()["message"]

    unknown = {"serialized_value": {"serialization_format": "X", "value": "1"}}
    ids = {kind: http.post(path, json={"assessment": {"assessment_name": "n", kind: {"value": 1}}}).json()["assessment"]["assessment_id"] for kind in ("feedback", "expectation")}
    for said, reason in (
        ({"expectation": {"value": None}}, "The `value` field must be specified."),
        ({"expectation": unknown}, "Unknown serialization format: X. Only JSON_FORMAT is supported."),
        ({"expectation": {"serialized_value": {"serialization_format": "JSON_FORMAT", "value": "{nope"}}}, "expectation.serialized_value.value: it is not JSON"),
        ({"feedback": {"error": {"error_code": 5}}}, "feedback.error.error_code: it is not a string"),
        ({"feedback": {"value": json.loads("[" * 60 + "]" * 60)}}, "feedback.value: it is nested deeper than 31 objects or 47 lists"),
    ):
        [kind] = said
        assert refusal("POST", path, said) == reason
        assert refusal("PATCH", f"{path}/{ids[kind]}", said, update_mask=kind) == reason
    assert refusal("POST", path, {"feedback": {"value": json.loads("[" * 200 + "]" * 200)}}) == "it is nested deeper than 100 levels"
    # MLflow reads paths in camel case, and what is no text as one that names nothing.
    for mask, name in (("assessment_name", "n"), (["assessmentName"], "n"), ("assessmentName", "m")):
        answer = http.patch(f"{path}/{ids['feedback']}", json={"assessment": {"assessment_name": "m"}, "update_mask": mask})
        assert answer.json()["assessment"]["assessment_name"] == name


def test_a_client_of_version_2_is_told_to_upgrade(assay):
    http = assay("serve").http
    answer = http.get("/api/2.0/mlflow/experiments/get-by-name", params={"experiment_name": "Default"}, headers={"User-Agent": "mlflow-python-client/2.22.1"})
    assert answer.status_code == 400 and "pip install -U" in answer.json()["message"]
    assert http.get("/api/2.0/mlflow/experiments/get-by-name", params={"experiment_name": "Default"}, headers={"User-Agent": "mlflow-python-client/3.1.4"}).status_code == 200


def test_probes_say_what_the_client_asks_for(assay):
    http = assay("serve").http
    assert http.get("/health").text == "OK"
    assert tuple(map(int, http.get("/version").text.split("."))) >= (3, 4, 0)
    for prefix in ("api", "ajax-api"):
        assert http.get(f"/{prefix}/3.0/mlflow/server-info").json()["workspaces_enabled"] is False
    assert http.post("/api/3.0/mlflow/bogus", json={}).json()["error_code"] == "ENDPOINT_NOT_FOUND"


def test_everything_is_there_after_kill_9(assay):
    serve = assay("serve")
    http = serve.http
    made = http.post("/api/2.0/mlflow/experiments/create", json={"name": "/kept", "tags": [{"key": "k", "value": "v"}]}).json()["experiment_id"]
    dataset = http.post("/api/3.0/mlflow/datasets/create", json={"name": "ds", "experiment_ids": [made]}).json()["dataset"]["dataset_id"]
    records = json.dumps([{"inputs": {"q": i}} for i in range(5)])
    assert http.post(f"/api/3.0/mlflow/datasets/{dataset}/records", json={"records": records}).json() == {"inserted_count": 5, "updated_count": 0}
    serve.restart_after_kill9()
    assert http.get("/api/2.0/mlflow/experiments/get", params={"experiment_id": made}).json()["experiment"]["tags"] == [{"key": "k", "value": "v"}]
    assert len(json.loads(http.get(f"/api/3.0/mlflow/datasets/{dataset}/records").json()["records"])) == 5
    assert http.post("/api/2.0/mlflow/experiments/create", json={"name": "/kept"}).json()["error_code"] == "RESOURCE_ALREADY_EXISTS"


def test_what_is_deep_is_found_and_hides_nothing_beside_it(assay):
    http = assay("serve").http
    trace_id = "tr-4bf92f3577b34da6a3ce929d0e0e4736"
    assert start_trace(http, trace_id).status_code == 200
    said = {"assessment_name": "deep", "source": {"source_type": "HUMAN", "source_id": "ana"}, "feedback": {"value": json.loads("[" * 47 + "]" * 47)}}
    http.post(f"/api/3.0/mlflow/traces/{trace_id}/assessments", json={"assessment": said}).raise_for_status()
    event = {"name": "e", "attributes": [{"key": "k", "value": {"stringValue": json.loads("[" * 45 + "]" * 45)}}]}
    span = {"traceId": trace_id[3:], "spanId": "00f067aa0ba902b7", "name": "found", "startTimeUnixNano": "1", "endTimeUnixNano": "2", "events": [event]}
    http.post("/v1/traces", json={"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}, headers={"x-mlflow-experiment-id": "0"}).raise_for_status()
    for wanted in ("feedback.deep IS NOT NULL", "span.name = 'found'"):
        asked = {"locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}], "filter": wanted}
        assert len(http.post("/api/3.0/mlflow/traces/search", json=asked).raise_for_status().json().get("traces", [])) == 1, wanted
    assert http.get(f"/api/2.0/mlflow/traces/{trace_id}/info").json()["trace_info"]["request_id"] == trace_id
    listed = http.get("/api/2.0/mlflow/traces", params={"experiment_ids": "0"}).json()["traces"]
    assert [trace["request_id"] for trace in listed] == [trace_id]


def test_the_records_of_a_dataset_come_by_pages_that_are_bounded(assay):
    http = assay("serve").http

    def dataset_of(name: str, *batches: list[dict]) -> str:
        dataset = http.post("/api/3.0/mlflow/datasets/create", json={"name": name, "experiment_ids": ["0"]}).json()["dataset"]["dataset_id"]
        for records in batches:
            http.post(f"/api/3.0/mlflow/datasets/{dataset}/records", json={"records": json.dumps(records)}).raise_for_status()
        assert http.get(f"/api/3.0/mlflow/datasets/{dataset}").json()["dataset"]["profile"] == json.dumps({"num_records": sum(map(len, batches))})
        return f"/api/3.0/mlflow/datasets/{dataset}/records"

    def pages(path: str, **asked) -> list[list[int]]:
        found = []
        while True:
            page = http.get(path, params=asked).raise_for_status().json()
            found.append([record["inputs"]["q"] for record in json.loads(page["records"])])
            if "next_page_token" not in page:
                return found
            asked["page_token"] = page["next_page_token"]

    many = dataset_of("many", [{"inputs": {"q": i}} for i in range(300)])
    for most, sizes in ((130, [130, 130, 40]), (150, [150, 150]), (50_000, [300])):
        found = pages(many, max_results=most)
        assert [len(page) for page in found] == sizes and sorted(sum(found, [])) == list(range(300))
    for wrong in ("50001", "-1", "x", "5x"):
        refused = http.get(many, params={"max_results": wrong})
        assert refused.status_code == 400 and "max_results" in refused.json()["message"]
    large = dataset_of("large", *([{"inputs": {"q": 7 * n + i, "text": "x" * 500_000}} for i in range(7)] for n in range(6)))
    found = pages(large, max_results=50_000)
    assert len(found) == 2 and sorted(sum(found, [])) == list(range(42)), "of megabytes they come in several"


@pytest.mark.parametrize("capture", sorted(p.name for p in CAPTURES.glob("*.json")))
def test_recorded_requests_are_answered_as_mlflow_answered_them(assay, capture):
    serve = assay("serve", "--unknown-trace=reject")
    differences = replay(serve.url, json.loads((CAPTURES / capture).read_text()))
    assert not differences, "\n".join(differences[:10])


def test_a_chat_joins_the_trace_of_its_caller(assay):
    http = assay("serve").http
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    chat = http.post("/chat", json={"message": "hello"}, headers={"traceparent": f"00-{trace}-{parent}-01"}).json()
    assert chat["trace_id"] == f"tr-{trace}"
    assert start_trace(http, f"tr-{trace}").status_code == 200
    whole = http.get("/api/3.0/mlflow/traces/get", params={"trace_id": f"tr-{trace}", "allow_partial": "true"}).json()["trace"]
    assert whole["spans"][0]["parent_span_id"] == "APBnqgupArc="
    assert whole["trace_info"]["tags"]["mlflow.traceName"] == "x", "what the caller says of its trace counts"
    alone = http.post("/chat", json={"message": "hello"}, headers={"traceparent": "00-nonsense"}).json()
    assert alone["trace_id"] != f"tr-{trace}"
