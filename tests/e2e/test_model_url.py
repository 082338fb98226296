"""`assay serve --model-url` in front of an OpenAI-compatible server: its answers, its failures, its silence."""

import json
import threading
from collections.abc import Iterator

import httpx
import pytest

from support.assay import Assay
from support.door import events, new_request_id, trace_info
from support.fake_model import Certificate, FakeModel
from support.waiting import wait_until

ASK = {"message": "Is water wet?"}


@pytest.fixture
def model() -> Iterator[FakeModel]:
    with FakeModel() as model:
        yield model


def streamed(serve: Assay, **headers: str) -> tuple[httpx.Headers, list[dict]]:
    with serve.http.stream("POST", "/chat/stream", json=ASK, headers=headers) as answer:
        assert answer.status_code == 200
        return answer.headers, [data for _, data in events(answer.iter_lines())]


def test_the_models_answer_is_the_chats_answer(assay, model):
    serve = assay("serve", "--model-url", model.url, "--model", "tiny-1", env={"ASSAY_MODEL_API_KEY": "secret-7"})
    answer = serve.http.post("/chat", json=ASK).json()
    assert answer["response"] == "Water is wet."
    assert model.requests[0]["model"] == "tiny-1"
    assert model.requests[0]["messages"][-1] == {"role": "user", "content": "Is water wet?"}
    assert model.headers[0]["authorization"] == "Bearer secret-7"
    assert trace_info(serve.http, answer["trace_id"])["state"] == "OK"
    assert "secret-7" not in serve.log.read_text(), "a key is never logged"


def test_tokens_are_passed_on_as_they_come(assay):
    next_token = threading.Semaphore(0)

    def tokens():
        for token in ("Water", " is", " wet."):
            assert next_token.acquire(timeout=30)
            yield token

    with FakeModel(tokens) as model:
        serve = assay("serve", "--model-url", model.url)
        with serve.http.stream("POST", "/chat/stream", json=ASK) as answer:
            came = events(answer.iter_lines())
            for token in ("Water", " is", " wet."):
                next_token.release()  # the model makes one token, and its reader has it before there is another
                assert next(came)[1] == {"type": "token", "content": token}
            assert next(came)[1]["type"] == "done"


@pytest.mark.parametrize("text", ["Größe 🌊 水", 'quote " backslash \\ newline \n end', "a" * 20_000])
def test_any_text_comes_through_unchanged(assay, text):
    with FakeModel(lambda: [text[i : i + 7] for i in range(0, len(text), 7)]) as model:
        serve = assay("serve", "--model-url", model.url)
        assert serve.http.post("/chat", json=ASK).json()["response"] == text
        _, data = streamed(serve)
        assert "".join(d["content"] for d in data[:-1]) == text


def test_a_long_answer_is_whole_for_its_reader_and_cut_in_the_trace(assay):
    text = "".join(f"{line:07}\n" for line in range(40_000))  # 320 kB; the trace keeps 128 KiB
    with FakeModel(lambda: [text[i : i + 1000] for i in range(0, len(text), 1000)]) as model:
        serve = assay("serve", "--model-url", model.url)
        answer = serve.http.post("/chat", json=ASK).json()
        assert answer["response"] == text
        _, data = streamed(serve)
        assert data[-1]["type"] == "done" and "".join(d["content"] for d in data[:-1]) == text
        for trace_id in (answer["trace_id"], data[-1]["trace_id"]):
            trace = serve.http.get("/api/3.0/mlflow/traces/get", params={"trace_id": trace_id}).json()["trace"]
            assert trace["trace_info"]["state"] == "OK"
            attributes = {a["key"]: a["value"] for a in trace["spans"][0]["attributes"]}
            assert attributes["truncated"] == {"bool_value": True}
            assert attributes["response"] == {"string_value": text[: 128 << 10]}


def test_an_answer_over_its_bound_is_an_error_in_words(assay, model):
    serve = assay("serve", "--model-url", model.url, "--answer-max", "10")
    too_long = serve.http.post("/chat", json=ASK)
    words = "the answer grew longer than this server allows"
    assert too_long.status_code == 502 and too_long.json()["detail"] == words
    _, data = streamed(serve)
    assert data[-1]["type"] == "error" and data[-1]["error"] == words


def test_events_cut_anywhere_by_the_network_are_the_same_events(assay, model):
    whole = b"".join(
        f'data: {json.dumps({"choices": [{"index": 0, "delta": {"content": t}}]}, ensure_ascii=False)}\r\n\r\n'.encode() for t in ("Gr", "öße", " 🌊")
    )
    whole = b": a comment\n\n" + whole + b"data: [DONE]\n\n"
    model.raw = lambda: [bytes([b]) for b in whole]
    serve = assay("serve", "--model-url", model.url)
    assert serve.http.post("/chat", json=ASK).json()["response"] == "Größe 🌊"


@pytest.mark.parametrize("stream", [False, True])
def test_what_a_model_refuses_to_say_is_its_answer(assay, model, stream):
    whole = {"choices": [{"index": 0, "message": {"role": "assistant", "content": None, "refusal": "I cannot."}, "finish_reason": "stop"}]}
    pieces = [{"role": "assistant", "content": None, "refusal": None}, {"refusal": "I "}, {"refusal": "cannot."}]
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in pieces]
    model.whole = json.dumps(whole).encode()
    model.streamed = lambda: [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks] + [b"data: [DONE]\n\n"]
    serve = assay("serve", "--model-url", model.url)
    assert serve.http.post("/chat", json=ASK).json()["response"] == "I cannot."
    _, data = streamed(serve)
    assert "".join(d["content"] for d in data[:-1]) == "I cannot."
    completion = serve.http.post("/v1/chat/completions", json={"model": "m", "messages": [{"role": "user", "content": "?"}], "stream": stream})
    assert json.loads(trace_info(serve.http, completion.headers["X-Trace-Id"])["response_preview"])["response"] == "I cannot."


