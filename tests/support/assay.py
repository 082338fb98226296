"""One process of the program: start it, wait until it is ready, kill it, start it again."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

from .paths import ASSAY_BIN
from .ports import free_port
from .waiting import wait_until

# Which flag takes the address whose /readyz says that the role is ready.
_ADDRESS_FLAG = {"serve": "--listen", "ingest": "--listen", "worker": "--admin-listen"}


class Assay:
    """`assay ROLE ARGS…` with an address and a data directory of its own, which it keeps over restarts.

    What it prints goes to HOME/log, over all restarts. `launcher`: a command that becomes the program (nsenter …). Use it as a context
    manager, or from the `assay` fixture.
    """

    def __init__(self, role: str, *args: str, home: Path, env: dict[str, str] | None = None, launcher: Sequence[str] = (), binary: Path = ASSAY_BIN):
        self.role, self.args, self.home = role, args, home
        self.launcher = launcher
        self.binary = binary  # another version's; may be changed between two starts
        self.env = env or {}
        self.port = free_port()
        self.data = home / "data"
        self.log = home / "log"
        self._process: subprocess.Popen | None = None
        self.http = httpx.Client(base_url=self.url, timeout=30, trust_env=False)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def pid(self) -> int:
        assert self._process is not None, f"assay {self.role} was never started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Of the last process; minus the signal's number where a signal ended it."""
        return None if self._process is None else self._process.poll()

    def spawn(self) -> "Assay":
        """Starts the process and does not wait for it."""
        assert not self.running, f"assay {self.role} runs already"
        self.home.mkdir(parents=True, exist_ok=True)
        command = [*self.launcher, str(self.binary), self.role, _ADDRESS_FLAG[self.role], self.address, "--data", str(self.data), *self.args]
        # Settings of the person who runs the tests (ASSAY_LISTEN, …) must not reach the program.
        clean = {k: v for k, v in os.environ.items() if not k.startswith("ASSAY_")}
        with self.log.open("ab") as log:
            log.write(f"── {' '.join(command)}\n".encode())
            log.flush()
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean | self.env)
        return self

    def start(self, within: float = 60.0) -> "Assay":
        """Starts the process and returns once /readyz says 200."""
        self.spawn()
        self.wait_ready(within)
        return self

    def wait_ready(self, within: float = 60.0) -> None:
        self._wait_for("ready", lambda: self.http.get("/readyz").status_code == 200, within)

    def wait_live(self, within: float = 60.0) -> None:
        self._wait_for("live", lambda: self.http.get("/livez").status_code == 200, within)

    def _wait_for(self, state: str, probe, within: float) -> None:
        def settled():
            return not self.running or probe()

        try:
            wait_until(f"assay {self.role} {state}", settled, within)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from None
        assert self.running, f"assay {self.role} ended with {self.exit_code} before it was {state}\n{self.tail()}"

    def kill9(self) -> None:
        """What a power cut is to a process. Returns when it is gone."""
        if self.running:
            self._process.kill()
        if self._process is not None:
            self._process.wait()

    def signal(self, number: int) -> None:
        """Sends it and does not wait for what comes of it."""
        assert self._process is not None, f"assay {self.role} was never started"
        self._process.send_signal(number)

    def terminate(self, within: float = 30.0) -> int:
        """SIGTERM, as systemd sends it; returns the exit code. A process that does not drain in time is killed, and that is an error."""
        assert self._process is not None, f"assay {self.role} was never started"
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise AssertionError(f"assay {self.role} did not end within {within:g} s of SIGTERM\n{self.tail()}") from None

    def restart_after_kill9(self, down: float = 0.0) -> "Assay":
        self.kill9()
        time.sleep(down)
        return self.start()

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics, under its name with its labels, as it is written there."""
        samples = {}
        for line in self.http.get("/metrics").raise_for_status().text.splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                samples[name] = float(value)
        return samples

    def metric(self, name: str) -> float:
        """The sum of a metric over all its labels; 0 if it was never counted."""
        return sum(v for k, v in self.metrics().items() if k.split("{", 1)[0] == name)

    def tail(self, lines: int = 60) -> str:
        text = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join([f"── the end of the log of assay {self.role} ({self.log}):", *text[-lines:]])

    def close(self) -> None:
        """Ends the process if it still runs, however it takes it."""
        self.http.close()
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __enter__(self) -> "Assay":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def run_assay(*args: str, within: float = 120.0, env: dict[str, str] | None = None, launcher: Sequence[str] = ()) -> subprocess.CompletedProcess:
    """A subcommand that ends by itself (`verify`, `report`, `topics`, …): its exit code, stdout and stderr as text."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ASSAY_")}
    command = [*launcher, str(ASSAY_BIN), *args]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=within, env=clean | (env or {}))


def assert_verified(serve: Assay) -> None:
    """`assay verify` on its data says that nothing is missing."""
    done = run_assay("verify", "--data", str(serve.data))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "unaccounted" in done.stdout
