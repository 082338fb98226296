"""Searches with generated filters."""

from calls import EPOCH, Calls


class SearchCalls(Calls):
    def clause(self) -> str:
        r = self.random
        some = r.choice(self.traces) if self.traces else "tr-x"
        text_op = r.choice(["=", "!=", "LIKE", "ILIKE"])
        return r.choice([
            lambda: f"{r.choice(['', 'attributes.', 'trace.', 'attribute.'])}status {r.choice(['=', '!='])} '{r.choice(['OK', 'ERROR', 'IN_PROGRESS'])}'",
            lambda: "status IN ('OK', 'IN_PROGRESS')",
            lambda: f"attributes.client_request_id {r.choice(['=', '!=', 'LIKE'])} 'req-{self.seed}-{r.randrange(12)}'",
            lambda: f"client_request_id LIKE 'req-{self.seed}-%'",
            lambda: f"{r.choice(['timestamp_ms', 'trace.timestamp', 'timestamp', 'attributes.timestamp_ms'])} {r.choice(['>', '>=', '<', '<=', '=', '!='])} {EPOCH + self.seed * 10_000_000 + r.randrange(1000) * 1000}",
            lambda: f"execution_time_ms {r.choice(['>', '<', '='])} {r.choice([5, 48, 100, 1000.5])} AND tags.mlflow.traceName IN_PLACE",
            lambda: f"request_id {r.choice(['=', '!='])} '{some}'",
            lambda: f"request_id IN ('{some}', 'tr-none')",
            lambda: f"{r.choice(['name', 'trace.name'])} {text_op} '{r.choice(['chat', 'agent', 'now1', '%a%', 'rag ż%', 'CHAT'])}'",
            lambda: f"{r.choice(['tags', 'tag'])}.{r.choice(['env0', 'color', 'reviewed', '`env1`'])} {text_op} '{r.choice(['prod', 'red', 'yes', 'p%', '%O%'])}'",
            lambda: f"tags.{r.choice(['env0', 'reviewed', 'color'])} IS {r.choice(['', 'NOT '])}NULL",
            lambda: "tags.color RLIKE '^r.d$'",
            lambda: f"{r.choice(['metadata', 'request_metadata'])}.note {text_op} '{r.choice(['x', '%'])}'",
            lambda: f"metadata.`mlflow.trace.session` {r.choice(['=', '!='])} 's{self.seed}-{r.randrange(3)}'",
            lambda: f"metadata.mlflow.trace.user IS {r.choice(['', 'NOT '])}NULL",
            lambda: f"feedback.{r.choice(['user_feedback', 'tone', 'relevance', 'inline'])} {r.choice(['=', '!='])} '{r.choice(['true', 'false', 'plain', '0.5', '1.0', 'null'])}'",
            lambda: f"feedback.{r.choice(['user_feedback', 'user_accuracy', 'tone'])} {r.choice(['>', '>=', '<', '<='])} {r.choice([0, 0.5, 1, -3])}",
            lambda: f"feedback.`żółw name` IS {r.choice(['', 'NOT '])}NULL",
            lambda: f"feedback.tone IS {r.choice(['', 'NOT '])}NULL",
            lambda: f"expectation.expected_answer {r.choice(['=', '!='])} '{r.choice(['Paris', '42.0', 'true'])}'",
            lambda: "expectation.expected_tools LIKE '%role%'",
            lambda: "feedback.tone ILIKE '%PLAIN%'",
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
