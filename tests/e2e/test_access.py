"""The public door: who may do what, and from where."""

import base64
import signal

import pytest

from support.assay import run_assay
from support.door import accepted, assessments, new_trace_id, trace_body
from support.keys import bearer, create_key
from support.waiting import wait_until

SCOPES = ("feedback", "chat", "trace", "read", "admin")
TRACE = "tr-" + "2" * 32
# A request for each scope that is well-formed but for what a handler sees: whoever passes the gate gets another answer than 401 or 403.
DOORS = {
    "feedback": [
        ("POST", f"/feedback?trace_id={TRACE}"),
        ("POST", f"/detailed-feedback?trace_id={TRACE}"),
        ("POST", "/feedback/batch"),
        ("PATCH", "/feedback/a-1"),
        ("DELETE", "/feedback/a-1"),
        ("POST", "/capabilities"),
        ("POST", f"/api/3.0/mlflow/traces/{TRACE}/assessments"),
    ],
    "chat": [("POST", "/chat"), ("POST", "/chat/stream")],
    "trace": [("POST", "/api/3.0/mlflow/traces")],
    "read": [("GET", "/feedback/a-1"), ("GET", f"/api/3.0/mlflow/traces/{TRACE}"), ("GET", "/metrics")],
}


def locked(assay, *flags: str, keys: dict[str, tuple[str, ...]] | None = None):
    """A front door that asks for keys, and those: name → text."""
    door = assay("serve", "--require-keys", *flags, start=False)
    made = {name: create_key(door, name, *scopes) for name, scopes in (keys or {"all": SCOPES}).items()}
    return door.start(), made


def test_beyond_loopback_it_wants_keys_or_to_be_told_in_words(assay, tmp_path):
    for listen in ("0.0.0.0:0", "[::]:0"):
        refused = run_assay("serve", "--listen", listen, "--data", str(tmp_path / "d"), within=20)
        assert refused.returncode == 2
        assert "assay keys create" in refused.stderr and "--insecure-no-auth" in refused.stderr
    checked = run_assay("serve", "--listen", "0.0.0.0:0", "--data", str(tmp_path / "d"), "--insecure-no-auth", "--check")
    assert checked.returncode == 0 and "event=door_open_to_everybody" in checked.stderr, checked.stderr
    # A proxy that is trusted brings strangers, too.
    refused = run_assay("serve", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "d"), "--trusted-proxy", "127.0.0.1")
    assert refused.returncode == 2 and "API key" in refused.stderr


def test_each_key_opens_the_doors_of_its_scopes_and_no_other(assay):
    door, keys = locked(assay, "--quota-address", "0", keys={scope: (scope,) for scope in SCOPES})
    capability = door.http.post("/capabilities", json={"trace_id": TRACE}, headers=bearer(keys["feedback"])).json()["feedback_token"]
    for scope, requests in DOORS.items():
        for method, target in requests:
            where = f"{method} {target}"
            body = {} if method == "GET" else {"content": b"{"}
            nobody = door.http.request(method, target, **body)
            assert nobody.status_code == 401, where
            assert nobody.headers["WWW-Authenticate"].startswith("Bearer")
            assert door.http.request(method, target, headers=bearer("assay_000000000000_x"), **body).status_code == 401, where
            for name, key in keys.items():
                found = door.http.request(method, target, headers=bearer(key), **body)
                assert (found.status_code in (401, 403)) == (name != scope), f"{where} with {name}: {found.status_code}"
                if name != scope:
                    assert found.status_code == 403 and scope in found.text
    for method, target in [*DOORS["chat"], *DOORS["trace"], ("POST", "/feedback/batch"), ("POST", "/capabilities"), ("GET", "/metrics")]:
        answer = door.http.request(method, target, headers=bearer(capability), **({} if method == "GET" else {"content": b"{}"}))
        assert answer.status_code == 403, f"{method} {target} with a capability: {answer.status_code}"
    for target in ("/livez", "/readyz"):
        assert door.http.get(target).status_code == 200


def test_each_door_says_no_in_its_own_dialect(assay):
    door, _ = locked(assay)
    assert door.http.post("/api/3.0/mlflow/traces", json={}).json()["error_code"] == "UNAUTHENTICATED"
    problem = door.http.post("/feedback", json={})
    assert problem.headers["Content-Type"] == "application/problem+json" and problem.json()["status"] == 401
    refused = door.http.post("/v1/chat/completions", json={})
    assert refused.status_code == 401 and refused.json()["error"]["code"] == "invalid_api_key"


