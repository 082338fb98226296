"""`assay serve --mlflow-db`: what is committed straight into the tables of MLflow's PostgreSQL is what MLflow would have written."""

import json
import shutil
import uuid

import pytest

from support.assay import run_assay
from support.door import accepted, assessments, chat, new_request_id, new_trace_id, post_spans, post_trace, trace_body
from support.mlflow_tables import WITHIN, Behind
from support.postgres import PASSWORD
from support.waiting import wait_until


@pytest.fixture
def behind(assay, mlflow_on_postgres) -> Behind:
    return Behind.begin(assay, mlflow_on_postgres)


def test_a_chat_and_what_is_said_of_it_are_read_by_mlflows_own_sdk(behind: Behind):
    request_id = new_request_id()
    answer = chat(behind.assay.http, "Is water wet?", request_id)
    trace_id = answer["trace_id"]
    behind.give({"is_correct": False, "comment": "it is not"}, trace_id=trace_id)
    ratings = {"accuracy": 5, "helpfulness": 4, "relevance": 1, "user_id": "ana", "trace_id": trace_id}
    behind.assay.http.post("/detailed-feedback", params=ratings).raise_for_status()
    behind.wait_assessments(trace_id, 4)

    trace = behind.mlflow.get_trace(trace_id)
    assert trace.info.client_request_id == request_id and trace.info.state == "OK"
    assert {a.name: a.value for a in trace.info.assessments} == {
        "user_feedback": False,
        "user_accuracy": 1.0,
        "user_helpfulness": 0.8,
        "user_relevance": 0.2,
    }
    assert [s.span_type for s in trace.data.spans] == ["CHAT_MODEL"]
    assert trace.data.spans[0].inputs == {"message": "Is water wet?"}
    assert trace.info.tags["assay.feedback"] == "user_accuracy=1.0,user_feedback=false,user_helpfulness=0.8,user_relevance=0.2"
    experiment = behind.mlflow.get_experiment_by_name(behind.experiment)
    assert experiment.artifact_location == f"mlflow-artifacts:/{experiment.experiment_id}"
    for search in (f"attributes.client_request_id = '{request_id}'", "feedback.user_helpfulness > 0.7", "span.type = 'CHAT_MODEL'"):
        found = behind.mlflow.search_traces(locations=[experiment.experiment_id], filter_string=search)
        assert trace_id in [t.info.trace_id for t in found], search


def test_what_spans_used_is_in_the_columns_that_mlflow_fills(behind: Behind):
    """Of a trace of which nobody says more; the sum of a parent and its parts comes in two exports."""
    import httpx

    experiment_id = behind.mlflow.create_experiment(f"used-{uuid.uuid4().hex[:8]}")
    ours, theirs = new_trace_id(), new_trace_id()
    tokens, cost = "mlflow.chat.tokenUsage", "mlflow.llm.cost"
    exports = [
        [("2", "1", {tokens: {"input_tokens": 1, "total_tokens": 4}}), ("3", "2", {tokens: {"input_tokens": 5}})],
        [("1", "", {}), ("4", "1", {tokens: {"output_tokens": 7}, cost: {"input_cost": 0.25, "total_cost": 0.5}})],
    ]
    with httpx.Client(base_url=behind.server.url, timeout=30, trust_env=False) as direct:
        for http, trace_id in ((behind.assay.http, ours), (direct, theirs)):
            for spans in exports:
                post_spans(http, trace_id, experiment_id, *spans)
    columns = "input_tokens, output_tokens, total_tokens, cache_read_input_tokens, input_cost, output_cost, total_cost"
    expected = behind.rows(f"SELECT {columns} FROM trace_info WHERE request_id = %s", theirs)
    assert expected == [(1, 7, 4, None, 0.25, 0.0, 0.5)]
    wait_until("the sums", lambda: behind.rows(f"SELECT {columns} FROM trace_info WHERE request_id = %s", ours) == expected, WITHIN)


VALUE, METADATA = 2, 11


