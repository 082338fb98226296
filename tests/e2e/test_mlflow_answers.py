"""Requests that no client library sends twice the same: a real MLflow server and `assay serve` give the same status, words and traces."""

import json
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from support.assay import Assay
from support.door import post_spans, trace_body


class Server:
    """One of the two, with two experiments: three traces in the first, one in the second."""

    def __init__(self, http: httpx.Client, run: str):
        self.http, self.run = http, run
        self.first, self.second = (
            self.post("2.0/mlflow/experiments/create", {"name": f"{run}-{name}", "tags": [{"key": "k", "value": "v"}]}).json()["experiment_id"] for name in ("one", "two")
        )
        self.traces = [self.trace(number, tags) for number, tags in enumerate([{"u": "żółw Ż", "env": "prod"}, {"u": "line1\nline2", "a b": "1"}, {}, {"env": "dev"}])]
        said = {"assessment_name": "a b.c", "source": {"source_type": "HUMAN", "source_id": "ana"}, "feedback": {"value": True}, "valid": True}
        times = dict.fromkeys(("create_time", "last_update_time"), "2026-11-23T15:57:31.547Z")
        self.post(f"3.0/mlflow/traces/{self.traces[0]}/assessments", {"assessment": {**said, **times, "trace_id": self.traces[0]}}).raise_for_status()
        self.post("3.0/mlflow/datasets/create", {"name": f"{run}-set", "experiment_ids": [self.first]}).raise_for_status()

    def post(self, path: str, body: dict | None) -> httpx.Response:
        return self.http.post(f"/api/{path}", json=body)

    def trace(self, number: int, tags: dict[str, str]) -> str:
        trace_id = f"tr-{self.run}{number:024x}"
        more = {"client_request_id": "req-1", "request_time": f"2026-11-23T15:57:3{number}.000Z", "tags": tags, "trace_metadata": {"m": "1"}}
        self.post("3.0/mlflow/traces", trace_body(trace_id, experiment_id=self.second if number == 3 else self.first, **more)).raise_for_status()
        return trace_id

    def info(self, trace_id: str) -> dict:
        return self.http.get(f"/api/3.0/mlflow/traces/{trace_id}").raise_for_status().json()["trace"]["trace_info"]

    def traces_found(self, **asked) -> tuple:
        locations = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": id}} for id in (self.first, self.second)]
        return self.seen(self.post("3.0/mlflow/traces/search", {"locations": locations, "max_results": 9, **asked}))

    def seen(self, answer: httpx.Response) -> tuple:
        """Status and what is said, without what no two servers share: ids, and the order of a set in Python's words."""
        said = answer.json()
        if answer.status_code == 200:
            of = [name for name in ("traces", "trace_infos", "experiments", "datasets") if name in said]
            return 200, [re.sub("[0-9a-f]*-", "", one.get("name") or one["trace_id"]) for one in (said[of[0]] if of else [])]
        message = re.sub(r"{('[^{}]*')}", lambda names: str(sorted(names[1].split(", "))), said["message"])
        for id, name in ((self.first, "FIRST"), (self.second, "SECOND")):
            message = re.sub(rf"(?<![\w-]){id}\b", name, message)  # MLflow numbers them 1, 2, …
        return answer.status_code, said["error_code"], message