def test_mlflows_client_is_let_in_by_token_and_by_password(assay):
    door, keys = locked(assay, keys={"app": ("trace", "read"), "reader": ("read",)})
    basic = base64.b64encode(f"anybody:{keys['app']}".encode()).decode()
    for headers in (bearer(keys["app"]), {"Authorization": f"Basic {basic}"}):
        trace_id = new_trace_id()
        assert door.http.post("/api/3.0/mlflow/traces", json=trace_body(trace_id), headers=headers).status_code == 200
    refused = door.http.post("/api/3.0/mlflow/traces", json=trace_body(trace_id), headers=bearer(keys["reader"]))
    assert refused.status_code == 403 and refused.json()["error_code"] == "PERMISSION_DENIED"


def test_on_loopback_no_key_is_needed_and_foreign_ones_do_no_harm(assay):
    door = assay("serve")
    for headers in ({}, bearer("sk-anything"), {"Authorization": "Basic eDp5"}):
        assert door.http.post("/chat", json={"message": "hi"}, headers=headers).status_code == 200


def test_a_key_is_never_worse_than_none(assay):
    door, keys = locked(assay, "--anonymous", "chat", keys={"giver": ("feedback",), "reader": ("read",)})
    for headers in ({}, bearer(keys["giver"]), bearer(keys["reader"])):
        answer = door.http.post("/chat", json={"message": "hi"}, headers=headers)
        assert answer.status_code == 200
    token = {"X-Feedback-Token": answer.json()["feedback_token"]}
    thumb = {"params": {"trace_id": answer.json()["trace_id"]}, "json": {"is_correct": True}}
    accepted(door.http.post("/feedback", headers={**bearer(keys["reader"]), **token}, **thumb))
    assert door.http.post("/feedback", headers=bearer(keys["reader"]), **thumb).status_code == 403


# ── capabilities ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def public(assay):
    door, keys = locked(assay, "--anonymous", "chat", "--quota-capability", "0", "--quota-address", "0")
    door.http.headers.update({"Host": door.address})
    return door, bearer(keys["all"])


def test_a_stranger_gets_no_token_for_another_answer(public):
    door, admin = public
    theirs = door.http.post("/chat", json={"message": "hi"}, headers={**admin, "X-Client-Request-Id": "req-theirs"}).json()
    parent = f"00-{theirs['trace_id'].removeprefix('tr-')}-00f067aa0ba902b7-01"
    stranger = door.http.post("/chat", json={"message": "ho"}, headers={"traceparent": parent}).json()
    assert stranger["trace_id"] != theirs["trace_id"], "a stranger joins no trace"
    with_key = door.http.post("/chat", json={"message": "ho"}, headers={"traceparent": parent, **admin}).json()
    assert with_key["trace_id"] == theirs["trace_id"]

    # A client_request_id that somebody else takes over: the token stays with its own answer.
    mine = door.http.post("/chat", json={"message": "hi"}, headers={"X-Client-Request-Id": "req-both"}).json()
    last = door.http.post("/chat", json={"message": "hi"}, headers={**admin, "X-Client-Request-Id": "req-both"}).json()
    assert last["trace_id"] != mine["trace_id"]
    said = door.http.post("/feedback?client_request_id=req-both", json={"is_correct": True}, headers={"X-Feedback-Token": mine["feedback_token"]})
    assert accepted(said) and said.json()["trace_id"] == mine["trace_id"]


