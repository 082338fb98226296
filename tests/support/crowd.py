"""Many clients of several front doors on Kafka: what they ask and what they are told, written down as lines of JSON.

Each line is one thing said, when it has been answered or given up: see `Said`. kafka_judge.py reads them, and the topics.
"""

import json
import random
import socket
import threading
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import quote

from .door import trace_body


class FastHttp:
    """One keep-alive connection that sends and reads one request at a time: ten times quicker than a client that can do everything."""

    def __init__(self, port: int, timeout: float = 15.0):
        self.port, self.timeout = port, timeout
        self._socket: socket.socket | None = None

    def ask(self, method: str, target: str, body: dict | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """The status and the body; OSError where there is no answer."""
        data = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {target} HTTP/1.1", "Host: door", "Content-Type: application/json", f"Content-Length: {len(data)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        try:
            if self._socket is None:
                self._socket = socket.create_connection(("127.0.0.1", self.port), self.timeout)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
            return self._answer()
        except OSError:
            self.close()
            raise

    def _answer(self) -> tuple[int, bytes]:
        got = b""
        while b"\r\n\r\n" not in got:
            got += self._more()
        head, _, body = got.partition(b"\r\n\r\n")
        head = head.lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        while len(body) < length:
            body += self._more()
        if b"connection: close" in head:
            self.close()
        return int(head[9:12]), body

    def _more(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionResetError("closed without an answer")
        return data

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


@dataclass
class Said:
    """One thing that a client wanted. `sent` counts the requests, `answered` those that were answered 2xx."""

    kind: str  # trace | create | update | delete
    uid: str  # stands in what was said, so that it is recognised without an answer, too
    sent: int = 0
    answered: int = 0
    keyed: bool = False
    trace_id: str | None = None  # of a create: the trace that it belongs to; none: of an orphan
    client_request_id: str | None = None
    assessment_ids: list[str] = field(default_factory=list)  # as answered, each once; of a change: its target
    refused: list[str] = field(default_factory=list)  # answers that are neither 2xx nor "later"


class Notes:
    """The file of what was said. Thread-safe."""

    def __init__(self, path: Path):
        self.path = path
        self._file = path.open("w")
        self._mutex = threading.Lock()
        self.count = 0

    def add(self, said: Said) -> None:
        line = json.dumps(asdict(said))
        with self._mutex:
            self._file.write(line + "\n")
            self.count += 1

    def poison(self, partition: int, offset: int) -> None:
        with self._mutex:
            self._file.write(json.dumps({"kind": "poison", "partition": partition, "offset": offset}) + "\n")

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True)
class Mix:
    """What share of the feedback is what."""

    early: float = 0.10
    repeated: float = 0.01
    keyed: float = 0.5
    updated: float = 0.02
    deleted: float = 0.01


class Crowd:
    """Clients that say `pairs` traces with a feedback each, and `orphans` feedbacks whose trace never comes.

    What was not answered is said again where a key makes that one thing, or where it is a trace; else it is left open whether it was
    accepted. What was refused with 503 or 429 is said again after a moment.
    """

    def __init__(self, ports: Sequence[int], notes: Notes, pairs: int, orphans: int = 0, mix: Mix = Mix(), clients: int = 16, seed: int = 1):
        self.ports, self.notes, self.mix = list(ports), notes, mix
        self._mutex = threading.Lock()
        self._left, self._orphans, self.done = pairs, orphans, 0
        self._seed = seed
        self._stop = threading.Event()
        self.progress = threading.Condition()
        self._threads = [threading.Thread(target=self._client, args=(i,), daemon=True) for i in range(clients)]
        self.failures: list[str] = []

    def start(self) -> "Crowd":
        for thread in self._threads:
            thread.start()
        return self

    def join(self, within: float) -> None:
        for thread in self._threads:
            thread.join(within)
            assert not thread.is_alive(), f"the crowd is stuck after {self.done} pairs"
        assert not self.failures, self.failures[:3]

    def stop(self) -> None:
        """No more is begun."""
        self._stop.set()

    def wait_done(self, pairs: int, within: float = 120.0) -> None:
        """Until so many pairs were said, or all."""
        with self.progress:
            reached = self.progress.wait_for(lambda: self.done >= pairs or self.failures or not self._alive(), within)
        assert reached and not self.failures, f"{self.done} of {pairs} pairs; {self.failures[:3]}"

    def _alive(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def _take(self) -> str | None:
        with self._mutex:
            if self._orphans > 0:
                self._orphans -= 1
                return "orphan"
            if self._left > 0 and not self._stop.is_set():
                self._left -= 1
                return "pair"
        return None

    def _client(self, number: int) -> None:
        chance = random.Random(self._seed * 1000 + number)
        doors = [FastHttp(port) for port in self.ports]
        try:
            while (what := self._take()) is not None:
                if what == "orphan":
                    self._give(doors, chance, None, f"req-{uuid.uuid4().hex}", "client_request_id")
                else:
                    self._pair(doors, chance)
                    with self.progress:
                        self.done += 1
                        self.progress.notify_all()
        except Exception as error:  # a test must hear of it
            self.failures.append(repr(error))
        finally:
            for door in doors:
                door.close()
            with self.progress:
                self.progress.notify_all()

    def _pair(self, doors: list[FastHttp], chance: random.Random) -> None:
        trace_id, request_id = f"tr-{uuid.uuid4().hex}", f"req-{uuid.uuid4().hex}"
        by = chance.choice(("trace_id", "client_request_id"))
        steps = [lambda: self._trace(doors, chance, trace_id, request_id), lambda: self._give(doors, chance, trace_id, request_id, by)]
        if chance.random() < self.mix.early:
            steps.reverse()
        for step in steps:
            step()

    def _trace(self, doors: list[FastHttp], chance: random.Random, trace_id: str, request_id: str) -> None:
        said = Said("trace", trace_id, trace_id=trace_id, client_request_id=request_id)
        self._until_answered(doors, chance, said, "POST", "/api/3.0/mlflow/traces", trace_body(trace_id, request_id), {}, again=True)
        self.notes.add(said)

    def _give(self, doors: list[FastHttp], chance: random.Random, trace_id: str | None, request_id: str, by: str) -> None:
        said = Said("create", uuid.uuid4().hex, trace_id=trace_id, client_request_id=request_id, keyed=chance.random() < self.mix.keyed)
        target = f"/feedback?{by}={quote(trace_id if by == 'trace_id' else request_id)}"
        body = {"name": "rating", "value": chance.randint(1, 5), "metadata": {"uid": said.uid}}
        headers = {"Idempotency-Key": said.uid} if said.keyed else {}
        self._until_answered(doors, chance, said, "POST", target, body, headers, again=said.keyed)
        if said.keyed and chance.random() < self.mix.repeated / self.mix.keyed:
            for door in doors:  # the other front door, too
                self._until_answered([door], chance, said, "POST", target, body, headers, again=True)
        self.notes.add(said)
        if said.assessment_ids and chance.random() < self.mix.updated:
            self._change(doors, chance, said, "update", by)
        if said.assessment_ids and chance.random() < self.mix.deleted:
            self._change(doors, chance, said, "delete", by)

    def _change(self, doors: list[FastHttp], chance: random.Random, create: Said, op: str, by: str) -> None:
        said = Said(op, uuid.uuid4().hex, keyed=True, trace_id=create.trace_id, assessment_ids=create.assessment_ids[:1])
        target = create.trace_id if by == "trace_id" else create.client_request_id
        path = f"/feedback/{create.assessment_ids[0]}?{by}={quote(target)}"
        body = {"value": chance.randint(1, 5), "rationale": said.uid} if op == "update" else None
        ids = list(said.assessment_ids)
        self._until_answered(doors, chance, said, "PATCH" if op == "update" else "DELETE", path, body, {"Idempotency-Key": said.uid}, again=True)
        said.assessment_ids = ids
        self.notes.add(said)

    def _until_answered(self, doors, chance, said: Said, method, target, body, headers, again: bool) -> None:
        while True:
            door = chance.choice(doors)
            said.sent += 1
            try:
                status, answer = door.ask(method, target, body, headers)
            except OSError:
                if not again:
                    return
                self._pause(0.05)
                continue
            if status in (429, 503):
                # It may have been written all the same: without a key the client can't say it again as the same thing.
                if not again and status == 503:
                    return
                self._pause(0.05)
                continue
            if 200 <= status < 300:
                said.answered += 1
                found = json.loads(answer).get("assessment_id") if answer else None
                if found and found not in said.assessment_ids:
                    said.assessment_ids.append(found)
            else:
                said.refused.append(f"{status} {answer[:200].decode(errors='replace')}")
            return

    def _pause(self, seconds: float) -> None:
        self._stop_waiting.wait(seconds)

    _stop_waiting = threading.Event()  # never set: a pause of a client, not a wait of the test
