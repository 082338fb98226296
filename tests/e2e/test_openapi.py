"""/openapi.json against real answers: no header comes that is not described."""

import json

import httpx
import jsonschema
import pytest

from support.door import new_trace_id, post_trace
from support.fake_model import FakeModel
from support.keys import bearer, create_key

OF_HTTP = {"server", "date", "content-type", "content-length", "transfer-encoding", "connection"}
ANYWHERE = {"ratelimit", "ratelimit-policy"}  # as the description of RateLimit says
MESSAGES = [{"role": "user", "content": "hi"}]
ASK = {"message": "hi"}


class Described:
    def __init__(self, document: dict):
        self.document = document

    def found(self, value: dict) -> dict:
        while "$ref" in value:
            target = self.document
            for name in value["$ref"].split("/")[1:]:
                target = target[name]
            value = target
        return value

    def response(self, method: str, path: str, status: int) -> dict:
        responses = self.document["paths"][path][method.lower()]["responses"]
        return self.found(responses.get(str(status)) or responses[f"{status // 100}XX"])

    def check(self, path: str, answer: httpx.Response) -> None:
        what = f"{answer.request.method} {path} {answer.status_code}"
        described = self.response(answer.request.method, path, answer.status_code)
        headers = {name.lower() for name in described.get("headers", {})}
        assert set(answer.headers) <= headers | OF_HTTP | ANYWHERE, what
        for name, header in described.get("headers", {}).items():
            self.found(header)
            schema = header.get("schema", {})
            if name in answer.headers and "const" in schema:
                assert answer.headers[name] == schema["const"], what
        media = answer.headers.get("Content-Type", "").split(";")[0]
        assert bool(media) == bool(described.get("content")), f"{what}: {media}"
        if media == "text/event-stream":
            self.check_events(described["content"][media]["x-event-data"], answer.text)
        elif media:
            assert "schema" in described["content"][media], f"{what}: {media}"

    def check_events(self, schema: dict, text: str) -> None:
        data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
        assert data, text
        for event in data:
            if event != "[DONE]":
                jsonschema.validate(json.loads(event), {**schema, "components": self.document["components"]})


@pytest.fixture
def model():
    with FakeModel() as model:
        yield model


def test_no_answer_has_a_header_that_is_not_described(assay, model):
    serve = assay("serve", "--model-url", model.url, "--model-retries", "0")
    described = Described(serve.http.get("/openapi.json").json())

    def ask(method: str, path: str, at: str | None = None, **how) -> httpx.Response:
        answer = serve.http.request(method, at or path, **how)
        described.check(path, answer)
        return answer

    trace_id = new_trace_id()
    post_trace(serve.http, trace_id)
    said = ask("POST", "/feedback", params={"trace_id": trace_id}, json={"is_correct": True}).json()["assessment_id"]
    ask("POST", "/feedback", params={"client_request_id": "never"}, json={"is_correct": True})
    changed = ask("PATCH", "/feedback/{assessment_id}", f"/feedback/{said}", json={"value": False}).json()
    assert set(changed) - set(described.document["components"]["schemas"]["Assessment"]["properties"]) == set()
    ask("GET", "/feedback/{assessment_id}", f"/feedback/{said}")
    ask("DELETE", "/feedback/{assessment_id}", f"/feedback/{said}")
    completion = {"model": "m", "messages": MESSAGES}
    for model.status in (200, 404, 418, 500, 503):
        model.more = {"Retry-After": "7"}
        ask("POST", "/chat", json=ASK)
        stream = ask("POST", "/chat/stream", json=ASK)
        ask("POST", "/v1/chat/completions", json=completion)
        ask("POST", "/v1/chat/completions", json={**completion, "stream": True})
    resume = {"X-Resume-Token": stream.headers["X-Resume-Token"]}
    at = f"/chat/stream/{stream.headers['X-Trace-Id']}"
    ask("GET", "/chat/stream/{trace_id}", at, headers=resume)
    ask("GET", "/chat/stream/{trace_id}", at, headers={**resume, "Last-Event-ID": "1"})
    ask("GET", "/chat/stream/{trace_id}", at)
    ask("DELETE", "/chat/stream/{trace_id}", at, headers=resume)
    ask("GET", "/chat/ws")
    ask("GET", "/v1/models")
    page = ask("GET", "/assay/")
    ask("GET", "/assay/", headers={"If-None-Match": page.headers["ETag"]})
    for path in ("/", "/livez", "/readyz", "/metrics", "/version", "/health", "/assay/quality"):
        ask("GET", path)
    delete = {"experiment_id": "0", "request_ids": [trace_id]}
    ask("POST", "/api/3.0/mlflow/traces/delete-traces", json=delete)


def test_who_is_asked_for_a_key_is_asked_as_described(assay):
    door = assay("serve", "--require-keys", "--quota-key", "1:3", start=False)
    key = create_key(door, "app", "feedback", "chat")
    door.start()
    described = Described(door.http.get("/openapi.json").json())
    for path, body in (("/chat", ASK), ("/feedback", {"is_correct": True}), ("/v1/chat/completions", {"messages": MESSAGES})):
        answer = door.http.post(path, json=body)
        assert answer.status_code == 401 and "WWW-Authenticate" in answer.headers
        described.check(path, answer)
    for _ in range(6):
        answer = door.http.post("/chat", json=ASK, headers=bearer(key))
        described.check("/chat", answer)
    assert answer.status_code == 429


def test_what_has_no_body_has_no_type_of_one(assay):
    serve = assay("serve", "--cors-origin", "https://app.example")
    preflight = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    allowed = serve.http.options("/feedback", headers=preflight)
    assert allowed.status_code == 204 and "Content-Type" not in allowed.headers
    etag = serve.http.get("/assay/").headers["ETag"]
    known = serve.http.get("/assay/", headers={"If-None-Match": etag})
    assert known.status_code == 304 and "Content-Type" not in known.headers
