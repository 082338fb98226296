"""Traces, their tags, and their end."""

import json
import time
from typing import Any

import mlflow
from mlflow.entities import AssessmentSource, SpanType

from calls import EPOCH, Calls


class TraceCalls(Calls):
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