def test_a_browser_rates_its_own_answer_and_nothing_else(public):
    door, admin = public
    mine = door.http.post("/chat", json={"message": "hi"}, headers={"X-User-ID": "ana"}).json()
    other = door.http.post("/chat", json={"message": "ho"}, headers={"X-User-ID": "bob"}).json()
    token = mine["feedback_token"]

    def rate(target, body, **how):
        return door.http.post(f"/feedback{target}", json=body, headers={"X-Feedback-Token": token, **how})

    by_trace = accepted(rate(f"?trace_id={mine['trace_id']}&user_id=mallory", {"is_correct": True}, **{"X-User-ID": "mallory"}))
    by_request = accepted(rate(f"?client_request_id={mine['client_request_id']}", {"name": "user_mood", "value": "good"}))
    implied = accepted(rate("", {"is_correct": False, "comment": "on second thought"}))
    for target in (f"?trace_id={other['trace_id']}", f"?client_request_id={other['client_request_id']}"):
        refused = rate(target, {"is_correct": True})
        assert refused.status_code == 403 and "another answer" in refused.text
    assert rate("", {"name": "quality", "value": 1}).status_code == 403
    assert rate("", {"name": "user_x", "value": 1, "source": {"type": "CODE", "id": "x"}}).status_code == 403
    for assessment_id in (by_trace, by_request, implied):
        wait_until(assessment_id, lambda id=assessment_id: door.http.get(f"/feedback/{id}", headers=admin).json()["state"] == "committed")
    door.http.headers.update(admin)
    found = assessments(door.http, mine["trace_id"])
    assert set(found) == {by_trace, by_request, implied}
    assert {a["source"]["source_id"] for a in found.values()} == {"ana"}, "the token's user beats headers and query"
    assert assessments(door.http, other["trace_id"]) == {}


def test_a_token_changes_and_takes_back_only_what_was_said_with_it(public):
    door, admin = public
    mine = door.http.post("/chat", json={"message": "hi"}, headers={"X-User-ID": "ana"}).json()
    token = {"X-Feedback-Token": mine["feedback_token"]}
    own = accepted(door.http.post("/feedback", json={"is_correct": True}, headers=token))
    foreign = accepted(door.http.post(f"/feedback?trace_id={mine['trace_id']}", json={"is_correct": True}, headers=admin))
    for method in ("PATCH", "DELETE", "GET"):
        body = {"json": {"value": False}} if method == "PATCH" else {}
        refused = door.http.request(method, f"/feedback/{foreign}", headers=token, **body)
        assert refused.status_code == 403, f"{method}: {refused.text}"
    assert door.http.get(f"/feedback/{own}", headers=token).status_code == 200
    changed = door.http.patch(f"/feedback/{own}", json={"value": False}, headers=token)
    assert changed.status_code == 200 and changed.json()["feedback"]["value"] is False, changed.text
    assert door.http.delete(f"/feedback/{own}", headers=token).status_code == 200


def test_a_repeat_with_a_key_is_one_whatever_key_signed_its_token(public):
    door, _ = public
    mine = door.http.post("/chat", json={"message": "hi"}).json()
    said = {"X-Feedback-Token": mine["feedback_token"], "Idempotency-Key": "k1"}
    first = accepted(door.http.post("/feedback", json={"is_correct": True}, headers=said))
    assert run_assay("keys", "rotate-capabilities", "--data", str(door.data)).returncode == 0
    assert accepted(door.http.post("/feedback", json={"is_correct": True}, headers=said)) == first


def test_a_beacon_carries_its_token_in_the_query_and_its_json_as_text(public):
    door, _ = public
    mine = door.http.post("/chat", json={"message": "hi"}).json()
    sent = door.http.post(
        f"/feedback?feedback_token={mine['feedback_token']}",
        content=b'{"is_correct":true}',
        headers={"Content-Type": "text/plain;charset=UTF-8", "Origin": f"http://{door.address}"},
    )
    accepted(sent)


def test_the_done_event_brings_the_token(public):
    door, _ = public
    with door.http.stream("POST", "/chat/stream", json={"message": "hi"}) as stream:
        text = "".join(stream.iter_text())
    assert '"feedback_token":"acap_' in text.rsplit("data:", 1)[1]