def by_key(row: tuple) -> tuple:
    """MLflow writes objects in the order in which protobuf's maps give their members, which is any."""

    def in_order(column: str | None) -> str | None:
        return column and json.dumps(json.loads(column), sort_keys=True)

    return tuple(in_order(column) if n in (VALUE, METADATA) else column for n, column in enumerate(row))


VALUES = [True, False, 5, 0.8, 1e16, 1e-5, 123456.75, "yes", " No ", "plain", "žluťoučký 🐎 \"x\"\n", ["a", 1], {"b": {"c": None, "a": 2}}]


def test_every_column_is_what_mlflow_itself_writes(behind: Behind):
    """The same said to MLflow and to assay leaves the same rows, for every type of value."""
    experiment_id = behind.mlflow.create_experiment(f"columns-{uuid.uuid4().hex[:8]}")
    ours, theirs = new_trace_id(), new_trace_id()
    post_trace(behind.assay.http, ours, None, experiment_id=experiment_id)
    import httpx

    with httpx.Client(base_url=behind.server.url, timeout=30, trust_env=False) as direct:
        post_trace(direct, theirs, None, experiment_id=experiment_id)
        bodies = [{"feedback": {"value": value}} for value in VALUES]
        errors = ({"error_code": "E1", "error_message": "it broke"}, {"error_code": ""}, {"error_message": "without a code"}, {})
        bodies += [{"feedback": {"value": None, "error": error}} for error in errors]
        bodies += [{"expectation": {"value": value}} for value in ("Paris", [1, {"a": None}])]
        bodies += [{"feedback": {"value": 1}, "metadata": {"mlflow.assessment.sourceRunId": "r" * 32}}]
        serialized = ('{"n": 1, "l": [1, 2.5]}', '{"score": NaN, "hash": 1180591620717411303424}')
        bodies += [{"expectation": {"serialized_value": {"serialization_format": "JSON_FORMAT", "value": value}}} for value in serialized]
        for n, said in enumerate(bodies):
            for http, trace_id in ((behind.assay.http, ours), (direct, theirs)):
                body = {
                    "assessment_name": f"name-{n:02}",
                    "source": {"source_type": "HUMAN", "source_id": "ana"},
                    "rationale": "because — ne",
                    "metadata": {"k": "v", "ž": "é"},
                    "span_id": "0123456789abcdef",
                    "create_time": "2026-11-23T15:57:31.547Z",
                    "last_update_time": "2026-11-23T15:57:31.547Z",
                    **said,
                }
                http.post(f"/api/3.0/mlflow/traces/{trace_id}/assessments", json={"assessment": body}).raise_for_status()
    written = behind.wait_assessments(ours, len(bodies))
    theirs_written = behind.wait_assessments(theirs, len(bodies))
    assert [by_key(row) for row in written] == [by_key(row) for row in theirs_written]
    assert all(row[-2] and row[-1] for row in written)
    infos = [behind.rows("SELECT status, execution_time_ms, trace_name, session_id, experiment_id FROM trace_info WHERE request_id = %s", t) for t in (ours, theirs)]
    assert infos[0] == infos[1]


def test_a_traces_name_that_is_deleted_is_deleted_there_too(behind: Behind):
    """MLflow keeps it in a column, and no tag of that name."""
    trace_id = behind.trace()
    tags = f"/api/2.0/mlflow/traces/{trace_id}/tags"

    def named() -> list[tuple]:
        return behind.rows("SELECT trace_name FROM trace_info WHERE request_id = %s", trace_id)

    behind.assay.http.patch(tags, json={"key": "mlflow.traceName", "value": "renamed"}).raise_for_status()
    wait_until("it has the name", lambda: named() == [("renamed",)], WITHIN)
    behind.assay.http.request("DELETE", tags, json={"key": "mlflow.traceName"}).raise_for_status()
    wait_until("it has none", lambda: named() == [(None,)], WITHIN)
    experiment = behind.mlflow.get_experiment_by_name(behind.experiment)
    [trace] = behind.mlflow.search_traces(locations=[experiment.experiment_id], filter_string=f"request_id = '{trace_id}'", include_spans=False)
    assert "mlflow.traceName" not in trace.info.tags


