"""Streams as their readers meet them: first byte, events, lost connections, stop, slow readers. The server has two threads, so that a
reader that comes back mostly lands on another one."""

import threading
import time

import httpx
import pytest

from support.assay import Assay
from support.door import accepted, events, trace_info
from support.fake_model import FakeModel
from support.keys import bearer, create_key
from support.waiting import wait_until

ASK = {"message": "Is water wet?"}


class Script:
    """A model's tokens, one at a time as the test says; None ends the answer."""

    def __init__(self):
        self._more = threading.Condition()
        self._said: list[str | None] = []

    def say(self, *tokens: str | None) -> None:
        with self._more:
            self._said.extend(tokens)
            self._more.notify_all()

    def __call__(self):
        at = 0
        while True:
            with self._more:
                assert self._more.wait_for(lambda: len(self._said) > at, timeout=60)
                token = self._said[at]
            at += 1
            if token is None:
                return
            yield token


@pytest.fixture
def script():
    return Script()


@pytest.fixture
def model(script):
    with FakeModel(script) as model:
        yield model


def serve_on(assay, model: FakeModel, *flags: str) -> Assay:
    return assay("serve", "--model-url", model.url, "--threads", "2", "--model-retries", "0", *flags)


def resume(serve: Assay, started: httpx.Response, last_id: str | None, **headers: str):
    given = {"X-Resume-Token": started.headers["X-Resume-Token"]}
    if last_id is not None:
        given["Last-Event-ID"] = last_id
    return httpx.stream("GET", f"{serve.url}/chat/stream/{started.headers['X-Trace-Id']}", headers=given | headers, timeout=30, trust_env=False)


def test_the_first_bytes_come_before_the_model_speaks(assay, model, script):
    serve = serve_on(assay, model)
    with serve.http.stream("POST", "/chat/stream", json=ASK) as answer:
        first = next(answer.iter_bytes())
        assert first.startswith(b":") and b"retry: " in first and b"id: 0\n\n" in first
        assert trace_info(serve.http, answer.headers["X-Trace-Id"])["state"] == "IN_PROGRESS", "durable before its id leaves"
        script.say("Water", None)


def test_a_lost_connection_goes_on_where_it_broke(assay, model, script):
    serve = serve_on(assay, model)
    with serve.http.stream("POST", "/chat/stream", json=ASK) as started:
        script.say("Größe")
        came = events(started.iter_lines())
        last_id, data = next(came)
        assert data["content"] == "Größe" and last_id == "7", "an id is the bytes that its reader has"
    script.say(" counts")
    with resume(serve, started, last_id) as again:
        assert again.headers["X-Trace-Id"] == started.headers["X-Trace-Id"]
        came = events(again.iter_lines())
        assert next(came)[1]["content"] == " counts"
        script.say(".", None)
        rest = [data for _, data in came]
    assert "".join(d["content"] for d in rest[:-1]) == "." and rest[-1]["type"] == "done"
    assert rest[-1]["trace_id"] == started.headers["X-Trace-Id"]
    info = trace_info(serve.http, rest[-1]["trace_id"])
    assert info["state"] == "OK" and "counts." in info["response_preview"]
    with resume(serve, started, None) as whole:  # a reader that has lost all of it
        data = [d for _, d in events(whole.iter_lines())]
    assert "".join(d["content"] for d in data[:-1]) == "Größe counts."
    with resume(serve, started, "16") as nothing:
        assert nothing.status_code == 204, "the last event's id: there is no more, and no reason to come again"


def test_a_stream_is_only_for_the_one_who_started_it(assay, model, script):
    serve = serve_on(assay, model)
    with serve.http.stream("POST", "/chat/stream", json=ASK) as started:
        url, token = f"/chat/stream/{started.headers['X-Trace-Id']}", started.headers["X-Resume-Token"]
        forged = token[:-1] + ("0" if token[-1] != "0" else "1")
        with httpx.Client(base_url=serve.url, timeout=30, trust_env=False) as other:
            for method in ("GET", "DELETE"):
                assert other.request(method, url, headers={"X-User-ID": "bob"}).status_code == 403
                assert other.request(method, url, headers={"X-Feedback-Token": started.headers["X-Feedback-Token"]}).status_code == 403
                assert other.request(method, url, headers={"X-Resume-Token": forged}).status_code == 403
                assert other.request(method, "/chat/stream/tr-unknown", headers={"X-Resume-Token": token}).status_code == 404
            assert other.get(url, headers={"X-Resume-Token": token, "Last-Event-ID": "x"}).status_code == 400
        script.say("Water", None)
        assert [d["type"] for _, d in events(started.iter_lines())] == ["token", "done"], "nobody else has touched it"


