"""The public door: how often each kind of caller may come."""

import re

import httpx

from support.door import accepted
from support.keys import bearer, create_key

TRACE = "tr-" + "2" * 32


def over(answer: httpx.Response, policy: str) -> None:
    assert answer.status_code == 429, answer.text
    assert int(answer.headers["Retry-After"]) >= 1
    assert f'"{policy}";r=0;t={answer.headers["Retry-After"]}' in answer.headers["RateLimit"] and f'"{policy}";q=' in answer.headers["RateLimit-Policy"]


def test_each_kind_of_caller_has_its_quota(assay):
    door = assay("serve", "--require-keys", "--anonymous", "chat,feedback,read", "--quota-capability", "0.01:2", "--quota-address", "0.01:3",
                 "--trusted-proxy", "127.0.0.1", start=False)  # fmt: skip
    limited, free = create_key(door, "limited", "read", rate="0.03:2"), create_key(door, "free", "read", "feedback")
    door.start()

    def at(address, **headers):
        return {"X-Forwarded-For": address, **headers}

    for _ in range(3):
        assert door.http.post("/chat", json={"message": "hi"}, headers=at("192.0.2.1")).status_code == 200
    over(door.http.post("/chat", json={"message": "hi"}, headers=at("192.0.2.1")), "address")
    assert door.http.post("/chat", json={"message": "hi"}, headers=at("192.0.2.2")).status_code == 200
    assert door.http.get("/livez", headers=at("192.0.2.1")).status_code == 200

    for _ in range(2):
        looked = door.http.get("/feedback/a-1", headers=bearer(limited))
        assert looked.status_code == 404 and looked.headers["RateLimit-Policy"] == '"key";q=2;w=67'
    over(door.http.get("/feedback/a-1", headers=bearer(limited)), "key")
    for _ in range(10):
        assert door.http.get("/feedback/a-1", headers=bearer(free)).status_code == 404

    token = door.http.post("/capabilities", json={"trace_id": TRACE}, headers=bearer(free)).json()["feedback_token"]
    for i in range(2):
        accepted(door.http.post("/feedback", json={"is_correct": True}, headers=at(f"192.0.2.{10 + i}", **bearer(token))))
    over(door.http.post("/feedback", json={"is_correct": True}, headers=at("192.0.2.19", **bearer(token))), "capability")


def test_a_batch_costs_its_caller_a_token_an_item(assay):
    door = assay("serve", "--quota-address", "0.01:20")
    said = door.http.post("/feedback/batch", json=[{"trace_id": TRACE, "is_correct": True} for _ in range(15)])
    assert said.status_code == 207 and len(said.json()["results"]) == 15
    assert said.headers["RateLimit"] == f'"address";r={20 - 15};t=0'
    assert f'"address";r={20 - 15 - 1}' in door.http.post("/feedback/batch", json=[{}]).headers["RateLimit"]
    owing = door.http.post("/feedback/batch", json=[{"trace_id": TRACE, "is_correct": True} for _ in range(100)])
    assert owing.status_code == 207 and re.fullmatch(r'"address";r=0;t=9[67]\d\d', owing.headers["RateLimit"])
    refused = door.http.post("/feedback/batch", json=[{}])
    over(refused, "address")
    assert int(refused.headers["Retry-After"]) > 9000  # 96 tokens are owed


def test_the_address_of_a_stranger_is_its_own_whatever_it_claims(assay):
    door = assay("serve", "--quota-address", "0.01:2")
    for i in range(2):
        assert door.http.post("/chat", json={"message": "hi"}, headers={"X-Forwarded-For": f"192.0.2.{i}"}).status_code == 200
    over(door.http.post("/chat", json={"message": "hi"}, headers={"X-Forwarded-For": "192.0.2.9"}), "address")
