"""OpenAI's door with OpenAI's own client: what changes is the base URL, what comes is the model's answer, a trace and a way to rate it."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest

from support.door import accepted, new_request_id, new_trace_id, trace_info
from support.fake_model import FakeModel
from support.waiting import wait_until

MESSAGES = [{"role": "user", "content": "Is water wet?"}]
TOOLS = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {"place": {"type": "string"}}}}}]


@pytest.fixture
def model():
    with FakeModel() as model:
        yield model


def client_of(serve, **how) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{serve.url}/v1", api_key="sk-mine", max_retries=0, http_client=httpx.Client(trust_env=False, timeout=30), **how)


def test_without_a_model_the_built_in_responder_answers(assay):
    serve = assay("serve")
    client = client_of(serve)
    assert [m.id for m in client.models.list()] == ["assay-builtin"]
    assert client.models.retrieve("assay-builtin").owned_by == "assay"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-none")
    whole = client.chat.completions.create(model="any", messages=MESSAGES)
    assert whole.choices[0].message.content.startswith("You said: Is water wet?") and whole.choices[0].finish_reason == "stop"
    said = [c.choices[0] for c in client.chat.completions.create(model="any", messages=MESSAGES, stream=True)]
    assert "".join(c.delta.content or "" for c in said) == whole.choices[0].message.content
    assert said[-1].finish_reason == "stop"


def test_a_whole_answer_is_the_models_and_has_a_trace(assay, model):
    model.whole = json.dumps(
        {
            "id": "c-1", "object": "chat.completion", "created": 1, "model": "tiny-1", "x_unknown": {"kept": [1, 2.50]},
            "choices": [{"index": 0, "finish_reason": "tool_calls", "logprobs": None, "message": {"role": "assistant", "content": None, "tool_calls": [
                {"id": "call-1", "type": "function", "function": {"name": "look_up", "arguments": "{\"place\":\"sea\"}"}}]}}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
        }
    ).encode()  # fmt: skip
    serve = assay("serve", "--model-url", model.url, env={"ASSAY_MODEL_API_KEY": "sk-ours"})
    request_id = new_request_id()
    parts = [{"type": "text", "text": "What is "}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}, {"type": "text", "text": "this?"}]
    raw = client_of(serve).chat.completions.with_raw_response.create(
        model="tiny-1", messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}], tools=TOOLS, temperature=0.25,
        user="ana", extra_body={"x_mine": {"deep": [None, 1.0]}}, extra_headers={"X-Client-Request-Id": request_id, "X-Session-ID": "s-1"},
    )  # fmt: skip
    assert raw.content == model.whole, "byte for byte"
    call = raw.parse().choices[0].message.tool_calls[0]
    assert call.function.name == "look_up"
    asked = model.requests[0]
    assert asked["messages"][1]["content"] == parts and asked["tools"] == TOOLS and asked["x_mine"] == {"deep": [None, 1.0]}
    assert model.headers[0]["authorization"] == "Bearer sk-ours", "the client's key stays here"
    assert raw.headers["X-Client-Request-Id"] == request_id
    info = trace_info(serve.http, raw.headers["X-Trace-Id"])
    assert info["state"] == "OK" and info["client_request_id"] == request_id
    assert info["trace_metadata"]["mlflow.trace.user"] == "ana" and info["trace_metadata"]["mlflow.trace.session"] == "s-1"
    assert "What is " in info["request_preview"] and "look_up" in info["response_preview"]
    accepted(serve.http.post("/feedback", params={"client_request_id": request_id}, json={"is_correct": True}))


def test_a_stream_comes_as_it_was_made(assay, model):
    def chunk(delta: dict, finish=None, **more) -> dict:
        return {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "tiny-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} | more

    chunks = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Größe 🌊"}, x_unknown=1.50),
        chunk({"tool_calls": [{"index": 0, "id": "call-1", "type": "function", "function": {"name": "look_up", "arguments": ""}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{\"place\":"}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "\"sea\"}"}}]}),
        chunk({}, "tool_calls"),
        chunk({}) | {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}},
    ]
    model.raw = lambda: [f"data: {json.dumps(c)}\n\n".encode() for c in chunks] + [b"data: [DONE]\n\n"]
    serve = assay("serve", "--model-url", model.url)
    with client_of(serve).chat.completions.with_streaming_response.create(
        model="tiny-1", messages=MESSAGES, tools=TOOLS, stream=True, stream_options={"include_usage": True}
    ) as answer:
        trace_id = answer.headers["X-Trace-Id"]
        lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
    assert [json.loads(line[6:]) for line in lines[:-1]] == chunks and lines[-1] == "data: [DONE]"
    assert model.requests[0]["stream_options"] == {"include_usage": True}
    info = trace_info(serve.http, trace_id)
    assert info["state"] == "OK" and "Größe 🌊" in info["response_preview"]
    assert 'place' in info["response_preview"] and 'sea' in info["response_preview"]
    parsed = list(client_of(serve).chat.completions.create(model="tiny-1", messages=MESSAGES, stream=True))
    assert parsed[-1].usage.total_tokens == 8


@pytest.mark.parametrize(
    "body, param",
    [(b"{", None), (b"[]", None), (b"{}", "messages"), (b'{"messages":[]}', "messages"), (b'{"messages":"x"}', "messages"),
     (b'{"messages":[{"role":"user","content":"x"}],"stream":"yes"}', "stream"), (b'{"messages":[1]}', "messages"),
     (b'{"messages":[{"role":"user","content":"x"}],"a":tru}', None), (b'{"messages":[{"role":"user","content":"x"}]}x', None)],
)  # fmt: skip
def test_bad_requests_are_refused_in_openais_form(assay, body, param):
    serve = assay("serve")
    answer = serve.http.post("/v1/chat/completions", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["message"] and error["type"] == "invalid_request_error" and error["param"] == param and "X-Trace-Id" not in answer.headers


def test_a_body_that_is_no_json_is_told_why(assay):
    door = assay("serve").http
    json_type = {"Content-Type": "application/json"}

    def message(body: bytes) -> str:
        return door.post("/v1/chat/completions", content=body, headers=json_type).json()["error"]["message"]

    for body in (b'{"messages":[}', b"{", b'{"messages"', b"\xff"):
        assert message(body) == door.post("/chat", content=body, headers=json_type).json()["detail"]
    packed = door.post("/v1/chat/completions", content=b"\x1f\x8b\x08", headers={**json_type, "Content-Encoding": "gzip"})
    assert packed.status_code == 415 and "not packed" in packed.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/chat", "/chat/stream", "/v1/chat/completions"])
def test_an_id_that_is_none_is_refused_as_feedback_refuses_it(assay, path):
    door = assay("serve").http
    body = {"message": "x", "messages": MESSAGES}
    for none in ("undefined", "null", "[object Object]"):
        refused = door.post(path, json=body, headers={"X-Client-Request-Id": none})
        assert refused.status_code == 422 and "the page had none yet" in refused.text
        assert ("error" in refused.json()) == path.startswith("/v1")
    # Feedback by it goes to the trace whose own it is.
    refused = door.post(path, json=body, headers={"X-Client-Request-Id": new_trace_id()})
    assert refused.status_code == 422 and "X-Client-Request-Id" in refused.text


def test_a_model_whose_name_has_a_slash_is_found(assay, model):
    door = assay("serve", "--model-url", model.url).http
    for name in ("owner/tiny-1", "owner%2Ftiny-1"):
        assert door.get(f"/v1/models/{name}").status_code == 200


def test_a_model_that_fails_is_said_in_the_log_without_its_words(assay, model):
    model.status, model.body = 500, b'{"error":{"message":"no answer to: Is water wet?"}}'
    serve = assay("serve", "--model-url", model.url)
    with ThreadPoolExecutor(8) as at_once:  # one line a second, however slow the machine is
        failed = list(at_once.map(lambda _: serve.http.post("/chat", json={"message": "Is water wet?"}), range(8)))
    log = serve.log.read_text()
    lines = [line for line in log.splitlines() if "event=model_failed" in line]
    assert any(f"trace_id={answer.headers['X-Trace-Id']} " in lines[0] for answer in failed) and 'reason="the model answered 500"' in lines[0]
    assert len(lines) < 8 and "water" not in log


@pytest.mark.parametrize("stream", [False, True])
def test_the_models_own_refusal_reaches_the_client(assay, model, stream):
    model.status, model.body = 429, b'{"error":{"message":"slow down","type":"tokens","param":null,"code":"rate_limit_exceeded"}}'
    model.more = {"Retry-After": "7"}
    serve = assay("serve", "--model-url", model.url)
    with pytest.raises(openai.RateLimitError) as refused:
        client_of(serve).chat.completions.create(model="tiny-1", messages=MESSAGES, stream=stream)
    assert refused.value.code == "rate_limit_exceeded" and refused.value.response.headers["Retry-After"] == "7"
    assert len(model.requests) == 1, "seven seconds are the client's to wait"
    wait_until("the trace", lambda: trace_info(serve.http, refused.value.response.headers["X-Trace-Id"])["state"] == "ERROR")
    again = serve.http.post("/chat", json={"message": "x"})
    assert again.status_code == 503 and again.headers["Retry-After"] == "7"
    model.status, model.body = 401, b'{"error":{"message":"Incorrect API key provided: sk-ours"}}'
    with pytest.raises(openai.InternalServerError) as hidden:
        client_of(serve).chat.completions.create(model="tiny-1", messages=MESSAGES, stream=stream)
    assert hidden.value.status_code == 502 and "sk-ours" not in hidden.value.response.text


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [0, 408, 429, 500, 502, 503, 504, 529])
def test_what_failed_before_its_first_token_is_asked_again(assay, model, status, stream):
    model.statuses = [status, status]
    serve = assay("serve", "--model-url", model.url)
    answer = client_of(serve).chat.completions.create(model="tiny-1", messages=MESSAGES, stream=stream)
    if stream:
        assert "".join(c.choices[0].delta.content or "" for c in answer) == "Water is wet."
    else:
        assert answer.choices[0].message.content == "Water is wet."
    assert len(model.requests) == 3


@pytest.mark.parametrize("stream", [False, True])
def test_what_the_door_has_asked_often_enough_its_client_does_not_ask_again(assay, model, stream):
    serve = assay("serve", "--model-url", model.url)
    for model.status, asked in ((500, 3), (503, 3), (429, 9)):
        model.requests.clear()
        with pytest.raises(openai.APIStatusError) as failed:
            client_of(serve).with_options(max_retries=2).chat.completions.create(model="tiny-1", messages=MESSAGES, stream=stream)
        assert len(model.requests) == asked, model.status
        assert failed.value.response.headers.get("X-Should-Retry") == (None if asked == 9 else "false")
    once = assay("serve", "--model-url", model.url, "--model-retries", "0")
    model.status, model.more = 500, {}
    model.requests.clear()
    with pytest.raises(openai.InternalServerError):
        client_of(once).with_options(max_retries=2).chat.completions.create(model="tiny-1", messages=MESSAGES, stream=stream)
    assert len(model.requests) == 3, "who asks once leaves it to the client"


def test_nothing_is_asked_again_behind_the_first_token(assay, model):
    model.raw = lambda: [b'data: {"choices":[{"index":0,"delta":{"content":"Wat"}}]}\n\n']
    serve = assay("serve", "--model-url", model.url)
    with pytest.raises(openai.APIError, match="before it was complete"):
        list(client_of(serve).chat.completions.create(model="tiny-1", messages=MESSAGES, stream=True))
    assert len(model.requests) == 1


HUGE = b'data: {"choices":[{"index":0,"delta":{"content":"' + b"x" * (2 << 20) + b'"}}]}\n\n'
TROUBLE = {
    "half a line": [b'data: {"choices":[{"index":0,"delta":{"content":"Wat'],
    "not JSON": [b"data: {\n\n"],
    "not the protocol": [b'data: {"choices":7}\n\n'],
    "a huge line": [HUGE],
    "a line without an end": [b"data: " + b"x" * (2 << 20)],
    "its own error": [b'data: {"error":{"message":"it broke","type":"server_error"}}\n\n'],
    "nothing": [],
    "not UTF-8": [b'data: {"choices":[{"index":0,"delta":{"content":"\xff"}}]}\n\n'],
}


@pytest.mark.parametrize("beginning", [b"", b'data: {"choices":[{"index":0,"delta":{"content":"Water"}}]}\n\n'], ids=["at once", "behind a token"])
@pytest.mark.parametrize("trouble", TROUBLE)
def test_the_models_trouble_ends_in_words_and_an_errored_trace_on_every_door(assay, model, trouble, beginning):
    model.raw = lambda: [piece for piece in (beginning, *TROUBLE[trouble]) if piece]
    serve = assay("serve", "--model-url", model.url, "--model-retries", "0")
    with pytest.raises(openai.APIError) as failed:
        list(client_of(serve).chat.completions.create(model="tiny-1", messages=MESSAGES, stream=True))
    assert str(failed.value)
    with serve.http.stream("POST", "/chat/stream", json={"message": "x"}) as answer:
        last = [line for line in answer.iter_lines() if line.startswith("data: ")][-1]
    assert json.loads(last[6:])["type"] == "error"
    assert trace_info(serve.http, answer.headers["X-Trace-Id"])["state"] == "ERROR"
    assert serve.http.post("/chat", json={"message": "x"}).status_code == 502


def test_a_model_that_is_silent_before_or_behind_its_first_token_is_given_up(assay):
    never = threading.Event()
    said: list[str] = []

    def tokens():
        yield from said
        never.wait(60)

    with FakeModel(tokens) as model:
        serve = assay("serve", "--model-url", model.url, "--model-first-byte-max", "500ms", "--model-silence-max", "500ms")
        for said[:] in ([], ["Water"]):
            began = time.monotonic()
            with pytest.raises(openai.APIError):
                list(client_of(serve).chat.completions.create(model="tiny-1", messages=MESSAGES, stream=True))
            with pytest.raises(openai.APIStatusError) as late:
                client_of(serve).chat.completions.create(model="tiny-1", messages=MESSAGES)
            assert late.value.status_code == 504 and time.monotonic() - began < 20
            assert trace_info(serve.http, late.value.response.headers["X-Trace-Id"])["state"] == "ERROR"
        never.set()


def test_a_client_that_leaves_aborts_the_model(assay):
    def tokens():
        while True:
            yield "water "
            time.sleep(0.01)

    with FakeModel(tokens) as model:
        serve = assay("serve", "--model-url", model.url)
        body = {"model": "tiny-1", "messages": MESSAGES, "stream": True}
        with serve.http.stream("POST", "/v1/chat/completions", json=body) as answer:
            trace_id = answer.headers["X-Trace-Id"]
            next(answer.iter_lines())
        assert model.gone.wait(30)
        wait_until("the trace", lambda: trace_info(serve.http, trace_id)["state"] == "ERROR")


def chunk(index: int, content: str | None = None, finish: str | None = None) -> bytes:
    delta = {} if content is None else {"content": content}
    return b"data: " + json.dumps({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}).encode() + b"\n\n"


def test_several_choices_keep_apart_and_all_must_be_complete(assay, model):
    serve = assay("serve", "--model-url", model.url, "--model-retries", "0")
    both = [chunk(0, "A1 "), chunk(1, "B1 "), chunk(0, "A2"), chunk(1, "B2"), chunk(0, finish="stop")]
    model.streamed = lambda: [*both, chunk(1, finish="stop"), b'data: {"choices":null,"usage":{}}\n\n']
    with client_of(serve).chat.completions.with_streaming_response.create(model="m", messages=MESSAGES, stream=True, n=2) as raw:
        list(raw.iter_lines())
    info = trace_info(serve.http, raw.headers["X-Trace-Id"])
    assert info["state"] == "OK" and "A1 A2" in info["response_preview"] and "B" not in info["response_preview"]
    model.streamed = lambda: both  # the second was cut
    with client_of(serve).chat.completions.with_streaming_response.create(model="m", messages=MESSAGES, stream=True, n=2) as raw:
        assert "before it was complete" in "".join(raw.iter_lines())
    assert trace_info(serve.http, raw.headers["X-Trace-Id"])["state"] == "ERROR"


def test_an_error_of_several_lines_is_one_event(assay, model):
    serve = assay("serve", "--model-url", model.url, "--model-retries", "0")
    model.streamed = lambda: [chunk(0, "Wa"), b'data: {\ndata:  "error": {\ndata:   "message": "out of water"\ndata:  }\ndata: }\n\n']
    with pytest.raises(openai.APIError, match="out of water"):
        list(client_of(serve).chat.completions.create(model="m", messages=MESSAGES, stream=True))


def test_json_that_is_no_answer_is_refused_in_words(assay, model):
    serve = assay("serve", "--model-url", model.url, "--model-retries", "0")
    model.whole = b'{"foo":1}'
    with pytest.raises(openai.InternalServerError, match="OpenAI's format"):
        client_of(serve).chat.completions.create(model="m", messages=MESSAGES)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("what", ["answer", "head"])
def test_what_is_too_large_will_be_so_the_next_time_too(assay, model, what, stream):
    serve = assay("serve", "--model-url", model.url)
    model.whole = b" " * (17 << 20)
    huge = b": " + b"x" * (1 << 20)
    if what == "head":
        model.more = {"X-Long": "x" * 60_000, "X-Longer": "x" * 10_000}
    elif stream:
        model.streamed = lambda: [huge, huge]
    for path, body in (("/v1/chat/completions", {"model": "m", "messages": MESSAGES, "stream": stream}), ("/chat", {"message": "hi"})):
        if path == "/chat" and not stream and what == "answer":
            continue  # which asks for a stream
        model.requests.clear()
        model.statuses = [400] if what == "head" else []
        refused = serve.http.post(path, json=body)
        assert refused.status_code == 502 and "too large" in refused.text and "Retry-After" not in refused.headers
        assert len(model.requests) == 1 and "Assay-Durability" in refused.headers


def test_connections_to_the_model_are_used_again(assay, model):
    serve = assay("serve", "--model-url", model.url, "--threads", "1")  # each thread keeps connections of its own
    for _ in range(5):
        list(client_of(serve).chat.completions.create(model="tiny-1", messages=MESSAGES, stream=True))
    assert [m.id for m in client_of(serve).models.list()] == ["tiny-1"]
    assert model.connections == 1