def test_a_model_behind_https_is_trusted_by_the_authority_that_was_given(assay, tmp_path):
    certificate = Certificate(tmp_path / "tls")
    with FakeModel(certificate=certificate) as model:
        serve = assay("serve", "--model-url", model.url, "--model-ca-file", str(certificate.authority))
        assert serve.http.post("/chat", json=ASK).json()["response"] == "Water is wet."


def test_a_model_behind_https_that_nobody_vouches_for_is_not_talked_to(assay, tmp_path):
    with FakeModel(certificate=Certificate(tmp_path / "tls")) as model:
        serve = assay("serve", "--model-url", model.url)
        assert serve.http.post("/chat", json=ASK).status_code == 502
        assert model.requests == []


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_a_models_refusal_is_a_502_in_words_and_an_errored_trace(assay, model, status):
    model.status = status
    serve = assay("serve", "--model-url", model.url)
    request_id = new_request_id()
    answer = serve.http.post("/chat", json=ASK, headers={"X-Client-Request-Id": request_id})
    assert answer.status_code in (502, 503) and (str(status) in answer.text or "refused" in answer.text)
    assert answer.headers["Content-Type"] == "application/problem+json"
    # The chat that failed is a trace, too, and can be complained about.
    given = serve.http.post("/feedback", params={"client_request_id": request_id}, json={"is_correct": False})
    assert given.status_code == 200
    assert trace_info(serve.http, given.json()["trace_id"])["state"] == "ERROR"


def test_a_model_that_is_not_there_is_a_502_and_a_stream_ends_with_an_error_event(assay, model):
    url = model.url
    model.__exit__()
    serve = assay("serve", "--model-url", url)
    assert serve.http.post("/chat", json=ASK).status_code == 502
    headers, data = streamed(serve)
    assert [d["type"] for d in data] == ["error"] and data[0]["error"]
    assert trace_info(serve.http, headers["X-Trace-Id"])["state"] == "ERROR"
    assert serve.http.get("/readyz").status_code == 200, "ready says nothing of the model"


@pytest.mark.parametrize(
    "garbage",
    [
        b"data: {\n\n",
        b'data: {"choices": 7}\n\n',
        b'data: {"choices":[{"delta":{"content":7}}]}\n\n',
        b"data: \xff\xfe\n\n",
        b'data: {"error":{"message":"it broke"}}\n\n',
        b'data: {"choices":[{"delta":{"content":"Wat"}}]}\n\n',  # and then its end, without [DONE] or a finish_reason
    ],
)
def test_a_stream_that_breaks_in_the_middle_is_an_error_and_never_a_done(assay, model, garbage):
    model.raw = lambda: [b'data: {"choices":[{"index":0,"delta":{"content":"Water"}}]}\n\n', garbage]
    serve = assay("serve", "--model-url", model.url)
    headers, data = streamed(serve)
    assert data[0] == {"type": "token", "content": "Water"}
    assert data[-1]["type"] == "error" and data[-1]["error"]
    info = trace_info(serve.http, headers["X-Trace-Id"])
    assert info["state"] == "ERROR" and "Water" in info["response_preview"], "what came is kept"


def test_json_that_is_called_something_else_is_refused_in_words_and_asked_for_once(assay, model):
    whole = b'{"choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop"}]}'
    completion = {"model": "m", "messages": [{"role": "user", "content": "?"}]}
    model.content_type = "text/plain"
    model.raw = lambda: [whole]
    serve = assay("serve", "--model-url", model.url)
    plain = serve.http.post("/chat", json=ASK)
    assert plain.status_code == 502 and "Content-Type" in plain.json()["detail"]
    assert serve.http.post("/v1/chat/completions", json=completion).status_code == 502
    assert len(model.requests) == 2
    model.content_type = None
    assert serve.http.post("/chat", json=ASK).json()["response"] == "a", "it may be called nothing"
    openai = serve.http.post("/v1/chat/completions", json=completion)
    assert openai.status_code == 200 and openai.content == whole and openai.headers["Content-Type"] == "application/json"


def test_a_model_that_falls_silent_is_given_up(assay):
    never = threading.Event()

    def tokens():
        yield "Water"
        never.wait(60)

    with FakeModel(tokens) as model:
        serve = assay("serve", "--model-url", model.url, "--chat-max", "1s")
        headers, data = streamed(serve)
        assert data[-1]["type"] == "error"
        assert trace_info(serve.http, headers["X-Trace-Id"])["state"] == "ERROR"
        assert serve.http.post("/chat", json=ASK).status_code == 504
        never.set()


def test_a_reader_that_leaves_aborts_the_model(assay):
    def tokens():
        while True:
            yield "water " * 50

    with FakeModel(tokens) as model:
        serve = assay("serve", "--model-url", model.url, "--resume-max", "1s")
        with serve.http.stream("POST", "/chat/stream", json=ASK) as answer:
            trace_id = answer.headers["X-Trace-Id"]
            next(events(answer.iter_lines()))
        assert model.gone.wait(30), "the model goes on for nobody"
        wait_until("the trace is closed", lambda: trace_info(serve.http, trace_id)["state"] == "ERROR")
        assert "water" in trace_info(serve.http, trace_id)["response_preview"]
