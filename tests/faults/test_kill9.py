"""`kill -9` of `assay serve` at random moments under load: every 2xx that a client saw is there exactly once."""

import http.client
import json
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import pytest

from support.assay import Assay, run_assay
from support.door import events, trace_body
from support.history import Change, Feedback, History, Trace, allowed_values, judge
from support.waiting import wait_until

CLIENTS = 6


class Client(threading.Thread):
    """One application: makes traces, has opinions about them and changes its mind, one request after the other, until it is stopped.

    A request that gets no answer is left alone where it has no key, and asked again, over the restarts, where a client would do that.
    """

    def __init__(self, serve: Assay, history: History, seed: int, number: int):
        super().__init__(name=f"client-{number}", daemon=True)
        self.serve, self.history = serve, history
        self.random = random.Random(seed * 1000 + number)
        self.number, self.counter = number, 0
        self.stopping = threading.Event()
        self.connection: http.client.HTTPConnection | None = None
        self.traces: list[Trace] = []
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.stopping.is_set():
                self.step()
        except BaseException as error:
            self.failure = error
        finally:
            self.disconnect()

    def step(self) -> None:
        recent = self.traces[-8:]
        pick = self.random.random()
        if not recent or pick < 0.08:
            self.chat(stream=False)
        elif pick < 0.14:
            self.chat(stream=True)
        elif pick < 0.22:
            self.new_trace()
        elif pick < 0.30:
            self.send_trace(self.random.choice(recent))
        elif pick < 0.77:
            self.feedback(self.random.choice(recent))
        elif pick < 0.85:
            self.batch([self.random.choice(recent) for _ in range(self.random.randint(2, 6))])
        else:
            given = [f for t in recent for f in t.feedback if f.assessment_id and (not f.changes or f.changes[-1].value is not None)]
            if given:
                self.change(self.random.choice(given))

    # ── what it does ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def name(self, what: str) -> str:
        self.counter += 1
        return f"{what}-{self.number}-{self.counter}"

    def chat(self, stream: bool) -> None:
        trace = self.history.add(Trace(None, self.name("req"), chat=True))
        headers = {"X-Client-Request-Id": trace.client_request_id}
        body = {"message": f"about {trace.client_request_id}"}
        if stream:
            answered = self.stream(trace, body, headers)
        else:
            answered = self.ask("POST", "/chat", body, headers)
            if answered:
                trace.trace_id, trace.response = answered[1]["trace_id"], answered[1]["response"]
        trace.arrived = bool(answered)
        if answered:
            self.traces.append(trace)

    def new_trace(self) -> None:
        """A trace that is known to its application before anybody else: it may be sent much later."""
        trace = Trace("tr-%032x" % self.random.getrandbits(128), self.name("req"))
        self.traces.append(self.history.add(trace))

    def send_trace(self, trace: Trace) -> None:
        if trace.chat:
            return
        if self.ask("POST", "/api/3.0/mlflow/traces", trace_body(trace.trace_id, trace.client_request_id)):
            trace.arrived = True

    def feedback(self, trace: Trace) -> None:
        given = Feedback(
            name=self.name("f"),
            value=self.random.randrange(1000),
            by=self.random.choice(["trace_id", "client_request_id"]),
            key=self.name("key") if self.random.random() < 0.4 else None,
        )
        trace.feedback.append(given)
        times = self.random.choice([1, 1, 2]) if given.key else 1
        for _ in range(times):
            while True:
                answered = self.give(trace, given)
                if answered or not given.key or self.stopping.is_set():
                    break

    def batch(self, traces: list[Trace]) -> None:
        """Several opinions at once. Where its items have keys it is asked again until it is answered."""
        given = [Feedback(self.name("f"), self.random.randrange(1000), self.random.choice(["trace_id", "client_request_id"])) for _ in traces]
        items = [{one.by: getattr(trace, one.by), "name": one.name, "value": one.value} for trace, one in zip(traces, given)]
        keyed = self.random.random() < 0.5
        for trace, one, item in zip(traces, given, items):
            trace.feedback.append(one)
            if keyed:
                item["idempotency_key"] = self.name("key")
        while not (answered := self.ask("POST", "/feedback/batch", items)) and keyed and not self.stopping.is_set():
            pass
        for one, result in zip(given, answered[1]["results"] if answered else []):
            if result["status"] in (200, 202):
                one.assessment_id, one.known = result["assessment_id"], result["status"] == 200
            elif result["status"] != 503:
                self.history.problem(f"{one.name} in a batch: {result}")

    def give(self, trace: Trace, given: Feedback) -> bool:
        target = urlencode({given.by: getattr(trace, given.by), "user_id": f"user {self.number}"})
        headers = {"Idempotency-Key": given.key} if given.key else {}
        answered = self.ask("POST", f"/feedback?{target}", {"name": given.name, "value": given.value}, headers)
        if not answered:
            return False
        status, body = answered
        assessment_id = body["assessment_id"]
        if given.assessment_id not in (None, assessment_id):
            self.history.problem(f"{given.name}: its key gave {given.assessment_id}, and then {assessment_id}")
        given.assessment_id, given.known = assessment_id, status == 200
        if status == 200 and body["trace_id"] != trace.trace_id:
            self.history.problem(f"{given.name} is about {trace.trace_id} and was given to {body['trace_id']}")
        return True

    def change(self, given: Feedback) -> None:
        change = Change(None if self.random.random() < 0.3 else self.random.randrange(1000, 2000))
        given.changes.append(change)
        path = f"/feedback/{given.assessment_id}"
        headers = {"Idempotency-Key": self.name("key")} if self.random.random() < 0.5 else {}
        for _ in range(2 if headers else 1):
            if change.value is None:
                change.answered |= bool(self.ask("DELETE", path, None, headers))
            else:
                change.answered |= bool(self.ask("PATCH", path, {"value": change.value}, headers))

    # ── how it asks ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def connect(self) -> http.client.HTTPConnection | None:
        """None when it was told to stop meanwhile."""
        while not self.stopping.is_set():
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.serve.port, timeout=20)
                try:
                    self.connection.connect()
                except OSError:
                    self.disconnect()
                    self.stopping.wait(0.01)  # until the next process listens
                    continue
            return self.connection
        return None

    def disconnect(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def ask(self, method: str, path: str, body: dict | None = None, headers: dict[str, str] | None = None) -> tuple[int, dict] | None:
        """Status and body of a 2xx; none: no answer, or "later"."""
        connection = self.connect()
        if connection is None:
            return None
        sent = {"Content-Type": "application/json", **(headers or {})}
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, sent)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self.disconnect()
            self.history.count("unanswered")
            return None
        if answer.will_close:
            self.disconnect()
        return self.seen(f"{method} {path}", answer.status, text)

    def seen(self, what: str, status: int, text: bytes) -> tuple[int, dict] | None:
        if 200 <= status < 300:
            self.history.count("answered")
            return status, json.loads(text)
        self.history.count("refused")
        if status != 503:
            self.history.problem(f"{what}: {status} {text[:200]!r}")
        return None

    def stream(self, trace: Trace, body: dict, headers: dict[str, str]) -> bool:
        connection = self.connect()
        if connection is None:
            return False
        tokens, done = [], False
        try:
            connection.request("POST", "/chat/stream", json.dumps(body), {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            if answer.status != 200:
                self.seen("POST /chat/stream", answer.status, answer.read())
                return False
            trace.trace_id = answer.headers["X-Trace-Id"]  # told: from now on the trace is there, whatever happens
            for _, event in events(line.decode().rstrip("\n").rstrip("\r") for line in answer):
                if event["type"] == "token":
                    tokens.append(event["content"])
                done = done or event["type"] == "done"
        except (OSError, http.client.HTTPException, ValueError):
            self.disconnect()
            self.history.count("unanswered")
            return False
        finally:
            if done:
                trace.response = "".join(tokens)
                self.history.count("answered")
        return done


def reader(serve: Assay):
    """(read_trace, read_receipt) with one connection a thread."""
    local = threading.local()

    def get(path: str) -> tuple[int, bytes]:
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection("127.0.0.1", serve.port, timeout=20)
        local.connection.request("GET", path)
        answer = local.connection.getresponse()
        return answer.status, answer.read()

    def read(path: str) -> dict | None:
        status, text = get(path)
        assert status in (200, 404), f"{path}: {status} {text!r}"
        return json.loads(text) if status == 200 else None

    def read_trace(trace_id: str) -> dict | None:
        found = read(f"/api/3.0/mlflow/traces/{trace_id}")
        return found and found["trace"]["trace_info"]

    return read_trace, lambda assessment_id: read(f"/feedback/{assessment_id}")


def campaign(serve: Assay, kills: int) -> None:
    seed = int(os.environ.get("ASSAY_TEST_SEED", random.SystemRandom().randrange(2**32)))
    print(f"seed {seed} (again: ASSAY_TEST_SEED={seed})")
    chance = random.Random(seed)
    history = History()
    clients = [Client(serve, history, seed, number) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        for _ in range(kills):
            time.sleep(chance.uniform(0.05, 0.6))  # the moment of the kill is what is random here
            serve.restart_after_kill9(down=chance.uniform(0, 0.05))
            for client in clients:
                assert client.failure is None, client.failure
    finally:
        for client in clients:
            client.stopping.set()
        for client in clients:
            client.join(60)
            assert not client.is_alive(), client.name
            assert client.failure is None, client.failure

    # The last traces arrive, so that all feedback finds its trace; clients that got no answer to a keyed click ask once more.
    closing = Client(serve, history, seed, 999)
    for trace in history.traces:
        if not trace.chat and not trace.arrived:
            closing.send_trace(trace)
            assert trace.arrived, trace
        for given in trace.feedback:
            if given.key and given.assessment_id is None and (trace.trace_id or given.by == "client_request_id"):
                assert closing.give(trace, given), given
    closing.disconnect()

    given = [f for t in history.traces for f in t.feedback]
    print(
        f"{kills} kills, {history.answered} requests answered, {history.unanswered} not, {history.refused} refused; "
        f"{len(history.traces)} traces, {len(given)} feedbacks, {sum(f.assessment_id is not None for f in given)} accepted, "
        f"{sum(len(f.changes) for f in given)} changes"
    )
    assert history.answered > kills * 20, "there was load"
    assert history.unanswered > kills / 4, "the kills hit requests"

    wait_until("counters settled", lambda: serve.metric("assay_unaccounted") == 0)
    read_trace, read_receipt = reader(serve)
    _settle(history, read_receipt)
    wrong = judge(history, read_trace, read_receipt)
    assert not wrong, f"seed {seed}: {len(wrong)} promises broken:\n" + "\n".join(wrong[:30])
    verified = run_assay("verify", "--data", str(serve.data))
    assert verified.returncode == 0, verified.stdout + verified.stderr
    print(verified.stdout)


def _settle(history: History, read_receipt) -> None:
    """Waits until the last feedback with a trace of each client is committed: what came before it is decided, too."""
    last = [f for t in history.traces if t.trace_id for f in t.feedback if f.assessment_id and None not in allowed_values(f)][-50:]

    def committed(given: Feedback) -> None:
        wait_until(f"{given.assessment_id} committed", lambda: (r := read_receipt(given.assessment_id)) and r["state"] == "committed")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(committed, last))


@pytest.mark.timeout(300)
def test_fifty_kills_under_load_lose_nothing_and_double_nothing(assay):
    campaign(assay("serve"), kills=10 if "ASSAY_TEST_SHORT" in os.environ else 50)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_two_hundred_kills_under_load_lose_nothing_and_double_nothing(assay):
    campaign(assay("serve"), kills=200)


# ── the judge itself: what it must find ──────────────────────────────────────────────────────────────────────────────────────────


def _judged(bend) -> list[str]:
    """Judges a small true story after `bend` changed what is read back."""
    history = History()
    told = history.add(Trace("tr-1", "req-1", arrived=True, chat=True, response="Water is wet."))
    told.feedback.append(Feedback("f-1", 1, "trace_id", assessment_id="a-1"))
    told.feedback.append(Feedback("f-2", 2, "trace_id"))  # without an answer
    told.feedback.append(Feedback("f-3", 3, "trace_id", assessment_id="a-3", changes=[Change(30, True)]))
    told.feedback.append(Feedback("f-4", 4, "trace_id", assessment_id="a-4", changes=[Change(None, True)]))

    def stands(number: int, value: int) -> dict:
        return {"assessment_id": f"a-{number}", "assessment_name": f"f-{number}", "feedback": {"value": value}}

    info = {"state": "OK", "client_request_id": "req-1", "response_preview": "Water is wet.", "assessments": [stands(1, 1), stands(3, 30)]}
    receipts = {f"a-{n}": {"state": "deleted" if n == 4 else "committed", "trace_id": "tr-1"} for n in (1, 3, 4)}
    world = {"info": info, "receipts": receipts, "stands": stands}
    bend(world)
    return judge(history, lambda _: world["info"], world["receipts"].get)


@pytest.mark.parametrize(
    "lie, bend",
    [
        ("lost", lambda w: w["info"]["assessments"].pop(0)),
        ("doubled", lambda w: w["info"]["assessments"].append({**w["stands"](1, 1), "assessment_id": "a-9"})),
        ("an answerless one doubled", lambda w: w["info"]["assessments"].extend([w["stands"](2, 2), {**w["stands"](2, 2), "assessment_id": "a-9"}])),
        ("another's", lambda w: w["info"]["assessments"].append(w["stands"](7, 7))),
        ("update lost", lambda w: w["info"]["assessments"][1]["feedback"].update(value=3)),
        ("delete lost", lambda w: w["info"]["assessments"].append(w["stands"](4, 4))),
        ("receipt lost", lambda w: w["receipts"].pop("a-1")),
        ("receipt of a deletion lost", lambda w: w["receipts"].pop("a-4")),
        ("receipt of a deletion says committed", lambda w: w["receipts"]["a-4"].update(state="committed")),
        ("receipt parked", lambda w: w["receipts"]["a-1"].update(state="parked")),
        ("receipt of another trace", lambda w: w["receipts"]["a-1"].update(trace_id="tr-2")),
        ("trace lost", lambda w: w.update(info=None)),
        ("chat left open", lambda w: w["info"].update(state="IN_PROGRESS")),
        ("chat's answer lost", lambda w: w["info"].update(response_preview="")),
    ],
)
def test_the_judge_finds(lie, bend):
    assert _judged(lambda _: None) == [], "the true story"
    assert _judged(bend), lie


def test_the_judge_allows_what_got_no_answer_to_be_there_once():
    assert _judged(lambda w: w["info"]["assessments"].append(w["stands"](2, 2))) == []
