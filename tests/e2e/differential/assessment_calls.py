"""Assessments."""

import json
import time
from typing import Any

import mlflow
from mlflow.entities import AssessmentSource, Expectation, Feedback
from mlflow.entities.assessment import AssessmentError

from calls import Calls


class AssessmentCalls(Calls):
    def show_assessment(self, a) -> Any:
        self.names.give("assessment", a.assessment_id)
        value = a.feedback.value if a.feedback is not None else a.expectation.value
        error = a.feedback.error.to_dictionary() if a.feedback is not None and a.feedback.error else None
        kind = "feedback" if a.feedback is not None else "expectation"
        overrides = self.names.by_id.get(a.overrides, a.overrides) if a.overrides else None
        return [a.name, kind, json.dumps(value, sort_keys=True, ensure_ascii=False), error, str(a.source.source_type), a.source.source_id, a.rationale, a.metadata, a.span_id is not None, a.valid, bool(overrides)]

    def source(self):
        kind = self.random.choice(["HUMAN", "CODE", "LLM_JUDGE", "AI_JUDGE"])
        return AssessmentSource(kind, self.random.choice(["ana", "bob", "gpt-4"]))

    def keep_assessment(self, trace_id: str, made, kind: str):
        if made is not None and made.assessment_id:
            self.names.give("assessment", made.assessment_id)
            self.assessments.append((trace_id, made.assessment_id, kind))

    def log_feedback(self):
        which = self.pick(self.traces, "tr-00000000000000000000000000000000", 0.04)
        name = self.random.choice(["user_feedback", "user_accuracy", "tone", "żółw name", "relevance"])
        value, source = self.value(), self.source()
        how = self.random.choice(["plain", "plain", "rationale", "metadata", "span", "error", "exception"])
        more: dict[str, Any] = {}
        if how == "rationale":
            more["rationale"] = self.random.choice(["because", "ą\nb"])
        if how == "metadata":
            more["metadata"] = {"m1": self.random.choice(["x", 1, 2.5]), "k": "v"}
        if how == "span":
            more["span_id"] = "00f067aa0ba902b7"
        if how == "error":
            value, more["error"] = None, AssessmentError("RATE_LIMIT", "too fast")
        if how == "exception":
            value, more["error"] = None, ValueError("nope")
        if isinstance(value, (list, dict)):
            # What Feedback takes: strings, numbers and truths inside.
            value = json.loads(json.dumps(value).replace("null", '"none"'))
        time.sleep(0.001)
        made = self.call(f"log_feedback {which} {name} {value!r} {how}", lambda: mlflow.log_feedback(trace_id=which, name=name, value=value, source=source, **more), self.show_assessment)
        self.keep_assessment(which, made, "feedback")

    def log_expectation(self):
        which = self.pick(self.traces, "tr-00000000000000000000000000000000", 0.04)
        name = self.random.choice(["expected_answer", "expected_tools"])
        value = self.random.choice(["Paris", 42, 0.5, True, ["a", 1], {"role": "x", "n": 3}])
        time.sleep(0.001)
        made = self.call(f"log_expectation {which} {name} {value!r}", lambda: mlflow.log_expectation(trace_id=which, name=name, value=value, source=self.source()), self.show_assessment)
        self.keep_assessment(which, made, "expectation")

    def an_assessment(self) -> tuple[str, str, str]:
        if not self.assessments or self.random.random() < 0.07:
            return (self.pick(self.traces, "tr-x"), "a-00000000000000000000000000000000", "feedback")
        return self.random.choice(self.assessments)

    def change_assessment(self):
        trace_id, which, kind = self.an_assessment()
        act = self.random.choice(["update", "update", "override", "delete"])
        if act == "update":
            wrong = self.random.random() < 0.1
            make = Expectation if (kind == "expectation") != wrong else Feedback
            value = self.random.choice([True, 0.25, "changed"])
            more = {} if make is Expectation else {"rationale": self.random.choice([None, "second thoughts"])}
            said = make(name=self.random.choice(["user_feedback", "renamed"]), value=value, metadata=self.random.choice([None, {"m1": "new", "m2": "y"}]), **more)
            self.call(f"update_assessment {which} {make.__name__} {value!r}", lambda: mlflow.update_assessment(trace_id, which, said), self.show_assessment)
        elif act == "override":
            if kind != "feedback" or which in {o for o in getattr(self, "overridden", set())}:
                return
            # One override for each: two of one are a difference that is listed.
            self.overridden = getattr(self, "overridden", set()) | {which}
            value = self.random.choice([False, 0.9, "better"])
            time.sleep(0.001)
            made = self.call(f"override_feedback {which} {value!r}", lambda: mlflow.override_feedback(trace_id=trace_id, assessment_id=which, value=value, rationale="human says", source=self.source()), self.show_assessment)
            self.keep_assessment(trace_id, made, "feedback")
        else:
            self.call(f"delete_assessment {which}", lambda: mlflow.delete_assessment(trace_id, which))

    def get_assessment(self):
        trace_id, which, _ = self.an_assessment()
        self.call(f"get_assessment {which}", lambda: mlflow.get_assessment(trace_id, which), self.show_assessment)
