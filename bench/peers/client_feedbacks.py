"""How many feedbacks a second does the unmodified MLflow client get through? `client_feedbacks.py URL [FEEDBACKS] [THREADS]`, against an
MLflow server, against assay, and, for what the client itself can do, against `fixed`: a server in this process's child that answers every
request at once with the same bytes."""

import json
import multiprocessing
import os
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

BODY = json.dumps({"assessment": {"assessment_id": "a-" + "0" * 32, "assessment_name": "user_feedback", "trace_id": "tr-" + "0" * 32,
                                  "source": {"source_type": "HUMAN", "source_id": "ana"}, "create_time": "2026-11-23T15:57:31.547Z",
                                  "last_update_time": "2026-11-23T15:57:31.547Z", "feedback": {"value": True}, "valid": True}}).encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + str(len(BODY)).encode() + b"\r\n\r\n" + BODY


def serve_fixed(listener: socket.socket) -> None:
    def one(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                more = connection.recv(65536)
                if not more:
                    return
                data += more
            head, _, rest = data.partition(b"\r\n\r\n")
            length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
            while len(rest) < length:
                rest += connection.recv(65536)
            data = rest[length:]
            connection.sendall(ANSWER)

    while True:
        threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()


def main(url: str, feedbacks: int = 1000, threads: int = 16) -> None:
    fixed = None
    if url == "fixed":
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        fixed = multiprocessing.get_context("fork").Process(target=serve_fixed, args=(listener,), daemon=True)
        fixed.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    os.environ |= {"MLFLOW_TRACKING_URI": url, "MLFLOW_DISABLE_TELEMETRY": "true"}
    import mlflow
    from mlflow.entities import AssessmentSource

    trace_id = "tr-" + "0" * 32
    if fixed is None:
        with mlflow.start_span("bench") as span:
            trace_id = span.trace_id
        mlflow.flush_trace_async_logging()

    def say(n: int) -> float:
        began = time.perf_counter()
        mlflow.log_feedback(trace_id=trace_id, name="user_feedback", value=n % 3 != 0, source=AssessmentSource("HUMAN", f"u-{n}"))
        return time.perf_counter() - began

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(say, range(threads * 2)))  # connections are open, modules are loaded
        began = time.perf_counter()
        took = sorted(pool.map(say, range(feedbacks)))
        seconds = time.perf_counter() - began
    print(json.dumps({"feedbacks": feedbacks, "threads": threads, "per_second": round(feedbacks / seconds), "p50_ms": round(took[len(took) // 2] * 1000, 2), "p99_ms": round(took[int(len(took) * 0.99)] * 1000, 2)}))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:4]))
