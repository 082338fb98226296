"""A small OpenAI-compatible server whose every answer the test decides."""

import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def words(text: str = "Water is wet.") -> Iterable[str]:
    """A text as the tokens of a stream."""
    head, *rest = text.split(" ")
    return [head, *(f" {word}" for word in rest)]


class FakeModel:
    """Answers POST /v1/chat/completions; `tokens` makes each answer's tokens and may wait for the test in between.

    status, body: what it answers instead, where status is not 200; statuses: of the next answers, before that. more: headers of these.
    whole: the JSON of an answer that is not streamed, instead of one made of the tokens. models: the JSON of GET /v1/models. raw: the events of a stream, written as they are, whatever
    was asked for; streamed: the same where a stream was asked for; content_type: of a stream.
    requests: the bodies that came. connections: how many came. gone: set when a client left before its answer was complete.
    """

    def __init__(self, tokens: Callable[[], Iterable[str]] = words, *, certificate: "Certificate | None" = None):
        self.tokens = tokens
        self.status, self.body = 200, b'{"error":{"message":"no"}}'
        self.statuses: list[int] = []
        self.connections = 0
        self.more: dict[str, str] = {}
        self.whole: bytes | None = None
        self.models = b'{"object":"list","data":[{"id":"tiny-1","object":"model","created":1,"owned_by":"me"}]}'
        self.raw: Callable[[], Iterable[bytes]] | None = None
        self.streamed: Callable[[], Iterable[bytes]] | None = None
        self.content_type: str | None = "text/event-stream"
        self.requests: list[dict] = []
        self.headers: list[dict[str, str]] = []
        self.gone = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.certificate, certificate.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._server.server_address[1]
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> "FakeModel":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(fake) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                fake.connections += 1

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                fake.requests.append(request)
                fake.headers.append({name.lower(): value for name, value in self.headers.items()})
                status = fake.statuses.pop(0) if fake.statuses else fake.status
                try:
                    if status == 0:  # closes early
                        self.close_connection = True
                    elif status != 200:
                        self._whole(status, fake.body, fake.more)
                    elif fake.whole is not None and not request.get("stream"):
                        self._whole(200, fake.whole)
                    elif fake.raw is not None:
                        self._stream(fake.raw())
                    elif request.get("stream"):
                        self._stream(fake.streamed() if fake.streamed else self._chunks())
                    else:
                        content = "".join(fake.tokens())
                        choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
                        self._whole(200, json.dumps({"object": "chat.completion", "choices": [choice]}).encode())
                except OSError:
                    fake.gone.set()
                    self.close_connection = True

            def do_GET(self) -> None:
                fake.headers.append({name.lower(): value for name, value in self.headers.items()})
                self._whole(200 if self.path.startswith("/v1/models") else 404, fake.models)

            def _chunks(self) -> Iterable[bytes]:
                def chunk(delta: dict, finish: str | None = None) -> bytes:
                    body = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
                    return f"data: {json.dumps(body)}\n\n".encode()

                yield chunk({"role": "assistant", "content": ""})
                for token in fake.tokens():
                    yield chunk({"content": token})
                yield chunk({}, "stop")
                yield b"data: [DONE]\n\n"

            def _whole(self, status: int, body: bytes, more: dict[str, str] | None = None) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                for name, value in (more or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def _stream(self, pieces: Iterable[bytes]) -> None:
                self.send_response(200)
                if fake.content_type:
                    self.send_header("Content-Type", fake.content_type)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for piece in pieces:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                    self.wfile.flush()
                self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *_) -> None:
                pass

        return Handler


class Certificate:
    """A certificate authority of its own and a certificate for 127.0.0.1 signed by it."""

    def __init__(self, home: Path):
        home.mkdir(parents=True, exist_ok=True)
        self.authority, self.certificate, self.key = home / "ca.pem", home / "server.pem", home / "server.key"
        extensions = home / "server.ext"
        extensions.write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
        ca_key, request = home / "ca.key", home / "server.csr"
        new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        _openssl("req", "-x509", *new_key, "-keyout", ca_key, "-out", self.authority, "-days", "30", "-subj", "/CN=assay tests")
        _openssl("req", *new_key, "-keyout", self.key, "-out", request, "-subj", "/CN=127.0.0.1")
        signed_by = ["-CA", self.authority, "-CAkey", ca_key, "-CAcreateserial"]
        _openssl("x509", "-req", "-in", request, *signed_by, "-out", self.certificate, "-days", "30", "-extfile", extensions)


def _openssl(*args: object) -> None:
    done = subprocess.run(["openssl", *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
