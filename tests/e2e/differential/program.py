"""Seeded random programs of calls of MLflow's client, and what they saw, in a form in which two servers can be compared.

A program is a function of its seed and of what it has made so far, never of a server's answers beyond that: the same seed makes the same
calls everywhere. Ids and times that a server or a clock chose are named by the order in which they were made.
"""

import json
import random
import re
import time
from collections.abc import Callable
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import AssessmentSource, Expectation, Feedback, SpanType
from mlflow.entities.assessment import AssessmentError
from mlflow.exceptions import MlflowException

EPOCH = 1_780_000_000_000  # of traces that are given their times; milliseconds


class Names:
    """Ids under the names of their making."""

    def __init__(self):
        self.by_id: dict[str, str] = {}

    def give(self, kind: str, made: str) -> str:
        if made not in self.by_id:
            count = sum(1 for name in self.by_id.values() if name.startswith(f"<{kind}"))
            self.by_id[made] = f"<{kind}{count}>"
            if kind == "trace":
                self.by_id[made.removeprefix("tr-")] = f"<hex{count}>"
        return self.by_id[made]

    def of(self, made: Any) -> Any:
        """The name of an id, of each of a list; what has none is itself."""
        return [self.of(m) for m in made] if isinstance(made, list) else self.by_id.get(made, made)

    def plain(self, text: str) -> str:
        for made in sorted(self.by_id, key=len, reverse=True):
            if made.isdigit():
                # A number is an experiment's id only where something says so.
                text = re.sub(rf"""(mlflow-artifacts:/|[iI]d[= ]|[iI]d": "|experiment )'?{made}\b'?""", rf"\g<1>{self.by_id[made]}", text)
            else:
                text = text.replace(made, self.by_id[made])
        return text


def _sorted_sets(message: str) -> str:
    """Python prints sets in any order."""
    return re.sub(r"\{('[^{}]*')\}", lambda m: "{" + ", ".join(sorted(m[1].split(", "))) + "}", message)


# Words in which the two may differ, each with its reason: see ingest/mlflow/README.md, "Differences".
_WORDS = [
    (re.compile(r"(Experiment\(name=.*?\) already exists\.).*", re.S), r"\1"),  # MLflow adds its SQL
    (re.compile(r"^(BAD_REQUEST: ).*", re.S), r"\1…"),  # MLflow's words are SQL
    (re.compile(r"http://127\.0\.0\.1:\d+|port=\d+"), "<the server>"),  # each has its own
]


