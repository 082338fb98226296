"""A real PostgreSQL to start, kill and read."""

import os
import signal
import subprocess
from pathlib import Path

import psycopg

from .paths import OPS

PASSWORD = "assay"


class Postgres:
    """A server of its own. It keeps its port and data over restarts; its data go with it."""

    def __init__(self, home: Path):
        self.home = home
        self.url = ""

    def start(self) -> "Postgres":
        self.url = self._run("start").strip()
        return self

    def _run(self, act: str) -> str:
        command = [OPS / "mlflow" / "postgres", act, "--dir", self.home]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"ops/mlflow/postgres {act} failed:\n{done.stderr}"
        return done.stdout

    def kill9(self) -> None:
        """The postmaster; its children see that it is gone and end."""
        os.kill(int((self.home / "pid").read_text()), signal.SIGKILL)

    def rows(self, sql: str, *values) -> list[tuple]:
        with psycopg.connect(self.url, password=PASSWORD, autocommit=True) as connection:
            cursor = connection.execute(sql, values)
            return cursor.fetchall() if cursor.description else []

    def __enter__(self) -> "Postgres":
        return self.start()

    def __exit__(self, *_) -> None:
        self._run("wipe")
