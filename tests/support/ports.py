"""Ports for processes that a test starts."""

import random
import socket
from pathlib import Path


def free_port() -> int:
    """A loopback port that nobody listens on.

    Never from the range that the kernel uses for outgoing connections: there, a client's own socket may sit on the port of a server
    that was killed, and the server cannot come back to it.
    """
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(1000):
        port = random.randint(10240, max(first_outgoing - 1, 20480))
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port on loopback")