class Program:
    def __init__(self, seed: int, operations: int, run: str):
        self.random = random.Random(seed)
        self.seed = seed
        self.operations = operations
        self.client = MlflowClient()
        self.names = Names()
        self.seen: list[Any] = []
        self.experiments: list[str] = []
        self.experiment_names: dict[str, str] = {}
        self.deleted_experiments: set[str] = set()
        self.traces: list[str] = []
        self.times: dict[str, int] = {}
        self.assessments: list[tuple[str, str, str]] = []  # trace, id, kind
        self.datasets: list[Any] = []
        self.count = 0
        self.unique = f"{run}-{seed}"

    # ── running ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self) -> list[Any]:
        weighted = [
            (4, self.make_experiment),
            (5, self.change_experiment),
            (4, self.look_at_experiments),
            (13, self.make_trace),
            (16, self.log_feedback),
            (5, self.log_expectation),
            (9, self.change_assessment),
            (5, self.get_assessment),
            (6, self.change_tags),
            (2, self.delete_traces),
            (8, self.get_trace),
            (22, self.search_traces),
            (6, self.search_nonsense),
            (6, self.use_dataset),
        ]
        self.make_experiment()
        for _ in range(3):
            self.make_trace()
        for self.count in range(self.operations):
            self.random.choices([do for _, do in weighted], [w for w, _ in weighted])[0]()
        return self.seen

    def call(self, words: str, act: Callable[[], Any], show: Callable[[Any], Any] = lambda answer: None) -> Any:
        """Does it, and keeps what was seen. Answers what the call answered; None where it failed."""
        answer = None
        try:
            answer = act()
            seen = ["ok", show(answer)]
        except (MlflowException, ValueError, TypeError, AttributeError) as error:
            code = getattr(error, "error_code", "")
            seen = ["error", type(error).__name__, code, str(error)]
        text = self.names.plain(json.dumps([words, *seen], default=str, sort_keys=True, ensure_ascii=False))
        kept = json.loads(text)
        if kept[1] == "error":
            message = _sorted_sets(kept[4])
            for pattern, to in _WORDS:
                message = pattern.sub(to, message)
            kept[4] = message
        self.seen.append(kept)
        return answer

    def pick(self, of: list[Any], missing: Any = None, odds: float = 0.06) -> Any:
        """One of them; or, now and then, or where there is none, something that is not there."""
        if not of or (missing is not None and self.random.random() < odds):
            return missing
        return self.random.choice(of)

    # ── experiments ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def make_experiment(self):
        taken = self.random.random() < 0.2 and self.experiment_names
        name = self.random.choice(list(self.experiment_names.values())) if taken else f"/diff/{self.unique}/{len(self.experiments)}"
        tags = {f"t{i}": self.random.choice(["a", "b", "żółw"]) for i in range(self.random.randrange(3))}
        made = self.call(f"create_experiment {name}", lambda: self.client.create_experiment(name, tags=tags or None))
        if made:
            self.names.give("experiment", made)
            self.experiments.append(made)
            self.experiment_names[made] = name

    def change_experiment(self):
        which = self.pick(self.experiments, "987654")
        act = self.random.choice(["tag", "tag", "untag", "rename", "delete", "restore", "name"])
        if act == "tag":
            key, value = self.random.choice(["k1", "k2", "a/b", "bad,key"]), self.random.choice(["v", "w", ""])
            self.call(f"set_experiment_tag {self.names.of(which)} {key}={value}", lambda: self.client.set_experiment_tag(which, key, value))
        elif act == "untag":
            key = self.random.choice(["k1", "t0", "none"])
            self.call(f"delete_experiment_tag {self.names.of(which)} {key}", lambda: self.client.delete_experiment_tag(which, key))
        elif act == "rename":
            new = f"/diff/{self.unique}/renamed-{self.count}"
            before = len(self.seen)
            self.call(f"rename_experiment {self.names.of(which)}", lambda: self.client.rename_experiment(which, new))
            if self.seen[before][1] == "ok":
                self.experiment_names[which] = new
        elif act == "name":
            taken = self.pick(list(self.experiment_names.values()))
            if which in self.experiment_names and taken != self.experiment_names[which]:
                self.call(f"rename_experiment {self.names.of(which)} to a taken name", lambda: self.client.rename_experiment(which, taken))
        elif act == "delete":
            if len(self.deleted_experiments) + 1 < len(self.experiments):
                self.call(f"delete_experiment {self.names.of(which)}", lambda: self.client.delete_experiment(which))
                if which in self.experiments:
                    self.deleted_experiments.add(which)
        else:
            self.call(f"restore_experiment {self.names.of(which)}", lambda: self.client.restore_experiment(which))
            self.deleted_experiments.discard(which)

    def show_experiment(self, e) -> Any:
        return None if e is None else [self.names.of(e.experiment_id), e.name, e.lifecycle_stage, e.artifact_location, e.tags, e.creation_time <= e.last_update_time]

    def look_at_experiments(self):
        act = self.random.randrange(3)
        if act == 0:
            which = self.pick(self.experiments, self.random.choice(["987654", "abc"]))
            self.call(f"get_experiment {self.names.of(which)}", lambda: self.client.get_experiment(which), self.show_experiment)
        elif act == 1:
            name = self.pick(list(self.experiment_names.values()), "/diff/nobody", 0.2)
            self.call(f"get_experiment_by_name {name}", lambda: self.client.get_experiment_by_name(name), self.show_experiment)
        else:
            mine = f"name LIKE '/diff/{self.unique}/%'"
            more = self.random.choice(["", " AND tags.k1 = 'v'", " AND tag.t0 != 'a'", " AND tags.t1 ILIKE '%Ó%'", " AND tags.k2 IS NULL", " AND creation_time > 5",
                                       " AND name ILIKE '%RENAMED%'", " AND creation_time > 'x'", " AND color = 'x'", " OR name = 'x'", " AND tags.k1 > 'v'"])
            order = self.random.choice([None, ["name"], ["name DESC"], ["creation_time ASC"], ["last_update_time DESC", "name"], ["color"], ["name sideways"]])
            view = self.random.choice([1, 2, 3])
            most = self.random.choice([1000, 1, 2])
            self.call(
                f"search_experiments {mine + more} {order} {view} {most}",
                lambda: self.client.search_experiments(view_type=view, filter_string=mine + more, order_by=order, max_results=most),
                lambda page: [[self.show_experiment(e) for e in page], bool(page.token)],
            )

    # ── traces ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def active(self) -> str:
        return self.random.choice([e for e in self.experiments if e not in self.deleted_experiments])

    def value(self, depth: int = 2) -> Any:
        kinds = ["text", "number", "truth", "none"] + (["list", "map"] if depth else [])
        kind = self.random.choice(kinds)
        if kind == "text":
            return self.random.choice(["plain", "żółć 👍", 'q"uo\\te', "line\nbreak", "", "50% _x"])
        if kind == "number":
            return self.random.choice([0, 1, -3, 7, 2**40, 0.5, 1e-7, 12345.678, 0.1 * 3, 0.47000000000000003, self.random.random()])
        if kind == "truth":
            return self.random.random() < 0.5
        if kind == "none":
            return None
        if kind == "list":
            return [self.value(depth - 1) for _ in range(self.random.randrange(3))]
        return {f"k{i}": self.value(depth - 1) for i in range(self.random.randrange(3))}

    def make_trace(self):
        if self.random.random() < 0.5:
            self.make_trace_with_times()
        else:
            self.make_trace_now()

    def make_trace_with_times(self):
        number = len(self.traces)
        where = self.active()
        start = EPOCH + self.seed * 10_000_000 + self.random.randrange(1000) * 1000 + number
        took = self.random.choice([0, 5, 48, 1500])
        name = self.random.choice(["chat", "agent", "rag żółw"])
        tags = {f"env{i}": self.random.choice(["prod", "dev", "Prod"]) for i in range(self.random.randrange(3))}
        inputs, outputs = {"q": self.value()}, self.random.choice([None, {"a": self.value()}, "text"])
        status = self.random.choice(["OK", "OK", "ERROR"])
        child = self.random.random() < 0.6
        kind, attributes = self.random.choice([SpanType.LLM, SpanType.TOOL, "MINE"]), {"model": self.random.choice(["gpt", "llama"]), "n": self.value(1)}

        def act():
            root = self.client.start_trace(name, inputs=inputs, tags=tags, experiment_id=where, start_time_ns=start * 1_000_000)
            if child:
                span = self.client.start_span("step", root.trace_id, root.span_id, span_type=kind, inputs={"x": number}, attributes=attributes, start_time_ns=start * 1_000_000 + 10)
                self.client.end_span(root.trace_id, span.span_id, outputs={"y": 1}, status=status, end_time_ns=start * 1_000_000 + 20)
            self.client.end_trace(root.trace_id, outputs=outputs, status=status, end_time_ns=(start + took) * 1_000_000)
            mlflow.flush_trace_async_logging()
            return root.trace_id

        self.keep_trace(self.call(f"trace with times {number} {name} {status} {tags}", act))

    def make_trace_now(self):
        number = len(self.traces)
        where = self.active()
        fails = self.random.random() < 0.2
        said = self.random.random() < 0.3
        request_id = self.random.choice([None, f"req-{self.seed}-{number}"])
        session, user = self.random.choice([None, f"s{self.seed}-{self.random.randrange(3)}"]), self.random.choice([None, "ana"])
        tags, metadata = {"color": self.random.choice(["red", "blue"])}, {"note": self.random.choice(["x", "y"])}
        value = self.value()

        def act():
            mlflow.set_experiment(experiment_id=where)
            made = []
            time.sleep(0.002)  # so that no two traces have one time
            try:
                with mlflow.start_span(name=f"now{number % 3}", span_type=SpanType.CHAIN) as span:
                    made.append(span.trace_id)
                    span.set_inputs({"v": value})
                    with mlflow.start_span(name="inner", span_type=SpanType.RETRIEVER) as inner:
                        inner.set_attribute("top_k", number)
                        inner.set_outputs(value)
                    mlflow.update_current_trace(tags=tags, metadata=metadata, client_request_id=request_id, session_id=session, user=user)
                    if said:
                        mlflow.log_feedback(trace_id=span.trace_id, name="inline", value=True, source=AssessmentSource("CODE", "me"))
                    if fails:
                        raise RuntimeError("it broke")
                    span.set_outputs("done")
            except RuntimeError:
                pass
            mlflow.flush_trace_async_logging()
            return made[0]

        self.keep_trace(self.call(f"trace now {number} {request_id} {session} {user} {fails} {said}", act))

    def keep_trace(self, trace_id: str | None):
        if not trace_id:
            return
        self.names.give("trace", trace_id)
        self.traces.append(trace_id)
        info = self.call("its info", lambda: self.client._tracing_client.get_trace_info(trace_id), self.show_info)
        if info:
            self.times[trace_id] = info.request_time
            for a in info.assessments:
                self.names.give("assessment", a.assessment_id)
                self.assessments.append((trace_id, a.assessment_id, "feedback"))

    def show_info(self, info) -> Any:
        given = info.request_time // 10_000_000_000_000 == 0 and EPOCH <= info.request_time < EPOCH + 10**12 and info.tags.get("mlflow.traceName") in ("chat", "agent", "rag żółw")
        drop = ("assay.feedback",)
        metadata = {k: v for k, v in info.trace_metadata.items() if not k.startswith(("mlflow.source", "mlflow.trace.size"))}
        return {
            "id": info.trace_id,
            "request_id": info.client_request_id,
            "experiment": self.names.of(info.experiment_id),
            "state": str(info.state),
            "time": [info.request_time, info.execution_duration] if given else "now",
            "previews": [info.request_preview, info.response_preview],
            "tags": {k: v for k, v in info.tags.items() if k not in drop},
            "metadata": metadata,
            "assessments": sorted((self.show_assessment(a) for a in info.assessments), key=lambda a: json.dumps(a, default=str)),
        }

    def get_trace(self):
        which = self.pick(self.traces, "tr-00000000000000000000000000000000")

        def show(trace):
            if trace is None:
                return None
            spans = [
                [s.name, s.span_type, str(s.status.status_code), s.status.description, s.parent_id is None, s.inputs, s.outputs,
                 {k: v for k, v in s.attributes.items() if k not in ("mlflow.spanInputs", "mlflow.spanOutputs")}, [[e.name, sorted(e.attributes)] for e in s.events]]
                for s in trace.data.spans
            ]
            return [self.show_info(trace.info), spans]

        self.call(f"get_trace {which}", lambda: self.client.get_trace(which, display=False), show)

    def change_tags(self):
        which = self.pick(self.traces, "tr-00000000000000000000000000000000")
        key = self.random.choice(["reviewed", "env0", "color", "mlflow.traceName", "mlflow.note", "a b", "bad,key", "mlflow.trace.spansLocation"])
        if self.random.random() < 0.65:
            value = self.random.choice(["yes", "no", "ż", "", "x" * 300])
            self.call(f"set_trace_tag {which} {key}={value[:9]}", lambda: self.client.set_trace_tag(which, key, value))
        else:
            self.call(f"delete_trace_tag {which} {key}", lambda: self.client.delete_trace_tag(which, key))

    def delete_traces(self):
        if len(self.traces) < 6:
            return
        where = self.random.choice(self.experiments)
        act = self.random.randrange(4)
        if act == 0:
            ids = self.random.sample(self.traces, 2)
            self.call(f"delete_traces {self.names.of(where)} {ids}", lambda: self.client.delete_traces(where, trace_ids=ids), lambda n: n)
        elif act == 1:
            until = EPOCH + self.seed * 10_000_000 + self.random.randrange(1000) * 500
            self.call(f"delete_traces {self.names.of(where)} until {until}", lambda: self.client.delete_traces(where, max_timestamp_millis=until, max_traces=1), lambda n: n)
        elif act == 2:
            self.call("delete_traces of nothing", lambda: self.client.delete_traces(where, trace_ids=["tr-00000000000000000000000000000000"]), lambda n: n)
        else:
            self.call("delete_traces both ways", lambda: self.client.delete_traces(where, max_timestamp_millis=1, trace_ids=["x"]), lambda n: n)

    # ── assessments ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

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

    # ── search ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def clause(self) -> str:
        r = self.random
        some = r.choice(self.traces) if self.traces else "tr-x"
        text_op = r.choice(["=", "!=", "LIKE", "ILIKE"])
        return r.choice([
            lambda: f"{r.choice(['', 'attributes.', 'trace.', 'attribute.'])}status {r.choice(['=', '!='])} '{r.choice(['OK', 'ERROR', 'IN_PROGRESS'])}'",
            lambda: f"status IN ('OK', 'IN_PROGRESS')",
            lambda: f"attributes.client_request_id {r.choice(['=', '!=', 'LIKE'])} 'req-{self.seed}-{r.randrange(12)}'",
            lambda: f"client_request_id LIKE 'req-{self.seed}-%'",
            lambda: f"{r.choice(['timestamp_ms', 'trace.timestamp', 'timestamp', 'attributes.timestamp_ms'])} {r.choice(['>', '>=', '<', '<=', '=', '!='])} {EPOCH + self.seed * 10_000_000 + r.randrange(1000) * 1000}",
            lambda: f"execution_time_ms {r.choice(['>', '<', '='])} {r.choice([5, 48, 100, 1000.5])} AND tags.mlflow.traceName IN_PLACE",
            lambda: f"request_id {r.choice(['=', '!='])} '{some}'",
            lambda: f"request_id IN ('{some}', 'tr-none')",
            lambda: f"{r.choice(['name', 'trace.name'])} {text_op} '{r.choice(['chat', 'agent', 'now1', '%a%', 'rag ż%', 'CHAT'])}'",
            lambda: f"{r.choice(['tags', 'tag'])}.{r.choice(['env0', 'color', 'reviewed', '`env1`'])} {text_op} '{r.choice(['prod', 'red', 'yes', 'p%', '%O%'])}'",
            lambda: f"tags.{r.choice(['env0', 'reviewed', 'color'])} IS {r.choice(['', 'NOT '])}NULL",
            lambda: f"tags.color RLIKE '^r.d$'",
            lambda: f"{r.choice(['metadata', 'request_metadata'])}.note {text_op} '{r.choice(['x', '%'])}'",
            lambda: f"metadata.`mlflow.trace.session` {r.choice(['=', '!='])} 's{self.seed}-{r.randrange(3)}'",
            lambda: f"metadata.mlflow.trace.user IS {r.choice(['', 'NOT '])}NULL",
            lambda: f"feedback.{r.choice(['user_feedback', 'tone', 'relevance', 'inline'])} {r.choice(['=', '!='])} '{r.choice(['true', 'false', 'plain', '0.5', '1.0', 'null'])}'",
            lambda: f"feedback.{r.choice(['user_feedback', 'user_accuracy', 'tone'])} {r.choice(['>', '>=', '<', '<='])} {r.choice([0, 0.5, 1, -3])}",
            lambda: f"feedback.`żółw name` IS {r.choice(['', 'NOT '])}NULL",
            lambda: f"feedback.tone IS {r.choice(['', 'NOT '])}NULL",
            lambda: f"expectation.expected_answer {r.choice(['=', '!='])} '{r.choice(['Paris', '42.0', 'true'])}'",
            lambda: f"expectation.expected_tools LIKE '%role%'",
            lambda: f"feedback.tone ILIKE '%PLAIN%'",
            lambda: f"span.name {text_op} '{r.choice(['step', 'inner', '%e%'])}'",
            lambda: f"span.type {r.choice(['=', '!=', 'IN'])} ".replace("IN ", "IN ('LLM', 'MINE') #") + f"'{r.choice(['LLM', 'TOOL', 'CHAIN'])}'",
            lambda: f"span.status = '{r.choice(['OK', 'ERROR'])}'",
            lambda: f"span.attributes.model LIKE '%{r.choice(['gpt', 'llama'])}%'",
            lambda: f"trace.text LIKE '%{r.choice(['plain', 'done', 'gpt', 'nothing'])}%'",
        ])().split(" #")[0].replace(" AND tags.mlflow.traceName IN_PLACE", "")

    def filter(self) -> str:
        clauses = []
        for _ in range(self.random.choice([0, 1, 1, 1, 2, 2, 3])):
            clause = self.clause()
            if clause.startswith("execution_time_ms"):
                clause += f" AND timestamp_ms < {EPOCH + self.seed * 10_000_000 + 2_000_000}"  # only of traces that were given their times
                if any("timestamp" in c for c in clauses):
                    continue
            clauses.append(clause)
        return self.random.choice([" AND ", " and "]).join(clauses)

    def search_traces(self):
        where = self.random.sample(self.experiments, min(len(self.experiments), self.random.choice([1, 1, 2])))
        filter_string = self.filter()
        order = self.random.choice([None, None, ["timestamp_ms DESC"], ["timestamp ASC"], ["status", "timestamp_ms"], ["name DESC"], ["tags.color ASC", "timestamp_ms ASC"],
                                    ["metadata.note DESC"], ["tag.`env0`"], ["attributes.timestamp_ms"]])
        most = self.random.choice([100, 100, 3, 1])
        words = f"search_traces {sorted(self.names.of(where))} {filter_string!r} {order} {most}"

        def act():
            found, token, pages = [], None, 0
            while pages < 60:
                page = self.client.search_traces(locations=where, filter_string=filter_string or None, order_by=order, max_results=most, page_token=token, include_spans=False)
                pages += 1
                found.extend(page)
                token = page.token
                if not token:
                    break
            return found

        def show(found):
            return [self.show_info(t.info) if i < 2 else t.info.trace_id for i, t in enumerate(found)]

        self.call(words, act, show)

    def search_nonsense(self):
        where = [self.random.choice(self.experiments)]
        filter_string, order, token = None, None, None
        kind = self.random.randrange(4)
        if kind < 2:
            filter_string = self.random.choice([
                "status = OK", "status", "tags.a = 5", "color = 'x'", "request_time > 5", "assessment.x = 'y'", "status = 'OK' OR name = 'x'", "feedback.x > '1'", "feedback.x = 5",
                "status > 'OK'", "timestamp_ms LIKE '5'", "name IN ('x')", "tags.a IN ('x')", "span.color = 'x'", "span.content = 'x'", "status = 'OK", "tags.a = 'x' tags.b = 'y'",
                "(status = 'OK')", "status IN 'OK'", "status IN ()", "execution_time_ms IN ('5')", "feedback. = 'x'", "text LIKE '%x%'", "name LIKE 5", "status == 'OK'",
                "prompt = 'x'", "prompt LIKE 'a/1'", "issue.id > 'x'", "tags.a-b = 'x'", "'status' = 'OK'", "status IS NULL", "timestamp > 'x' AND status = 'OK'",
                "metadata.x NOT LIKE 'y'", "bogus.key = 'x'", "span.attributes. LIKE 'x'", "status like 'O%'", "trace.text = 'x'",
            ])
        elif kind == 2:
            order = [self.random.choice(["color", "timestamp_ms sideways", "feedback.x", "span.name", "request_time", "timestamp_ms DESC, name", "bogus.key DESC", "client_request_id"])]
        else:
            token = self.random.choice(["!!!", "eyJvZmZzZXQiOiAyfQ==", "bm9wZQ==", "e30="])
        self.call(
            f"search_traces {self.names.of(where)} {filter_string!r} {order} {token}",
            lambda: self.client.search_traces(locations=where, filter_string=filter_string, order_by=order, page_token=token, max_results=5, include_spans=False),
            lambda page: [t.info.trace_id for t in page],
        )

    # ── datasets ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @staticmethod
    def show_dataset(d) -> Any:
        return [d.name, {k: v for k, v in (d.tags or {}).items() if k != "mlflow.user"}, json.loads(d.schema) if d.schema else None, json.loads(d.profile) if d.profile else None, bool(d.digest)]

    def use_dataset(self):
        from mlflow.genai import datasets as genai

        act = self.random.choice(["create", "merge", "merge", "get", "records", "search", "tag", "untag", "delete", "experiments"])
        if act == "create" or not self.datasets:
            name = f"ds-{self.unique}-{len(self.datasets)}"
            where = self.active()
            made = self.call(f"create_dataset {name}", lambda: genai.create_dataset(name=name, experiment_id=where, tags={"stage": self.random.choice(["a", "b"])}), self.show_dataset)
            if made:
                self.names.give("dataset", made.dataset_id)
                self.datasets.append(made)
            return
        which = self.random.choice(self.datasets)
        if act == "merge":
            records = [{"inputs": {"q": self.random.choice(["a", "b", "c"])}, "expectations": {"e": self.value(1)}, "tags": {"n": str(i)}} for i in range(self.random.randrange(1, 4))]
            self.call(f"merge_records {which.name} {records}", lambda: which.merge_records(records), lambda d: self.show_dataset(d))
        elif act == "get":
            wanted = self.random.choice([which.dataset_id, which.dataset_id, "d-00000000000000000000000000000000"])
            self.call(f"get_dataset {wanted}", lambda: genai.get_dataset(dataset_id=wanted), self.show_dataset)
        elif act == "records":
            def show(df):
                rows = json.loads(df.to_json(orient="records"))
                return sorted(json.dumps({k: row.get(k) for k in ("inputs", "outputs", "expectations", "tags", "source")}, sort_keys=True) for row in rows)

            self.call(f"records of {which.name}", lambda: genai.get_dataset(dataset_id=which.dataset_id).to_df(), show)
        elif act == "search":
            words = self.random.choice([f"name LIKE 'ds-{self.unique}-%'", f"name = '{which.name}'", f"name LIKE 'ds-{self.unique}-%' AND tags.stage = 'a'", "color = 'x'", f"name LIKE 'ds-{self.unique}-%'", "created_time > 'x'"])
            order = self.random.choice([None, ["name DESC"], ["created_time ASC"], ["color"]])
            self.call(f"search_datasets {words} {order}", lambda: genai.search_datasets(filter_string=words, order_by=order), lambda found: [self.show_dataset(d) for d in found])
        elif act == "tag":
            self.call(f"set_dataset_tags {which.name}", lambda: genai.set_dataset_tags(dataset_id=which.dataset_id, tags={"stage": "c", "more": self.random.choice(["x", "y"])}))
        elif act == "untag":
            self.call(f"delete_dataset_tag {which.name}", lambda: genai.delete_dataset_tag(dataset_id=which.dataset_id, key=self.random.choice(["more", "none"])))
        elif act == "experiments":
            other = self.pick(self.experiments, "987654", 0.1)
            change = self.random.choice([genai.add_dataset_to_experiments, genai.remove_dataset_from_experiments])
            self.call(f"{change.__name__} {which.name} {self.names.of(other)}", lambda: change(dataset_id=which.dataset_id, experiment_ids=[other]), self.show_dataset)
        else:
            self.call(f"delete_dataset {which.name}", lambda: genai.delete_dataset(dataset_id=which.dataset_id))