def test_a_token_counts_wherever_it_is_shown_and_whatever_key_is_beside_it(public):
    door, key = public
    mine = door.http.post("/chat", json={"message": "hi"}, headers={"X-User-ID": "ana"}).json()
    other = door.http.post("/chat", json={"message": "ho"}, headers={"X-User-ID": "bob"}).json()

    def rate(token, body, target="", *, in_query):
        query = [part for part in (target, f"feedback_token={token}" if in_query else "") if part]
        shown = {} if in_query else {"X-Feedback-Token": token}
        return door.http.post("/feedback?" + "&".join(query), json=body, headers={**key, "X-User-ID": "mallory", **shown})

    said = set()
    for in_query in (False, True):
        said.add(accepted(rate(mine["feedback_token"], {"is_correct": True}, in_query=in_query)))
        assert rate(mine["feedback_token"], {"is_correct": True}, f"trace_id={other['trace_id']}", in_query=in_query).status_code == 403
        assert rate(mine["feedback_token"], {"name": "quality", "value": 1}, in_query=in_query).status_code == 403
        assert rate("acap_garbage", {"is_correct": True}, f"trace_id={mine['trace_id']}", in_query=in_query).status_code == 401
    for assessment_id in said:
        wait_until(assessment_id, lambda id=assessment_id: door.http.get(f"/feedback/{id}", headers=key).json()["state"] == "committed")
    door.http.headers.update(key)
    found = assessments(door.http, mine["trace_id"])
    assert set(found) == said and {a["source"]["source_id"] for a in found.values()} == {"ana"}


def test_forged_expired_and_rotated_away_tokens_are_refused(public):
    door, admin = public

    def mint(**more):
        answer = door.http.post("/capabilities", json={"trace_id": TRACE, **more}, headers=admin)
        assert answer.status_code == 200, answer.text
        return answer.json()["feedback_token"]

    def use(token):
        return door.http.post("/feedback", json={"is_correct": True}, headers=bearer(token)).status_code

    good, short = mint(), mint(expires_in=1)
    assert use(good) == 202
    assert use(good[:-3] + ("AAA" if not good.endswith("AAA") else "BBB")) == 401
    assert use("acap_") == 401
    wait_until("it has expired", lambda: use(short) == 401)
    for kept in (1, 0):
        assert run_assay("keys", "rotate-capabilities", "--keep", str(kept), "--data", str(door.data)).returncode == 0
        door.signal(signal.SIGHUP)
        newer = f"newest={2 if kept else 3}"
        wait_until("the new key is known", lambda text=newer: text in door.tail())
        assert use(good) == (202 if kept else 401)
    assert use(mint()) == 202
    assert door.http.post("/capabilities", json={"trace_id": ""}, headers=admin).status_code == 400, "an empty id, as everywhere"
    for bad in ({}, {"trace_id": TRACE, "names": []}, {"trace_id": TRACE, "names": ["a*b"]}, {"trace_id": TRACE, "names": ["**"]}, {"trace_id": TRACE, "expires_in": 0}, {"trace_id": TRACE, "x": 1}):
        assert door.http.post("/capabilities", json=bad, headers=admin).status_code == 422, bad


def test_a_revoked_key_is_refused_while_the_door_runs(assay):
    door, keys = locked(assay, keys={"one": ("read",), "two": ("read",)})
    assert door.http.get("/metrics", headers=bearer(keys["one"])).status_code == 200
    listed = run_assay("keys", "list", "--data", str(door.data))
    assert "one" in listed.stdout and keys["one"] not in listed.stdout
    assert run_assay("keys", "revoke", "one", "--data", str(door.data)).returncode == 0
    wait_until("one is refused", lambda: door.http.get("/metrics", headers=bearer(keys["one"])).status_code == 401)
    assert door.http.get("/metrics", headers=bearer(keys["two"])).status_code == 200
    assert run_assay("keys", "revoke", "one", "--data", str(door.data)).returncode == 1


def test_no_secret_is_in_the_log_or_in_the_data(assay):
    door, keys = locked(assay, "--anonymous", "chat", "--log-level", "trace")
    token = door.http.post("/chat", json={"message": "hi"}).json()["feedback_token"]
    door.http.post(f"/feedback?feedback_token={token}", json={"is_correct": True, "comment": "a secret comment"})
    door.http.post("/feedback", json={"is_correct": True}, headers=bearer(keys["all"] + "x"))
    door.http.get("/metrics", headers=bearer(keys["all"]))
    log = door.log.read_text()
    for secret in (keys["all"], keys["all"][-20:], token, "a secret comment"):
        assert secret not in log
    assert keys["all"][-20:] not in (door.data / "api-keys.json").read_text()
    for name in ("api-keys.json", "capability-keys.json"):
        assert (door.data / name).stat().st_mode & 0o077 == 0


