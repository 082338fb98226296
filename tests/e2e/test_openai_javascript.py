"""OpenAI's door with the clients of the JavaScript world, unmodified: the `openai` package and Vercel's AI SDK."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from support.door import trace_info
from support.fake_model import FakeModel
from support.paths import ROOT

HERE = Path(__file__).parent / "clients"


@pytest.fixture(scope="session")
def clients() -> Path:
    """The packages of the lockfile, installed once for each version of it."""
    lock = (HERE / "package-lock.json").read_bytes()
    home = ROOT / "build" / f"npm-clients-{hashlib.sha256(lock).hexdigest()[:12]}"
    if not (home / "whole").exists():
        home.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, home)
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=home, check=True, timeout=200)
        (home / "whole").touch()
    shutil.copy(HERE / "ask.mjs", home)
    return home


def test_the_clients_of_javascript_change_their_base_url_and_nothing_else(assay, clients):
    def chunk(delta: dict, finish=None) -> bytes:
        body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "tiny-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        return f"data: {json.dumps(body)}\n\n".encode()

    with FakeModel() as model:

        def raw():
            asked = model.requests[-1]
            if asked.get("tools") and asked["messages"][-1]["role"] != "tool":
                yield chunk({"tool_calls": [{"index": 0, "id": "call-1", "type": "function", "function": {"name": "look_up", "arguments": ""}}]})
                yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{\"place\":"}}]})
                yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": "\"sea\"}"}}]})
                yield chunk({}, "tool_calls")
            else:
                for token in ("Water", " is", " wet."):
                    yield chunk({"content": token})
                yield chunk({}, "stop")
            yield b"data: [DONE]\n\n"

        model.streamed = raw
        serve = assay("serve", "--model-url", model.url)
        done = subprocess.run(["node", "ask.mjs", f"{serve.url}/v1"], cwd=clients, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-4000:]
        said = json.loads(done.stdout)
    assert said["models"] == ["tiny-1"]
    for client in ("openai", "ai"):
        assert said[client]["whole"] == said[client]["streamed"] == "Water is wet.", client
        assert trace_info(serve.http, said[client]["trace"])["state"] == "OK"
    assert said["openai"]["refused"] == {"status": 400, "param": "messages", "type": "invalid_request_error"}
    assert said["ai"]["finish"] == "stop" and said["ai"]["results"] == ["the sea is wet"]