def test_without_a_token_it_is_for_the_same_key_user_and_session(assay, model, script):
    serve = assay("serve", "--model-url", model.url, "--threads", "2", "--require-keys", start=False)
    keys = [bearer(create_key(serve, name, "chat", "read")) for name in ("app", "other")]
    serve.start()
    ana = {"X-User-ID": "ana", "X-Session-ID": "s"}
    with serve.http.stream("POST", "/chat/stream", json=ASK, headers=keys[0] | ana) as started:
        script.say("Water")
        last_id, _ = next(events(started.iter_lines()))
    url = f"/chat/stream/{started.headers['X-Trace-Id']}"
    for headers in (keys[1] | ana, keys[0], keys[0] | ana | {"X-User-ID": "bob"}, keys[0] | {"X-User-ID": "ana"}):
        assert serve.http.get(url, headers=headers).status_code == serve.http.delete(url, headers=headers).status_code == 403
    assert serve.http.get("/chat/stream/tr-unknown", headers=keys[0] | ana).status_code == 404
    with serve.http.stream("GET", url, headers=keys[0] | ana | {"Last-Event-ID": last_id}) as again:
        script.say(" is wet")
        assert next(events(again.iter_lines()))[1]["content"] == " is wet"
    stopped = serve.http.delete(url, headers=keys[0] | ana)
    assert stopped.status_code == 200 and stopped.json()["status"] == "stopped"
    script.say(None)


def test_two_streams_of_one_trace_are_resumed_stopped_and_closed_each_by_itself(assay, model, script):
    serve = serve_on(assay, model)
    parent = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    with serve.http.stream("POST", "/chat/stream", json=ASK, headers=parent) as first, httpx.stream("POST", f"{serve.url}/chat/stream", json=ASK, headers=parent, trust_env=False) as second:
        assert first.headers["X-Trace-Id"] == second.headers["X-Trace-Id"] == "tr-4bf92f3577b34da6a3ce929d0e0e4736"
        script.say("Water")
        assert httpx.get(f"{serve.url}/chat/stream/{first.headers['X-Trace-Id']}", trust_env=False).status_code == 403, "a trace's id that the caller chose proves nothing"
        for started in (first, second):
            with resume(serve, started, None) as again:
                assert next(events(again.iter_lines()))[1]["content"] == "Water"
        stopped = httpx.delete(f"{serve.url}/chat/stream/{second.headers['X-Trace-Id']}", headers={"X-Resume-Token": second.headers["X-Resume-Token"]}, timeout=30, trust_env=False)
        assert stopped.json()["status"] == "stopped"
        serve.restart_after_kill9()
    wait_until("the other one is closed", lambda: len(spans(serve, first.headers["X-Trace-Id"])) == 2)
    assert sorted(span["status"]["code"] for span in spans(serve, first.headers["X-Trace-Id"])) == ["STATUS_CODE_ERROR", "STATUS_CODE_OK"]


def spans(serve: Assay, trace_id: str) -> list[dict]:
    found = serve.http.get("/api/3.0/mlflow/traces/batchGet", params={"trace_ids": trace_id}).raise_for_status()
    return found.json()["traces"][0].get("spans", [])


def test_head_of_a_stream_takes_it_from_nobody(assay, model, script):
    serve = serve_on(assay, model)
    with serve.http.stream("POST", "/chat/stream", json=ASK) as started:
        came = events(started.iter_lines())
        with httpx.Client(base_url=serve.url, timeout=30, trust_env=False) as other:
            head = other.head(f"/chat/stream/{started.headers['X-Trace-Id']}", headers={"X-Resume-Token": started.headers["X-Resume-Token"]})
            assert head.status_code == 200 and head.headers["content-type"].startswith("text/event-stream")
            assert "content-length" not in head.headers and set(head.headers) == set(started.headers)
            assert other.get("/livez").status_code == 200
        script.say("Water", None)
        assert [data["type"] for _, data in came] == ["token", "done"]


def test_on_another_front_door_the_answer_is_clear(assay, model, script):
    first, second = serve_on(assay, model), serve_on(assay, model)
    with first.http.stream("POST", "/chat/stream", json=ASK) as started:
        with resume(second, started, None) as misdirected:
            misdirected.read()
            assert misdirected.status_code == 421 and "another front door" in misdirected.text
        script.say(None)


def test_stopping_ends_the_model_and_the_answer_so_far_can_be_rated(assay, model, script):
    serve = serve_on(assay, model)
    with serve.http.stream("POST", "/chat/stream", json=ASK) as started:
        script.say("Water is")
        came = events(started.iter_lines())
        next(came)
        with httpx.Client(base_url=serve.url, timeout=30, trust_env=False) as other:
            stopped = other.delete(f"/chat/stream/{started.headers['X-Trace-Id']}", headers={"X-Resume-Token": started.headers["X-Resume-Token"]})
        assert stopped.status_code == 200 and stopped.json()["status"] == "stopped"
        done = next(came)[1]
    assert done["type"] == "done" and done["stopped"] is True
    script.say(" wet", " and", " wetter")  # to notice that nobody listens
    assert model.gone.wait(30)
    info = trace_info(serve.http, done["trace_id"])
    assert info["state"] == "OK" and "Water is" in info["response_preview"]
    accepted(serve.http.post("/feedback", params={"trace_id": done["trace_id"]}, json={"is_correct": True}))