# ── other sites' pages ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_pages_of_listed_origins_may_use_it_and_no_other(assay):
    door = assay("serve", "--cors-origin", "https://app.example,http://localhost:3000")
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    for origin in ("https://app.example", "http://localhost:3000"):
        preflight = door.http.options("/feedback", headers={"Origin": origin, **asked})
        assert preflight.status_code == 204
        assert preflight.headers["Access-Control-Allow-Origin"] == origin and "POST" in preflight.headers["Access-Control-Allow-Methods"]
        assert "x-feedback-token" in preflight.headers["Access-Control-Allow-Headers"].lower()
        answer = door.http.post("/chat", json={"message": "hi"}, headers={"Origin": origin})
        assert answer.headers["Access-Control-Allow-Origin"] == origin and "Origin" in answer.headers["Vary"]
        assert "X-Trace-Id" in answer.headers["Access-Control-Expose-Headers"]
        refused = door.http.post("/feedback", json={}, headers={"Origin": origin})
        assert refused.headers["Access-Control-Allow-Origin"] == origin, "a page must be able to read why"
    for origin in ("https://app.example.evil", "https://evil", "null", "http://app.example", "https://app.example:444"):
        preflight = door.http.options("/feedback", headers={"Origin": origin, **asked})
        assert preflight.status_code == 403 and "Access-Control-Allow-Origin" not in preflight.headers
        answer = door.http.post("/chat", json={"message": "hi"}, headers={"Origin": origin, "Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 403
    with door.http.stream("POST", "/chat/stream", json={"message": "hi"}, headers={"Origin": "https://app.example"}) as stream:
        assert stream.headers["Access-Control-Allow-Origin"] == "https://app.example"


def test_a_wildcard_never_comes_with_credentials(assay):
    door = assay("serve", "--cors-origin", "*")
    answer = door.http.post("/chat", json={"message": "hi"}, headers={"Origin": "https://any.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_page_may_ask_for_the_headers_of_its_client_library(assay):
    door = assay("serve", "--cors-origin", "https://app.example")
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    preflight = door.http.options("/v1/chat/completions", headers={**asked, "Access-Control-Request-Headers": "authorization,x-stainless-lang"})
    assert preflight.status_code == 204
    allowed = preflight.headers["Access-Control-Allow-Headers"].lower()
    assert "x-stainless-lang" in allowed and "x-feedback-token" in allowed
    odd = door.http.options("/feedback", headers={**asked, "Access-Control-Request-Headers": "x-a;b"})
    assert "x-a" not in odd.headers["Access-Control-Allow-Headers"]


def test_an_old_browser_says_only_its_origin_and_is_refused_too(assay):
    door = assay("serve")
    for origin in ("http://evil.example", "null"):
        assert door.http.post("/chat", json={"message": "hi"}, headers={"Origin": origin}).status_code == 403
    own = {"Origin": door.url}
    assert door.http.post("/chat", json={"message": "hi"}, headers=own).status_code == 200
    assert door.http.post("/chat", json={"message": "hi"}, headers={"Origin": "https://proxied", "Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_a_page_whose_name_was_turned_to_this_machine_reads_nothing(assay):
    door = assay("serve", "--allowed-host", "assay.test,box.test:81")
    page = {"Accept-Language": "en"}
    for host in ("evil.example", f"evil.example:{door.port}", "192.0.2.7", "box.test", "localhost.evil.example"):
        for method, target in (("GET", "/feedback/a-1"), ("POST", "/chat"), ("POST", "/api/3.0/mlflow/traces/search")):
            refused = door.http.request(method, target, headers={**page, "Host": host})
            assert refused.status_code == 403 and "Host" in refused.text, (host, target)
        assert door.http.post("/chat", json={"message": "hi"}, headers={"Host": host}).status_code == 200, "who is no browser calls it as it likes"
    for host in ("localhost:1", "127.0.0.1", "[::1]:8080", "x.localhost", "assay.test:8080", "box.test:81"):
        assert door.http.get("/feedback/a-1", headers={**page, "Host": host}).status_code == 404, host
    assert door.http.get("/livez", headers={**page, "Host": "evil.example"}).status_code == 200
    for flags in (("--require-keys", "--anonymous", "read"), ("--insecure-no-auth",)):
        other = assay("serve", *flags, start=False)
        create_key(other, "some", "read")
        assert other.start().http.get("/feedback/a-1", headers={**page, "Host": "assay.example"}).status_code == 404
