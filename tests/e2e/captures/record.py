"""Records what MLflow's client and server say to each other: `record.py SERVER_URL OUT COMMAND…` runs the command with MLFLOW_TRACKING_URI
set to a proxy before the server, and writes each request with its answer. The captures beside this file were made with

    record.py URL client.json python ../differential/run.py /dev/null 7 8 60
"""

import base64
import http.client
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

KEPT = ("content-type", "content-encoding", "x-mlflow-experiment-id", "user-agent")


def body(raw: bytes, kind: str):
    if not raw:
        return None
    if "json" in kind or "text" in kind:
        try:
            return json.loads(raw)
        except ValueError:
            return raw.decode()
    return {"base64": base64.b64encode(raw).decode()}


def main(server: str, out: str, command: list[str]) -> int:
    seen, lock, to = [], threading.Lock(), urlsplit(server).netloc

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def serve(self):
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            forward = http.client.HTTPConnection(to, timeout=60)
            forward.request(self.command, self.path, raw, {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection", "accept-encoding")})
            answer = forward.getresponse()
            said = answer.read()
            headers = {k: v for k, v in self.headers.items() if k.lower() in KEPT}
            with lock:
                seen.append({"method": self.command, "path": self.path, "headers": headers, "body": body(raw, self.headers.get("Content-Type", "")),
                             "status": answer.status, "answer": body(said, answer.headers.get("Content-Type", ""))})
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers.get("Content-Type", "text/plain"))
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

        def log_message(self, *_):
            pass

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    done = subprocess.run(command, env=os.environ | {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{proxy.server_port}"})
    with open(out, "w", encoding="utf-8") as file:
        json.dump(seen, file, ensure_ascii=False, indent=0)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