def test_an_experiments_id_is_a_number_whatever_its_length_and_a_name_that_a_trace_gives_is_none(behind: Behind):
    def experiment_of(trace_id: str) -> list[tuple]:
        return behind.rows("SELECT experiment_id, name FROM trace_info JOIN experiments e USING (experiment_id) WHERE request_id = %s", trace_id)

    name, given = f"far-{uuid.uuid4().hex[:8]}", str(uuid.uuid4().int % 1_000_000)
    behind.rows("INSERT INTO experiments (experiment_id, name, lifecycle_stage, workspace) VALUES (2147483647, %s, 'active', 'default')", name)
    try:
        far, named = new_trace_id(), new_trace_id()
        post_trace(behind.assay.http, far, None, experiment_id="2147483647")
        wait_until("it is there", lambda: experiment_of(far) == [(2147483647, name)], WITHIN)
        made = behind.assay.http.post("/api/2.0/mlflow/experiments/create", json={"name": given}).raise_for_status().json()
        post_trace(behind.assay.http, named, None, experiment_id=made["experiment_id"])
        wait_until("it is there", lambda: [n for _, n in experiment_of(named)] == [given], WITHIN)
    finally:
        behind.rows("DELETE FROM trace_info WHERE experiment_id = 2147483647")
        behind.rows("DELETE FROM experiments WHERE experiment_id = 2147483647")


def test_any_order_of_feedback_changes_deletes_and_traces_ends_in_the_same_rows(behind: Behind):
    trace_id, request_id = new_trace_id(), new_request_id()
    said = behind.give({"is_correct": True, "comment": "first"}, client_request_id=request_id)
    gone = behind.give({"name": "gone", "value": 1}, trace_id=trace_id)
    behind.assay.http.patch(f"/feedback/{said}", json={"rationale": "second", "metadata": {"k": "v"}}).raise_for_status()
    behind.assay.http.delete(f"/feedback/{gone}").raise_for_status()
    behind.trace(trace_id, request_id)
    (row,) = behind.wait_assessments(trace_id, 1)
    assert row[0] == "user_feedback" and row[9] == "second" and json.loads(row[11])["k"] == "v"
    behind.assay.http.patch(f"/feedback/{said}", json={"value": False}).raise_for_status()
    wait_until("the tag follows", lambda: behind.tag(trace_id) == "user_feedback=false", WITHIN)
    behind.assay.http.delete(f"/feedback/{said}").raise_for_status()
    behind.wait_assessments(trace_id, 0)
    wait_until("the tag is gone", lambda: behind.tag(trace_id) is None, WITHIN)


def test_of_a_deleted_trace_no_words_are_left(behind: Behind):
    """Neither of changes of what is there nor of changes that came before their create; and nothing comes back."""
    experiment_id = behind.mlflow.create_experiment(f"gone-{uuid.uuid4().hex[:8]}")
    trace_id = new_trace_id()
    post_trace(behind.assay.http, trace_id, None, experiment_id=experiment_id)
    said = behind.give({"is_correct": True}, trace_id=trace_id)
    behind.wait_assessments(trace_id, 1)
    behind.assay.http.patch(f"/feedback/{said}", json={"rationale": "secret words"}).raise_for_status()
    behind.wait_rows(1, "SELECT 1 FROM assessments WHERE trace_id = %s AND rationale = 'secret words'", trace_id)
    words = "SELECT assessment_id FROM assay.assessment_states WHERE position('secret words'::bytea in changes) > 0 AND assessment_id = ANY(%s)"
    held = f"a-held-{trace_id}"
    behind.rows("INSERT INTO assay.assessment_states VALUES (%s, false, false, 'secret words', %s)", held, trace_id)
    assert set(behind.rows(words, [said, held])) == {(said,), (held,)}
    behind.rows("UPDATE assay.assessment_states SET trace_id = NULL WHERE assessment_id = %s", said)  # as older ones are
    gone = {"experiment_id": experiment_id, "request_ids": [trace_id]}
    assert behind.assay.http.post("/api/2.0/mlflow/traces/delete-traces", json=gone).json() == {"traces_deleted": 1}
    behind.wait_rows(0, "SELECT 1 FROM trace_info WHERE request_id = %s", trace_id)
    assert behind.rows(words, [said, held]) == []


