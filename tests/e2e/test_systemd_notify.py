"""What a process tells the service manager that started it."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def told(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        yield manager


def test_a_process_tells_systemd_that_it_is_ready_alive_and_stopping(assay, told: socket.socket):
    server = assay("serve", start=False, env={"NOTIFY_SOCKET": told.getsockname(), "WATCHDOG_USEC": "200000"})
    server.spawn()
    heard = []
    while heard.count("WATCHDOG=1") < 3:
        heard.append(told.recv(4096).decode().strip())
    assert heard[0] == "READY=1" and "STATUS=ready" in heard
    assert server.http.get("/readyz").status_code == 200
    server.terminate()
    while heard[-1] != "STOPPING=1":
        heard.append(told.recv(4096).decode().strip())


def test_a_process_that_is_not_ready_says_so_and_why(assay, told: socket.socket):
    door = assay("serve", "--disk-reserve", "1000000GB", start=False, env={"NOTIFY_SOCKET": told.getsockname()}).spawn()
    assert told.recv(4096).decode().strip() == "READY=1", "not to be ended by TimeoutStartSec, however long it takes"
    assert told.recv(4096).decode().strip() == "STATUS=not ready: log: event log full"
    assert door.http.get("/readyz").status_code == 503
