"""`assay backup`: a copy of the data of a serve that goes on meanwhile is what a crash at that moment would have left."""

import os
import signal
import socket
import subprocess
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from support.assay import Assay, assert_verified, run_assay
from support.door import accepted, new_request_id, new_trace_id, post_trace
from support.keys import create_key
from support.waiting import wait_until


def back_up(serve: Assay, to: Path) -> subprocess.CompletedProcess:
    done = run_assay("backup", "--data", str(serve.data), "--to", str(to))
    assert done.returncode == 0 and done.stdout.startswith(f"{to}: "), done.stdout + done.stderr
    return done


def served_from(assay, data: Path) -> Assay:
    process = assay("serve", name=f"from-{data.name}", start=False)
    process.data = data
    return process.start()


def fill_up(socket_path: Path, waiting: ExitStack) -> None:
    """Connects until no more are taken."""
    directory = os.open(socket_path.parent, os.O_PATH)
    waiting.callback(os.close, directory)
    with suppress(BlockingIOError):
        while True:
            one = waiting.enter_context(socket.socket(socket.AF_UNIX))
            one.setblocking(False)
            one.connect(f"/proc/self/fd/{directory}/{socket_path.name}")


class Sayers:
    """Clients that say things until they are stopped; `said`: ids of what was accepted so far."""

    def __init__(self, url: str, count: int = 4):
        self.url, self.said, self._stop = url, [], threading.Event()
        self._threads = [threading.Thread(target=self._say) for _ in range(count)]

    def _say(self) -> None:
        with httpx.Client(base_url=self.url, trust_env=False) as http:
            while not self._stop.is_set():
                trace_id = new_trace_id()
                self.said.append(accepted(http.post("/feedback", params={"trace_id": trace_id}, json={"is_correct": True})))
                post_trace(http, trace_id)

    def __enter__(self) -> "Sayers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_a_copy_made_under_load_holds_everything_that_was_accepted_before(assay, tmp_path):
    serve = assay("serve", "--write-buffers", "1MB")
    early = accepted(serve.http.post("/feedback", params={"client_request_id": new_request_id()}, json={"is_correct": False}))
    copies: dict[Path, list[str]] = {}
    with Sayers(serve.url) as sayers:
        for number in range(3):
            known = len(sayers.said)
            wait_until("more was said", lambda known=known: len(sayers.said) >= known + 100, 60)
            before = list(sayers.said)
            back_up(serve, tmp_path / f"copy-{number}")
            copies[tmp_path / f"copy-{number}"] = before
    serve.kill9()
    for copy, before in copies.items():
        process = served_from(assay, copy)
        for assessment_id in before:
            receipt = process.http.get(f"/feedback/{assessment_id}").raise_for_status().json()
            assert receipt["state"] in ("committed", "parked"), receipt
        assert process.http.get(f"/feedback/{early}").json()["state"] == "parked"
        assert_verified(process)
        process.kill9()


def test_a_copy_goes_its_own_way(assay, tmp_path):
    """What either of them says afterwards, compaction included, is nothing to the other."""
    serve = assay("serve")
    trace_id = new_trace_id()
    post_trace(serve.http, trace_id)
    back_up(serve, tmp_path / "copy")
    copy = served_from(assay, tmp_path / "copy")
    ours = accepted(serve.http.post("/feedback", params={"trace_id": trace_id}, json={"is_correct": True}))
    theirs = accepted(copy.http.post("/feedback", params={"trace_id": trace_id}, json={"is_correct": False}))
    assert serve.http.get(f"/feedback/{theirs}").status_code == copy.http.get(f"/feedback/{ours}").status_code == 404
    serve.restart_after_kill9()
    assert serve.http.get(f"/feedback/{ours}").status_code == 200
    assert_verified(serve)
    assert_verified(copy)


def test_of_data_that_nobody_uses_and_with_its_keys(assay, tmp_path):
    serve = assay("serve", start=False)
    create_key(serve, "app", "feedback")
    serve.start()
    said = accepted(serve.http.post("/feedback", params={"trace_id": new_trace_id()}, json={"is_correct": True}))
    serve.terminate()
    offline = back_up(serve, serve.data / "copies" / "one")  # where a service may write nowhere else
    assert "level=warning" not in offline.stderr, offline.stderr
    copy = tmp_path / "empty"
    copy.mkdir(mode=0o755)
    back_up(serve, copy)
    assert copy.stat().st_mode & 0o777 == 0o700
    assert (copy / "api-keys.json").read_bytes() == (serve.data / "api-keys.json").read_bytes()
    assert served_from(assay, copy).http.get(f"/feedback/{said}").status_code == 200


def test_of_a_serve_that_stands_still_it_says_so(assay, tmp_path):
    serve = assay("serve")
    serve.signal(signal.SIGSTOP)
    with ExitStack() as waiting:
        for _ in range(2):
            done = run_assay("backup", "--data", str(serve.data), "--to", str(tmp_path / "copy"), within=60)
            assert done.returncode == 1 and "gave no answer in 15 seconds" in done.stderr, done
            fill_up(serve.data / "control.sock", waiting)  # the second time it takes no connection either
        serve.signal(signal.SIGCONT)
    assert not (tmp_path / "copy").exists()
    back_up(serve, tmp_path / "copy")


@pytest.mark.parametrize("running", [True, False])
def test_what_it_will_not_do_is_said_and_nothing_is_left(assay, tmp_path, running: bool):
    serve = assay("serve")
    if not running:
        serve.terminate()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine").write_text("mine")
    refusals = {
        str(tmp_path / "taken"): "is not an empty directory",
        str(tmp_path / "taken" / "mine"): "is not an empty directory",
        str(serve.data / "db" / "copy"): "inside of the database",
        str(tmp_path / "taken" / "mine" / "below"): "Not a directory",
        "two\nlines": "a path of one line",
    }
    if os.stat("/dev/shm").st_dev != os.stat(tmp_path).st_dev:
        refusals["/dev/shm/assay-backup"] = "another file system"
    for to, words in refusals.items():
        done = run_assay("backup", "--data", str(serve.data), "--to", to)
        assert done.returncode in (1, 2) and words in done.stderr, (to, done)
        assert not Path(to, "format").exists() and not Path(to, "db").exists()
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["mine"]
    done = run_assay("backup", "--data", str(tmp_path / "nowhere"), "--to", str(tmp_path / "copy"))
    assert done.returncode == 1 and "there is no assay data" in done.stderr
    assert run_assay("backup", "--data", str(serve.data)).returncode == 2
