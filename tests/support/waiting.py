"""Waiting for what another process does: bounded, and in words when it does not happen."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(what: str, probe: Callable[[], T], within: float = 30.0, every: float = 0.05) -> T:
    """Calls `probe` until it returns something true, and returns that; an AssertionError that names `what` after `within` seconds.

    An exception of the probe is an answer of "not yet"; the last one is told in the end.
    """
    deadline = time.monotonic() + within
    last: object = None
    while True:
        try:
            last = probe()
            if last:
                return last
        except Exception as error:  # the other side may be down for the moment
            last = error
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what}: not within {within:g} s; last answer: {last!r}")
        time.sleep(every)