def test_a_reader_that_does_not_come_back_aborts_the_model(assay, model, script):
    serve = serve_on(assay, model, "--resume-max", "1s")
    with serve.http.stream("POST", "/chat/stream", json=ASK) as started:
        script.say("Water")
        last_id, _ = next(events(started.iter_lines()))
    wait_until("the trace is closed", lambda: trace_info(serve.http, started.headers["X-Trace-Id"])["state"] == "ERROR")
    script.say("more", "more")
    assert model.gone.wait(30)
    with resume(serve, started, last_id) as late:
        assert late.status_code in (200, 404)  # its end is held for a moment, as every other


def test_an_answer_is_let_go_of_after_its_time_also_on_a_quiet_door(assay, model, script):
    serve = serve_on(assay, model, "--resume-max", "1s")
    script.say("Water", None)
    with serve.http.stream("POST", "/chat/stream", json=ASK) as answer:
        assert [d["type"] for _, d in events(answer.iter_lines())][-1] == "done"
    wait_until("it is let go of", lambda: serve.metric("assay_ingest_streams_held_bytes") == 0)


def test_tokens_that_come_too_fast_are_gathered(assay, model, script):
    serve = serve_on(assay, model, "--token-interval", "200ms")
    script.say(*(f"{n} " for n in range(2000)), None)
    with serve.http.stream("POST", "/chat/stream", json=ASK) as answer:
        data = [d for _, d in events(answer.iter_lines())]
    assert "".join(d["content"] for d in data[:-1]) == "".join(f"{n} " for n in range(2000))
    assert data[-1]["type"] == "done" and len(data) < 200


def test_a_silent_model_is_covered_by_comments(assay, model, script):
    serve = serve_on(assay, model, "--heartbeat", "100ms")
    with serve.http.stream("POST", "/chat/stream", json=ASK) as answer:
        lines = answer.iter_lines()
        comments = 0
        for line in lines:
            comments += line.startswith(":")
            if comments == 4:
                break
        script.say(None)


def test_a_drain_waits_for_streams_that_are_read_and_for_no_others(assay, model, script):
    forgotten, scripts = Script(), []
    scripts += [forgotten, script]
    model.tokens = lambda: scripts.pop(0)()
    serve = serve_on(assay, model, "--resume-max", "60s")
    with httpx.stream("POST", f"{serve.url}/chat/stream", json=ASK, timeout=30, trust_env=False) as left:
        forgotten.say("Water")
        next(events(left.iter_lines()))
    with httpx.stream("POST", f"{serve.url}/chat/stream", json=ASK, timeout=30, trust_env=False) as read:
        script.say("Water")
        came = events(read.iter_lines())
        assert next(came)[1]["content"] == "Water"
        serve.signal(15)
        script.say(" is wet", None)
        assert [d["type"] for _, d in came][-1] == "done"
    began = time.monotonic()
    wait_until("the end", lambda: not serve.running, within=20)
    assert serve.exit_code == 0 and time.monotonic() - began < 20
    serve.start()
    assert trace_info(serve.http, left.headers["X-Trace-Id"])["state"] == "ERROR"
    assert trace_info(serve.http, read.headers["X-Trace-Id"])["state"] == "OK"


def test_a_stream_that_outlasts_a_drain_is_told_so(assay, model, script):
    serve = serve_on(assay, model, "--drain-max", "1s")
    with httpx.stream("POST", f"{serve.url}/chat/stream", json=ASK, timeout=30, trust_env=False) as read:
        script.say("Water")
        came = events(read.iter_lines())
        assert next(came)[1]["content"] == "Water"
        serve.signal(15)
        last = [data for _, data in came][-1]
    assert last["type"] == "error" and "the server is stopping" in last["error"]
    script.say(None)
    wait_until("the end", lambda: not serve.running, within=20)
    serve.start()
    assert trace_info(serve.http, read.headers["X-Trace-Id"])["state"] == "ERROR"


def test_a_stream_cut_by_kill_9_is_closed_as_an_error_and_its_token_is_of_another_life(assay, model, script):
    serve = serve_on(assay, model)
    with httpx.stream("POST", f"{serve.url}/chat/stream", json=ASK, timeout=30, trust_env=False) as started:
        script.say("Water")
        last_id, _ = next(events(started.iter_lines()))
        serve.kill9()
    serve.start()
    with resume(serve, started, last_id) as again:
        assert again.status_code == 421
    wait_until("the trace is closed", lambda: trace_info(serve.http, started.headers["X-Trace-Id"])["state"] == "ERROR")
    script.say(None)