def test_what_an_early_override_marked_counts_where_the_override_goes_as_it_comes(behind: Behind):
    """All in one batch: the sink stands still behind a lock meanwhile."""
    import psycopg

    trace_id, request_id = new_trace_id(), new_request_id()
    target = behind.give({"name": "opinion", "value": 1}, client_request_id=request_id)  # parked
    behind.trace(trace_id)
    overrider = behind.give({"name": "opinion", "value": 2}, trace_id=trace_id)
    behind.wait_assessments(trace_id, 1)
    # As a door without a view takes it: what is overridden has not come.
    behind.rows("UPDATE assessments SET overrides = %s WHERE assessment_id = %s", target, overrider)
    behind.rows(r"INSERT INTO assay.assessment_states VALUES (%s, false, true, '\x010000000000')", target)
    with psycopg.connect(behind.database.url, password=PASSWORD) as lock:
        lock.execute("LOCK TABLE assay.positions IN ACCESS EXCLUSIVE MODE")
        behind.give({"is_correct": True}, trace_id=trace_id)
        wait_until("it stands still", lambda: behind.rows("SELECT 1 FROM pg_locks WHERE NOT granted"), WITHIN)
        behind.assay.http.delete(f"/feedback/{overrider}").raise_for_status()
        post_trace(behind.assay.http, trace_id, request_id, experiment_id=behind.experiment)
        wait_until("it is resolved", lambda: behind.receipt(target)["sinks"].get("store") == "committed", WITHIN)
    behind.wait_rows(1, "SELECT 1 FROM assessments WHERE assessment_id = %s AND valid", target)
    assert behind.rows("SELECT 1 FROM assessments WHERE assessment_id = %s", overrider) == []


def test_feedback_waits_for_a_trace_that_reaches_mlflow_past_us(behind: Behind):
    """MLflow's API takes feedback by trace_id for any trace; the sink keeps it in assay.waiting until MLflow knows the trace."""
    import httpx

    trace_id = new_trace_id()
    # The trace's start comes through us to an experiment that is not there: the feedback is resolved, MLflow knows nothing of it.
    post_trace(behind.assay.http, trace_id, None, experiment_id="999999")
    said = behind.give({"is_correct": True}, trace_id=trace_id)
    behind.wait_rows(2, "SELECT 1 FROM assay.waiting WHERE trace_id = %s", trace_id)
    assert behind.receipt(said)["sinks"] == {"store": "committed", "mlflow": "pending"}
    other = behind.give({"is_correct": True}, trace_id=behind.trace())
    wait_until("what came later is committed", lambda: behind.receipt(other)["sinks"].get("mlflow") == "committed", WITHIN)
    assert behind.receipt(said)["sinks"]["mlflow"] == "pending"
    behind.assay.restart_after_kill9()
    assert behind.receipt(said)["sinks"]["mlflow"] == "pending"
    experiment_id = behind.mlflow.create_experiment(f"late-{uuid.uuid4().hex[:8]}")
    with httpx.Client(base_url=behind.server.url, timeout=30, trust_env=False) as direct:
        post_trace(direct, trace_id, None, experiment_id=experiment_id)
    behind.wait_assessments(trace_id, 1)
    wait_until("the receipt follows", lambda: behind.receipt(said)["sinks"]["mlflow"] == "committed", WITHIN)


