"""What clients of a front door did and saw, and the judgement whether the front door kept its word.

A client writes down what it asks before it asks, and the answer when it has one. An ask without an answer (the process was killed) may
or may not have been accepted: the judge allows both, once. What has an answer must be there exactly so.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

UNCHANGED = object()


@dataclass
class Change:
    """A PATCH (value) or a DELETE (no value) of a feedback."""

    value: int | None
    answered: bool = False


@dataclass
class Feedback:
    """One click. `name` is its own alone: so a feedback without an answer is recognised, too."""

    name: str
    value: int
    by: str  # "trace_id" or "client_request_id"
    key: str | None = None
    assessment_id: str | None = None  # as answered
    known: bool = False  # answered 200: the front door named its trace
    changes: list[Change] = field(default_factory=list)


@dataclass
class Trace:
    trace_id: str | None  # none: nobody was told it
    client_request_id: str
    arrived: bool = False  # accepted with 2xx
    chat: bool = False  # made by /chat or /chat/stream, else by POST traces
    response: str | None = None  # of a chat that was answered in full
    feedback: list[Feedback] = field(default_factory=list)


class History:
    """Of all clients; each trace is written by one of them alone."""

    def __init__(self):
        self._mutex = threading.Lock()
        self.traces: list[Trace] = []
        self.problems: list[str] = []  # answers that no fault excuses
        self.answered = self.unanswered = self.refused = 0

    def add(self, trace: Trace) -> Trace:
        with self._mutex:
            self.traces.append(trace)
        return trace

    def count(self, kind: str) -> None:
        with self._mutex:
            setattr(self, kind, getattr(self, kind) + 1)

    def problem(self, text: str) -> None:
        with self._mutex:
            self.problems.append(text)


def allowed_values(feedback: Feedback) -> set:
    """The values that a feedback may have in the end; None: it is gone."""
    allowed = {feedback.value}
    for change in feedback.changes:
        if change.answered:
            allowed = {None} if None in allowed and len(allowed) == 1 else {change.value} | ({None} if None in allowed else set())
        else:
            allowed = allowed | {change.value}
    return allowed


def judge(history: History, read_trace: Callable[[str], dict | None], read_receipt: Callable[[str], dict | None]) -> list[str]:
    """Everything that was promised and is not so, in words; empty: the word was kept.

    read_trace: trace_id -> MLflow's trace_info, none if unknown. read_receipt: assessment_id -> receipt, none if unknown.
    """
    wrong = list(history.problems)
    ids: dict[str, str] = {}
    for trace in history.traces:
        wrong += _judge_trace(trace, read_trace, read_receipt)
        for feedback in trace.feedback:
            if feedback.assessment_id and ids.setdefault(feedback.assessment_id, feedback.name) != feedback.name:
                wrong.append(f"{feedback.assessment_id} was given to {ids[feedback.assessment_id]} and to {feedback.name}")
    return wrong


def _judge_trace(trace: Trace, read_trace, read_receipt) -> list[str]:
    wrong = []
    info = read_trace(trace.trace_id) if trace.trace_id else None
    who = trace.trace_id or trace.client_request_id
    if info is None:
        if trace.trace_id and (trace.arrived or trace.chat):
            wrong.append(f"{who}: the trace was promised and is not there")
        for feedback in trace.feedback:
            # Nobody can say which trace it found, if any: its receipt must still know it.
            receipt = feedback.assessment_id and read_receipt(feedback.assessment_id)
            if feedback.assessment_id and (not receipt or receipt["state"] not in ("parked", "committed", "deleted")):
                wrong.append(f"{who}: feedback {feedback.name} was accepted and its receipt says {receipt}")
        return wrong
    if trace.chat:
        states = ("OK",) if trace.response is not None else ("OK", "ERROR")
        if info.get("state") not in states:
            wrong.append(f"{who}: the chat's trace is {info.get('state')}, not {' or '.join(states)}")
        if trace.response is not None and json.dumps(trace.response)[1:-1][:40] not in info.get("response_preview", ""):
            wrong.append(f"{who}: the chat answered {trace.response!r}, its trace says {info.get('response_preview')!r}")
    if info.get("client_request_id", trace.client_request_id) != trace.client_request_id:
        wrong.append(f"{who}: it is named {info['client_request_id']}, not {trace.client_request_id}")
    shown: dict[str, list[dict]] = {}
    for assessment in info.get("assessments", []):
        shown.setdefault(assessment["assessment_name"], []).append(assessment)
    for feedback in trace.feedback:
        wrong += _judge_feedback(who, feedback, shown.pop(feedback.name, []), read_receipt)
    wrong += [f"{who}: {name} stands on it, and nobody said that: {found}" for name, found in shown.items()]
    return wrong


def _judge_feedback(who: str, feedback: Feedback, found: list[dict], read_receipt) -> list[str]:
    wrong = []
    said = f"{who}: feedback {feedback.name}"
    allowed = allowed_values(feedback)
    if feedback.assessment_id is None:
        allowed.add(None)  # perhaps it was never accepted
    if len(found) > 1:
        wrong.append(f"{said} stands {len(found)} times: {[a['assessment_id'] for a in found]}")
    if not found and None not in allowed:
        wrong.append(f"{said} was accepted as {feedback.assessment_id} and is lost")
    for assessment in found:
        value = assessment["feedback"]["value"]
        if value not in allowed:
            wrong.append(f"{said} says {value!r}, which is none of {allowed}")
        if feedback.assessment_id and assessment["assessment_id"] != feedback.assessment_id:
            wrong.append(f"{said} was accepted as {feedback.assessment_id} and stands as {assessment['assessment_id']}")
    if feedback.assessment_id:
        receipt = read_receipt(feedback.assessment_id)
        state = "committed" if found or None not in allowed else "deleted"
        if receipt is None or receipt["state"] != state:
            wrong.append(f"{said}: its receipt says {receipt}")
        elif receipt.get("trace_id") != who:
            wrong.append(f"{said}: its receipt names the trace {receipt.get('trace_id')}")
    return wrong
