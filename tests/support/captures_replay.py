"""Sends recorded requests of MLflow's client to a server and compares its answers with the recorded ones. Ids that a server chose are
learnt from each pair of answers and put into the requests that follow."""

import base64
import json
import re
from typing import Any

import httpx

LEARNT = ("experiment_id", "assessment_id", "dataset_id", "dataset_record_id", "next_page_token")
# When a server did something, and what follows from it.
CLOCKS = ("creation_time", "last_update_time", "created_time", "digest", "create_time")
# Of the server, not of the protocol.
OWN = ("/version", "/api/3.0/mlflow/server-info")


class Replay:
    def __init__(self, http: httpx.Client):
        self.http = http
        self.ours: dict[str, dict[str, str]] = {name: {} for name in LEARNT}

    def translated(self, value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {k: self.translated(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [self.translated(v, key) for v in value]
        kind = {"experiment_ids": "experiment_id", "page_token": "next_page_token", "overrides": "assessment_id", "dataset_record_ids": "dataset_record_id"}.get(key, key)
        if kind in self.ours and isinstance(value, str):
            return self.ours[kind].get(value, value)
        return value

    def path(self, path: str) -> str:
        for kind in ("assessment_id", "dataset_id"):
            for theirs, ours in self.ours[kind].items():
                path = path.replace(theirs, ours)
        return re.sub(r"(experiment_id=)(\d+)", lambda m: m[1] + self.ours["experiment_id"].get(m[2], m[2]), path)

    def learn(self, theirs: Any, ours: Any) -> None:
        if isinstance(theirs, dict) and isinstance(ours, dict):
            for key, value in theirs.items():
                if key in self.ours and isinstance(value, str) and isinstance(ours.get(key), str):
                    self.ours[key][value] = ours[key]
                self.learn(value, ours.get(key))
        elif isinstance(theirs, list) and isinstance(ours, list):
            for a, b in zip(theirs, ours, strict=False):
                self.learn(a, b)

    def plain(self, value: Any, key: str = "") -> Any:
        """What is compared of a body."""
        if isinstance(value, dict):
            return {k: self.plain(v, k) for k, v in value.items() if k not in (*CLOCKS, "assay.feedback", "mlflow.trace.spansLocation", "next_page_token", "message")}
        if isinstance(value, list):
            items = [self.plain(v, key) for v in value]
            return sorted(items, key=json.dumps) if key in ("assessments", "tags") else items
        if key == "tags" and isinstance(value, str):
            return json.loads(value)
        if key == "records":
            return [self.plain(r) for r in json.loads(value)]
        if isinstance(value, str):
            return re.sub(r"mlflow-artifacts:/\d+", "mlflow-artifacts:/E", value)
        return value

    def send(self, one: dict) -> str | None:
        body, content = one["body"], b""
        headers = dict(one["headers"])
        if isinstance(body, dict) and set(body) == {"base64"}:
            content = base64.b64decode(body["base64"])
        elif body is not None:
            content = json.dumps(self.translated(body)).encode()
        for name in headers:
            if name.lower() == "x-mlflow-experiment-id":
                headers[name] = self.ours["experiment_id"].get(headers[name], headers[name])
        answer = self.http.request(one["method"], self.path(one["path"]), content=content, headers=headers)
        try:
            said = answer.json()
        except ValueError:
            said = answer.text
        if one["path"] in OWN:
            return None
        self.learn(one["answer"], said)
        what = f"{one['method']} {one['path']} {json.dumps(body)[:300]}"
        if answer.status_code != one["status"]:
            return f"{what}\n  status {one['status']} there, {answer.status_code} here: {answer.text[:300]}"
        if one["method"] == "POST" and one["path"] == "/api/3.0/mlflow/traces":
            return None  # the echo of a trace: the client reads one tag of it
        theirs, ours = self.plain(self.translated(one["answer"])), self.plain(said)
        if isinstance(one["answer"], (dict, list)) and theirs != ours:
            return f"{what}\n  there {json.dumps(theirs)[:1500]}\n  here  {json.dumps(ours)[:1500]}"
        return None


def replay(url: str, capture: list[dict]) -> list[str]:
    """The differences, in words."""
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as http:
        one = Replay(http)
        return [difference for request in capture if (difference := one.send(request))]