def test_an_id_that_comes_again_on_another_trace_stays_where_it_was_first(assay, mlflow_on_postgres):
    server, database = mlflow_on_postgres
    serve = assay("serve", "--mlflow-db", database.url, "--dedupe-window", "2s", env={"ASSAY_MLFLOW_DB_PASSWORD": PASSWORD})
    request_id = new_request_id()
    verify = ("verify", "--data", str(serve.data), "--mlflow-url", server.url)

    def give() -> str:
        target = {"client_request_id": request_id, "user_id": "ana"}
        return accepted(serve.http.post("/feedback", params=target, json={"is_correct": True}, headers={"Idempotency-Key": "click-1"}))

    first = chat(serve.http, "hello", request_id)["trace_id"]
    given = give()
    wait_until("it is in MLflow", lambda: database.rows("SELECT trace_id FROM assessments WHERE assessment_id = %s", given) == [(first,)], WITHIN)
    second = chat(serve.http, "hello again", request_id)["trace_id"]

    def forwarded_again() -> bool:
        assert give() == given
        return " 2 assessments " in run_assay(*verify).stdout

    wait_until("the window is over", forwarded_again, WITHIN, every=1)
    wait_until("both are passed over", lambda: "2 assessments = 2 shown " in (done := run_assay(*verify)).stdout and done.returncode == 0, WITHIN)
    assert database.rows("SELECT trace_id FROM assessments WHERE assessment_id = %s", given) == [(first,)]
    assert list(assessments(serve.http, first)) == [given] and not assessments(serve.http, second)
    receipt = serve.http.get(f"/feedback/{given}").json()
    assert receipt["trace_id"] == first and receipt["sinks"] == {"store": "committed", "mlflow": "committed"}, receipt


def test_a_trace_that_names_no_place_is_in_the_default_experiment(behind: Behind):
    trace_id = new_trace_id()
    body = trace_body(trace_id)
    del body["trace"]["trace_info"]["trace_location"]
    behind.assay.http.post("/api/3.0/mlflow/traces", json=body).raise_for_status()
    behind.give({"is_correct": True}, trace_id=trace_id)
    behind.wait_assessments(trace_id, 1)
    [(name,)] = behind.rows("SELECT e.name FROM trace_info t JOIN experiments e USING (experiment_id) WHERE request_id = %s", trace_id)
    assert name == "Default"


def test_a_client_request_id_over_50_characters_is_metadata(behind: Behind):
    request_id = "r" * 120
    trace_id = chat(behind.assay.http, "hello", request_id)["trace_id"]
    behind.wait_rows(1, "SELECT 1 FROM trace_request_metadata WHERE request_id = %s AND key = 'assay.client_request_id' AND value = %s", trace_id, request_id)
    assert behind.rows("SELECT client_request_id FROM trace_info WHERE request_id = %s", trace_id) == [(None,)]


def test_what_the_tables_cannot_hold_is_a_dead_letter_and_nobody_waits_for_it(behind: Behind):
    trace_id = behind.trace()
    body = {"assessment_name": "too_long", "feedback": {"value": 1}, "span_id": "s" * 51, "source": {"source_type": "HUMAN", "source_id": "ana"}}
    sent = behind.assay.http.post(f"/api/3.0/mlflow/traces/{trace_id}/assessments", json={"assessment": body}).raise_for_status()
    dead = sent.json()["assessment"]["assessment_id"]
    behind.give({"name": "fits", "value": 1}, trace_id=trace_id)
    behind.wait_assessments(trace_id, 1)
    letters = run_assay("deadletters", "list", "--data", str(behind.assay.data))
    assert "refused" in letters.stdout and "span_id is longer than the 50 characters" in letters.stdout, letters.stdout
    receipt = wait_until("the receipt says so", lambda: (r := behind.receipt(dead))["sinks"].get("mlflow") == "dead" and r, WITHIN)
    assert receipt["state"] == "committed" and receipt["sinks"]["store"] == "committed" and "span_id" in receipt["reason"], receipt


