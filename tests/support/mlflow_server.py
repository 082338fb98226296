"""A real MLflow server to start, kill and read."""

import os
import signal
import subprocess
from pathlib import Path

from .paths import OPS
from .postgres import PASSWORD


class MlflowServer:
    """A server of its own, for a test that stops or kills it. It keeps its port and data over restarts."""

    def __init__(self, home: Path, backend: str = ""):
        """`backend`: where its traces are, e.g. a Postgres' URL; SQLite in `home` where none is given."""
        self.home = home
        self.backend = backend
        self.url = ""

    def start(self) -> "MlflowServer":
        command = [OPS / "mlflow" / "start", "--port", "0", "--dir", self.home]
        if self.backend:
            command += ["--backend", self.backend]
        env = os.environ | {"PGPASSWORD": PASSWORD}
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900, env=env)
        assert done.returncode == 0, f"MLflow did not start:\n{done.stderr}"
        self.url = done.stdout.strip()
        return self

    def stop(self) -> None:
        subprocess.run([OPS / "mlflow" / "stop", "--dir", self.home], stdin=subprocess.DEVNULL, check=True, timeout=60)

    def signal(self, number: int) -> None:
        """To the server and its workers: SIGSTOP makes it hang, SIGCONT lets it go on."""
        os.killpg(int((self.home / "pid").read_text()), number)

    def kill9(self) -> None:
        self.signal(signal.SIGKILL)
        self.stop()  # waits until the last of them is gone

    def __enter__(self) -> "MlflowServer":
        return self.start()

    def __exit__(self, *_) -> None:
        self.stop()