@pytest.fixture(scope="module")
def servers(mlflow_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    run = uuid.uuid4().hex[:8]
    with Assay("serve", "--unknown-trace=reject", home=Path(tmp_path_factory.mktemp("answers"))).start() as serve:
        yield [Server(httpx.Client(base_url=url, timeout=60), run) for url in (mlflow_url, serve.url)]


def same(servers: list[Server], ask: Callable[[Server], object]) -> object:
    theirs, ours = map(ask, servers)
    assert ours == theirs
    return ours


@pytest.mark.parametrize("headers", [{}, {"Content-Type": ""}, {"Content-Type": "text/plain"}, {"Content-Type": "application/jsonx"}])
@pytest.mark.parametrize("path", ["3.0/mlflow/traces", "3.0/mlflow/traces/search", "3.0/mlflow/traces/tr-1/assessments"])
def test_a_body_that_is_not_said_to_be_json_is_refused(servers, path, headers):
    """A foreign web page can send it without asking first."""

    def ask(server: Server) -> tuple:
        body = json.dumps(trace_body(f"tr-{uuid.uuid4().hex}", experiment_id=server.first))
        return server.seen(server.http.post(f"/api/{path}", content=body, headers=headers))

    assert same(servers, ask)[0] == 400


FOUND = [
    *(f"tags.u RLIKE '{pattern}'" for pattern in ("^ż.łw", "^.{6}$", r"^\w+ ", "^[żz]ó", r"\bŻ", "(?i)ŻÓŁW", "(?P<a>ż)", "^line2", "line1.line2", r"\Aline1")),
    *("tags.'env' = 'prod'", "attributes.'status' = 'OK'", "tags.a b IS NULL", "tags.'a b' IS NOT NULL", "feedback.a b.c IS NOT NULL"),
    *("tags.`mlflow.artifactLocation` LIKE 'mlflow-artifacts:%'", "tags.`mlflow.artifactLocation` IS NULL"),
]
REFUSED = [
    *("   ", "client_request_id = req-1", "client_request_id RLIKE req-1", "client_request_id != a-b", "tags.$x = 'y'", "status = NULL", "feedback.x = NULL"),
    *("span.attributes.model IN ('a')", "span.attributes.model NOT IN ('a')", "Timestamp > 5", "timestamp < 'x'", "timestamp IS NULL", "x y"),
]
ORDERS = ["tags.'env'", "tags.`env` DESC", "tags.'a b' desc", "`tags.env`", "status asc ", "  status", "metadata.`mlflow.trace.tokenUsage`", "TIMESTAMP"]


@pytest.mark.parametrize("filter", FOUND + REFUSED)
def test_a_filter_finds_the_same_traces_or_is_refused_in_the_same_words(servers, filter):
    assert (same(servers, lambda server: server.traces_found(filter=filter))[0] == 200) == (filter in FOUND)


@pytest.mark.parametrize("order", ORDERS)
def test_traces_are_ordered_alike(servers, order):
    same(servers, lambda server: server.traces_found(order_by=[order]))


@pytest.mark.parametrize("filter", ["tags.'k' = 'v'", "tags.k v IS NULL", "   ", "name = NULL", "experiment_id = 'abc'", "experiment_id = ''", "experiment_id IN ('FIRST', 'x')", "experiment_id IN ('FIRST')"])
def test_experiments_are_found_alike(servers, filter):
    def ask(server: Server) -> tuple:
        ours = f"name LIKE '{server.run}%' AND " if filter.strip() else ""
        return server.seen(server.post("2.0/mlflow/experiments/search", {"max_results": 9, "filter": ours + filter.replace("FIRST", server.first)}))

    same(servers, ask)


@pytest.mark.parametrize("asked", [{"filter_string": "name RLIKE 't$'"}, {"filter_string": "created_by RLIKE 'a'"}, {"filter_string": "name = x-1"}, {"order_by": ["`name`"]}, {"order_by": ["name asc "]}])
def test_datasets_are_found_alike(servers, asked):
    same(servers, lambda server: server.seen(server.post("3.0/mlflow/datasets/search", {"experiment_ids": [server.first], "max_results": 9, **asked})))


@pytest.mark.parametrize("asked", ["", "max_results=1", "max_results=x", "max_results=9&view_type=DELETED_ONLY", "max_results=1&filter=bogus", "max_results=9&order_by=name&order_by=experiment_id%20desc"])
def test_experiments_are_searched_by_get_too(servers, asked):
    def ask(server: Server) -> tuple:
        return server.seen(server.http.get(f"/api/2.0/mlflow/experiments/search?{asked}"))[0::2]

    assert same(servers, lambda server: ask(server)[0]) == (200 if re.search(r"results=\d(?!.*bogus)", asked) else 400)
    if ask(servers[0])[0] == 400:
        same(servers, ask)


@pytest.mark.parametrize("most", [None, 0, 1])
def test_a_search_of_experiments_says_how_many_it_wants(servers, most):
    assert same(servers, lambda server: server.seen(server.post("2.0/mlflow/experiments/search", {"max_results": most}))[0]) == (200 if most else 400)


@pytest.mark.parametrize("experiments", [None, [], ["first"], ["second"], ["first", "abc"], [""], ["99"]])
def test_trace_infos_come_of_the_experiments_asked_for(servers, experiments):
    def ask(server: Server) -> tuple:
        asked = {"trace_ids": server.traces + [f"tr-{n:032x}" for n in range(600)]}
        if experiments is not None:
            asked["experiment_ids"] = [getattr(server, name, name) for name in experiments]
        return server.seen(server.post("3.0/mlflow/traces/batchGetInfos", asked))

    same(servers, ask)


@pytest.mark.parametrize("more", [{"request_ids": ["tr-1"]}, {"max_timestamp_millis": 5}])
def test_traces_of_what_is_no_experiment_are_not_deleted(servers, more):
    assert same(servers, lambda server: server.seen(server.post("2.0/mlflow/traces/delete-traces", {"experiment_id": "abc", **more})))[0] == 400


@pytest.mark.parametrize("locations", [[], [{}], [{"type": "MLFLOW_EXPERIMENT"}], [{"inference_table": {"full_table_name": "a"}}]])
def test_where_no_experiment_is_searched_nothing_is_found(servers, locations):
    assert same(servers, lambda server: server.traces_found(locations=locations)) == (200, [])
    assert same(servers, lambda server: server.traces_found(locations=locations, filter="x ="))[0] == 400


EXPERIMENTS = [
    *({"name": "ż" * n} for n in (480, 501)),
    *({"tags": [{"key": "k", "value": "ż" * n}]} for n in (10_001, 20_001)),
    *({"tags": [{"key": key, "value": "v"}]} for key in ("", "/k", "a//b")),
    *({"artifact_location": at} for at in ("http://a/b", "HTTPS://a", "hdfs://a", "mlflow-artifacts://a/b", "mlflow-artifacts:/a", "s3://b/p#f", "/a#f", "s3://b/p#", "s3://b/p?x=1", "runs:/a", "x" * 2049)),
]


@pytest.mark.parametrize("asked", EXPERIMENTS, ids=lambda asked: str(asked)[:40])
def test_experiments_are_made_or_refused_alike(servers, asked):
    def ask(server: Server) -> tuple:
        body = {**asked, "name": f"{server.run}-{uuid.uuid4().hex[:4]}-{asked.get('name', '')}"}
        return server.seen(server.post("2.0/mlflow/experiments/create", body))

    same(servers, ask)


@pytest.mark.parametrize("length", [4096, 4097, 8001])
def test_a_traces_tag_is_shortened_alike(servers, length):
    def ask(server: Server) -> int:
        path = f"/api/3.0/mlflow/traces/{server.traces[0]}"
        server.http.patch(f"{path}/tags", json={"key": "long", "value": "ż" * length}).raise_for_status()
        return len(server.http.get(path).json()["trace"]["trace_info"]["tags"]["long"])

    assert same(servers, ask) == 4096


TOKENS, COST = "mlflow.chat.tokenUsage", "mlflow.llm.cost"
FOUR, NINE = {"input_tokens": 1, "output_tokens": 3, "total_tokens": 4}, {"input_tokens": 4, "total_tokens": 9, "cache_read_input_tokens": 2}
USED = {
    "two": [[("1", "", {}), ("2", "1", {TOKENS: FOUR}), ("3", "1", {TOKENS: NINE, COST: {"input_cost": 0.25, "total_cost": 0.5}})]],
    "in two exports, one of them twice": [[("2", "1", {TOKENS: FOUR})], [("2", "1", {TOKENS: FOUR}), ("3", "1", {TOKENS: NINE})], [("3", "1", {TOKENS: NINE})]],
    "a parent and its parts": [[("3", "2", {TOKENS: FOUR}), ("4", "2", {TOKENS: FOUR})], [("2", "1", {}), ("1", "", {TOKENS: NINE})]],
    "as text": [[("1", "", {TOKENS: json.dumps(FOUR), COST: json.dumps({"total_cost": 0.5})})]],
    "no numbers": [[("1", "", {TOKENS: {"input_tokens": 1.5}, COST: {"a": 1}})]],
    "none": [[("1", "", {"model": "x"})]],
}


@pytest.mark.parametrize("said", [{}, {"mlflow.trace.tokenUsage": json.dumps({**FOUR, "cache_read_input_tokens": 8})}], ids=["unsaid", "said"])
@pytest.mark.parametrize("exports", USED.values(), ids=USED)
def test_what_spans_used_is_summed_alike(servers, exports, said):
    def ask(server: Server) -> list:
        trace_id = f"tr-{uuid.uuid4().hex}"
        for number, export in enumerate(exports):
            post_spans(server.http, trace_id, server.first, *export)
            if said and number == 0:
                server.post("3.0/mlflow/traces", trace_body(trace_id, experiment_id=server.first, trace_metadata=said)).raise_for_status()
        metadata = server.info(trace_id).get("trace_metadata", {})
        return [metadata.get("mlflow.trace.tokenUsage"), metadata.get("mlflow.trace.cost")]

    same(servers, ask)


@pytest.mark.parametrize("value", [{"k": 1}, {}, [], [1, 2.5, None, "żółw\n", {"a": [True]}], 5, "x", True, 0.1], ids=str)
def test_the_value_of_an_expectation_is_answered_alike(servers, value):
    def ask(server: Server) -> list:
        path = f"3.0/mlflow/traces/{server.traces[2]}/assessments"
        said = {"assessment_name": "raw", "source": {"source_type": "HUMAN", "source_id": uuid.uuid4().hex}, "expectation": {"value": value}}
        made = server.post(path, {"assessment": said}).raise_for_status().json()["assessment"]
        read = server.http.get(f"/api/{path}/{made['assessment_id']}").json()["assessment"]
        return [made["expectation"], read["expectation"]]

    same(servers, ask)


def test_the_tag_of_artifacts_can_be_taken_away(servers):
    def ask(server: Server) -> list:
        trace_id = server.trace(9, {})
        path, key = f"/api/2.0/mlflow/traces/{trace_id}/tags", {"key": "mlflow.artifactLocation"}
        answers = [server.http.request("DELETE", path, json=key).status_code for _ in range(2)]
        return [*answers, "mlflow.artifactLocation" in server.info(trace_id).get("tags", {})]

    assert same(servers, ask) == [200, 404, False]


def test_a_trace_of_the_second_version_is_not_final_when_it_starts(servers):
    def ask(server: Server) -> list:
        body = {"experiment_id": server.first, "timestamp_ms": 5, "request_metadata": [{"key": "m", "value": "1"}], "tags": []}
        started = server.post("2.0/mlflow/traces", body).raise_for_status().json()["trace_info"]
        end = server.http.patch(f"/api/2.0/mlflow/traces/{started['request_id']}", json={"timestamp_ms": 9, "status": "OK", "request_metadata": [], "tags": []})
        ended = end.raise_for_status().json()["trace_info"]
        return [sorted(entry["key"] for entry in info["request_metadata"]) for info in (started, ended)]

    same(servers, ask)


WRONG = {
    "2.0/mlflow/experiments/create": [{"artifact_location": 9}, {"tags": 9}, {"tags": {}}, {"tags": "x"}, {"name": 9}, {"name": 9.5}, {"artifact_location": True, "tags": 9}],
    "2.0/mlflow/experiments/update": [{"experiment_id": "ID", "new_name": 9}, {"experiment_id": 9, "new_name": "x"}, {"experiment_id": "99"}, {"experiment_id": "99", "new_name": "x" * 600}],
    "2.0/mlflow/experiments/search": [{"max_results": "x"}, {"order_by": "name"}, {"filter": 9}, {"page_token": 9}, {"view_type": "x"}, {"view_type": "ALL"}, {"filter": None}],
    "2.0/mlflow/experiments/set-experiment-tag": [{"experiment_id": "ID", "key": "k", "value": 9}, {"experiment_id": "ID", "key": 9}, {"experiment_id": "99"}, {"experiment_id": "99", "key": "bad,key", "value": "v"}, {"experiment_id": "99", "key": "k", "value": 9}],
    "2.0/mlflow/experiments/delete-experiment-tag": [{"experiment_id": "ID", "key": ["k"]}, {"experiment_id": "99"}],
    "3.0/mlflow/traces/search": [{"locations": "x"}, {"locations": 9}, {"filter": 9}, {"filter": {"b": 9}}, {"max_results": "x"}, {"max_results": 501}, {"max_results": "501"}, {"order_by": "x"}, {"order_by": [9]}, {"page_token": 9}],
    "2.0/mlflow/traces/delete-traces": [{"experiment_id": 9}, {"experiment_id": "ID", "max_timestamp_millis": "x"}, {"experiment_id": "ID", "max_timestamp_millis": 5, "max_traces": "x"}, {"experiment_id": "ID", "request_ids": "x"}],
    "2.0/mlflow/traces": [{"experiment_id": "ID", "timestamp_ms": "x"}, {"experiment_id": 9}, {"experiment_id": "ID", "timestamp_ms": 5, "tags": 9}],
    "3.0/mlflow/datasets/create": [{"name": 9}, {"tags": {}}, {"experiment_ids": "x"}],
    "3.0/mlflow/datasets/search": [{"filter_string": 9}, {"max_results": "x"}, {"order_by": "x"}, {"page_token": 9}, {"experiment_ids": 9}],
}
DEFAULTS = {"2.0/mlflow/experiments/create": {"name": "NEW"}, "2.0/mlflow/experiments/search": {"max_results": 1}, "3.0/mlflow/traces/search": {"locations": []}, "3.0/mlflow/datasets/create": {"name": "NEW"}}


@pytest.mark.parametrize("path, asked", [(path, asked) for path, bodies in WRONG.items() for asked in bodies], ids=str)
def test_a_field_of_another_type_is_refused_alike(servers, path, asked):
    def ask(server: Server) -> tuple:
        names = {"ID": server.first, "NEW": f"{server.run}-{uuid.uuid4().hex}"}
        body = {key: names.get(value, value) if isinstance(value, str) else value for key, value in {**DEFAULTS.get(path, {}), **asked}.items()}
        seen = server.seen(server.post(path, body))
        return seen if seen[0] != 200 else (200,)

    same(servers, ask)


@pytest.mark.parametrize("asked", [{"key": 9, "value": "x"}, {"key": "k", "value": 9}, {"key": "k", "value": {}}])
def test_a_tag_of_a_trace_of_another_type_is_refused_alike(servers, asked):
    same(servers, lambda server: server.seen(server.http.patch(f"/api/3.0/mlflow/traces/{server.traces[0]}/tags", json=asked)))


@pytest.mark.parametrize("most", ["1e400", "1e30", "-1e30", "18446744073709551615"])
def test_a_number_that_is_none_is_refused_and_nothing_is_kept(servers, most):
    """On purpose: some of it MLflow takes for none, of some it makes a 500."""
    assay = servers[1]
    searched = assay.http.post("/api/3.0/mlflow/traces/search", content=f'{{"locations":[],"max_results":{most}}}', headers={"Content-Type": "application/json"})
    assert searched.status_code == 400 and searched.json()["message"]
    if most == "1e400":
        path = f"/api/3.0/mlflow/traces/{assay.traces[1]}/assessments"
        said = '{"assessment":{"assessment_name":"n","source":{"source_type":"HUMAN","source_id":"a"},"feedback":{"value":1e400}}}'
        made = assay.http.post(path, content=said, headers={"Content-Type": "application/json"})
        assert made.status_code == 400 and made.json()["message"] == searched.json()["message"] == "a number in it is larger than a double can be"
        assert "assessments" not in assay.info(assay.traces[1])


@pytest.mark.parametrize("path, what", [("runs/create", "runs"), ("scorers/list", "scorers"), ("issues/i-1", "issues"), ("traces/link-to-run", "runs"), ("traces/metrics", "metrics of traces"), ("registered-models/get", "models and prompts")])
def test_what_is_not_here_is_said(servers, path, what):
    said = servers[1].post(f"3.0/mlflow/{path}", {})
    assert (said.status_code, said.json()["error_code"]) == (404, "ENDPOINT_NOT_FOUND")
    assert said.json()["message"].startswith(f"assay has no {what};")


@pytest.mark.parametrize("query", ["experiments/get?experiment_id=0&experiment_id=1", "experiments/get-by-name?experiment_name=a&experiment_name=b", "traces?experiment_ids=0&filter=&filter="])
def test_a_key_that_is_given_twice_is_refused(servers, query):
    """On purpose: MLflow takes the first."""
    assert servers[1].http.get(f"/api/2.0/mlflow/{query}").status_code == 400