@pytest.mark.parametrize("past_us", [False, True])
def test_a_row_that_waited_and_is_refused_is_a_dead_letter_and_takes_nothing_with_it(behind: Behind, past_us: bool):
    """Neither the trace that it waited for nor what waited beside it."""
    import httpx

    bad, trace_id = f"bad_{uuid.uuid4().hex[:8]}", new_trace_id()
    behind.rows(f"ALTER TABLE assessments ADD CONSTRAINT {bad} CHECK (name <> '{bad}') NOT VALID")
    try:
        post_trace(behind.assay.http, trace_id, None, experiment_id="999999")
        given = [behind.give({"name": name, "value": 1}, trace_id=trace_id) for name in ("before", bad, "behind")]
        behind.wait_rows(4, "SELECT 1 FROM assay.waiting WHERE trace_id = %s", trace_id)
        experiment_id = behind.mlflow.create_experiment(f"late-{uuid.uuid4().hex[:8]}")
        if past_us:
            with httpx.Client(base_url=behind.server.url, timeout=30, trust_env=False) as direct:
                post_trace(direct, trace_id, None, experiment_id=experiment_id)
        else:
            post_trace(behind.assay.http, trace_id, None, experiment_id=experiment_id)
        rows = behind.wait_assessments(trace_id, 2)
        assert [row[0] for row in rows] == ["before", "behind"]
        receipt = wait_until("it is dead", lambda: (r := behind.receipt(given[1]))["sinks"].get("mlflow") == "dead" and r, WITHIN)
        assert bad in receipt["reason"], receipt
        behind.wait_rows(0, "SELECT 1 FROM assay.waiting WHERE trace_id = %s", trace_id)
        letters = run_assay("deadletters", "list", "--data", str(behind.assay.data)).stdout
        assert letters.count("refused") == 1, letters
    finally:
        behind.rows(f"ALTER TABLE assessments DROP CONSTRAINT {bad}")


def test_killed_again_and_again_everything_is_there_once(behind: Behind):
    trace_id = behind.trace()
    given = set()
    for _ in range(4):
        given |= {behind.give({"name": f"n{n}", "value": n}, trace_id=trace_id) for n in range(50)}
        behind.assay.restart_after_kill9()
    behind.wait_rows(200, "SELECT assessment_id FROM assessments WHERE trace_id = %s", trace_id)
    assert {row[0] for row in behind.rows("SELECT assessment_id FROM assessments WHERE trace_id = %s", trace_id)} == given


def test_what_is_said_after_an_older_copy_was_put_back_reaches_mlflow(behind: Behind, tmp_path):
    """MLflow's database remembers positions that the log has not reached any more."""
    process, copy = behind.assay, tmp_path / "copy"
    trace_id = behind.trace()
    behind.give({"name": "before", "value": 1}, trace_id=trace_id)
    behind.wait_assessments(trace_id, 1)
    done = run_assay("backup", "--data", str(process.data), "--to", str(copy))
    assert done.returncode == 0, done.stderr
    for number in range(5):
        behind.give({"name": f"lost here {number}", "value": 1}, trace_id=trace_id)
    behind.wait_assessments(trace_id, 6)
    process.kill9()
    shutil.rmtree(process.data)
    copy.rename(process.data)
    process.start()
    behind.give({"name": "after", "value": 1}, trace_id=trace_id)
    names = [row[0] for row in behind.wait_assessments(trace_id, 7)]
    assert names == ["after", "before", *(f"lost here {number}" for number in range(5))]


def test_an_unknown_revision_is_refused_in_words(assay, mlflow_on_postgres):
    _, database = mlflow_on_postgres
    other = database.url.replace("/mlflow", "/other")
    database.rows("CREATE DATABASE other")
    try:
        import psycopg

        with psycopg.connect(other, password=PASSWORD, autocommit=True) as connection:
            connection.execute("CREATE TABLE alembic_version (version_num text)")
            connection.execute("INSERT INTO alembic_version VALUES ('0123456789ab')")
        refused = run_assay("serve", "--mlflow-db", other, "--listen", "127.0.0.1:0", "--data", str(assay("serve", start=False).data), env={"ASSAY_MLFLOW_DB_PASSWORD": PASSWORD})
    finally:
        database.rows("DROP DATABASE other")
    assert refused.returncode == 1 and "0123456789ab" in refused.stderr and "--mlflow-url" in refused.stderr, refused.stderr


@pytest.mark.parametrize("password", ["secret", "secret%zz", "secret%00", "secret/x"])
def test_a_password_in_the_url_is_refused_and_not_said(password: str):
    refused = run_assay("serve", "--mlflow-db", f"postgresql://assay:{password}@127.0.0.1/mlflow", "--listen", "127.0.0.1:0")
    assert refused.returncode == 2 and "--mlflow-db" in refused.stderr and "secret" not in refused.stderr, refused.stderr
    assert "%" in password or "ASSAY_MLFLOW_DB_PASSWORD" in refused.stderr
