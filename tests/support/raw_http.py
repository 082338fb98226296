"""HTTP as bytes: for requests that no well-behaved client would send."""

import json
import socket
import time
from dataclasses import dataclass, field


@dataclass
class Answer:
    status: int  # 0: the connection was closed without an answer
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    closed: bool = False  # the server closed the connection after it

    def json(self) -> dict:
        return json.loads(self.body)


class RawConnection:
    """A connection on which a test writes whatever it likes. Every wait is bounded by `timeout` seconds."""

    def __init__(self, port: int, timeout: float = 15.0, receive_buffer: int | None = None):
        self.socket = socket.socket()
        self.socket.settimeout(timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(("127.0.0.1", port))
        self._buffer = b""

    def send(self, data: bytes) -> bool:
        """False where the server does not take it any more."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def finish(self) -> None:
        """Says that nothing more is sent."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the server was faster

    def answer(self) -> Answer:
        """The next answer; status 0 where the server closes instead. TimeoutError where nothing comes."""
        try:
            while b"\r\n\r\n" not in self._buffer:
                if not self._receive():
                    return Answer(0, closed=True)
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            status_line, *lines = head.decode("latin-1").split("\r\n")
            headers = {}
            for line in lines:
                name, _, value = line.partition(":")
                headers[name.strip().lower()] = value.strip()
            length = int(headers.get("content-length", 0))
            while len(self._buffer) < length:
                if not self._receive():
                    break
            body, self._buffer = self._buffer[:length], self._buffer[length:]
        except ConnectionResetError:
            return Answer(0, closed=True)
        return Answer(int(status_line.split(" ")[1]), headers, body, closed=headers.get("connection", "").lower() == "close")

    def ended(self, within: float) -> bool:
        """Reads on, and says whether the server closes within so many seconds."""
        deadline = time.monotonic() + within
        try:
            while time.monotonic() < deadline:
                self.socket.settimeout(max(0.01, deadline - time.monotonic()))
                if not self._receive():
                    return True
        except ConnectionResetError:
            return True
        except TimeoutError:
            pass
        return False

    def _receive(self) -> bool:
        data = self.socket.recv(65536)
        self._buffer += data
        return bool(data)

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> "RawConnection":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def ask(port: int, data: bytes, timeout: float = 15.0) -> Answer:
    """Sends the bytes on a connection of their own and returns the first answer."""
    with RawConnection(port, timeout) as connection:
        connection.send(data)
        return connection.answer()


def request(method: str, target: str, body: bytes = b"", *headers: str, content_type: str = "application/json") -> bytes:
    """A well-formed request, to be bent by the test."""
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if body or method in ("POST", "PATCH", "PUT"):
        lines += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
