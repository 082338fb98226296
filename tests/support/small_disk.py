"""A small disk of its own for a data directory: a tmpfs in a mount namespace, gone with the last process that is in it."""

import os
import subprocess
from pathlib import Path

from .waiting import wait_until


class SmallDisk:
    """`launcher` runs a program where the disk is mounted at `path`; `free`, `fill` and `clear` reach it from outside."""

    def __init__(self, path: Path, megabytes: int):
        self.path, self.megabytes = path, megabytes
        self._holder: subprocess.Popen | None = None

    @staticmethod
    def refused() -> str:
        """Why this machine does not allow such a disk; empty: it does."""
        try:
            tried = subprocess.run(
                ["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=1m", "none", "/mnt"],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        return "" if tried.returncode == 0 else tried.stderr.strip() or f"unshare ends with {tried.returncode}"

    def __enter__(self) -> "SmallDisk":
        self.path.mkdir(parents=True, exist_ok=True)
        mount = f'mount -t tmpfs -o size={self.megabytes}m none "$1" && echo mounted && exec sleep 3600'
        self._holder = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", mount, "sh", str(self.path)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        assert self._holder.stdout.readline() == "mounted\n"
        (self.outside / "ballast").touch()  # now: there may be no room for it later
        return self

    def __exit__(self, *_) -> None:
        self._holder.kill()
        self._holder.wait()

    @property
    def launcher(self) -> list[str]:
        return ["nsenter", "-m", "-t", str(self._holder.pid)]

    @property
    def outside(self) -> Path:
        """The disk as this process sees it."""
        return Path(f"/proc/{self._holder.pid}/root{self.path}")

    @property
    def free(self) -> int:
        said = os.statvfs(self.outside)
        return said.f_bavail * said.f_frsize

    def fill(self, leave: int = 0) -> None:
        """Fills it up to `leave` bytes."""
        with (self.outside / "ballast").open("ab") as ballast:
            piece = bytes(4096)
            while (room := self.free - leave) > 0:
                try:
                    ballast.write(piece * max(1, min(room, 1 << 20) // len(piece)))
                    ballast.flush()
                except OSError:
                    break

    def clear(self) -> None:
        os.truncate(self.outside / "ballast", 0)
        wait_until("room on the disk", lambda: self.free > 0)
