"""What happens to workers, in figures. See `worker-figures`.

restore: an empty machine rebuilds the index of so many ids from the topic; beside it what only reading them takes.
crash:   of two workers, one with the other's partitions as a standby, under a steady rate: the longest that a feedback
         took to be readable when one restarts as planned, and when it is killed.
scale:   the same full topics by one worker, by two, by four: processor time an event, all of them together.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from datetime import datetime

from confluent_kafka import Consumer, Producer, TopicPartition
from pathlib import Path
from worker_bench import Filler, Measured, assessment_id, feedback, make_topics, read, start_worker, wait_committed

PARTITIONS = 4


def admin_says(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return answer.read().decode()


def wait_ready(*ports: int) -> float:
    deadline = time.monotonic() + 300
    while True:
        try:
            for port in ports:
                admin_says(port, "/readyz")
            return time.monotonic()
        except OSError:
            assert time.monotonic() < deadline, "not ready"
            time.sleep(0.01)


def only_read(kafka: str, topic: str, count: int) -> float:
    """Seconds that a plain consumer takes for the same records."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "floor", "isolation.level": "read_committed", "queued.max.messages.kbytes": 262144, "fetch.message.max.bytes": 4 << 20})
    consumer.assign([TopicPartition(topic, p, 0) for p in range(PARTITIONS)])
    found = len(consumer.consume(1, 30))
    began = time.monotonic()
    while found < count:
        found += len(consumer.consume(10_000, 1))
    took = time.monotonic() - began
    consumer.close()
    return took


def restore(given: argparse.Namespace, prefix: str) -> None:
    filler = Filler(given.kafka, prefix)
    requests = filler.traces(given.count // 2)  # each is two ids
    filler.feedbacks(requests[:1000])  # so that the group has a position: what is restored lies before it
    print(f"filled: {given.count} ids", flush=True)
    first = start_worker(given.kafka, prefix, given.home, "--leave-on-stop")
    wait_committed(given.kafka, f"{prefix}resolve", f"{prefix}feedback", PARTITIONS, 1000, first)
    first.end()
    for of in range(given.rounds):
        subprocess.run(["rm", "-rf", given.home / "assay"], check=True)
        worker = start_worker(given.kafka, prefix, given.home, "--leave-on-stop")
        took = wait_ready(19108) - worker.began
        print(f"restore {of + 1}: {given.count / took:.0f} ids/s in {took:.2f} s, {worker.cpu() * 1e6 / given.count:.2f} us CPU an id, peak {worker.peak_mb():.0f} MB", flush=True)
        worker.end()
        floor = only_read(given.kafka, f"{prefix}requests", given.count)
        print(f"  read only (Python's client): {given.count / floor:.0f} ids/s", flush=True)


class Steady:
    """Feedback at a steady rate, spread over all partitions, and how long each took to be readable."""

    def __init__(self, kafka: str, prefix: str, requests: list[str], rate: int):
        self._out = Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random", "linger.ms": 1, "enable.idempotence": True})
        self._prefix, self._requests, self._rate = prefix, requests, rate
        self._stopped = threading.Event()
        self.sent = 0
        self._consumer = Consumer({"bootstrap.servers": kafka, "group.id": f"r{uuid.uuid4().hex}", "isolation.level": "read_committed", "fetch.wait.max.ms": 10})
        self._consumer.assign([TopicPartition(f"{prefix}assessments", p, 0) for p in range(PARTITIONS)])
        self.waits: list[float] = []
        self._threads = [threading.Thread(target=self._send), threading.Thread(target=self._read)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        began = time.monotonic()
        while not self._stopped.is_set():
            while (left := began + self.sent / self._rate - time.monotonic()) > 0:
                self._out.poll(min(left, 0.002))
            request_id, ms = self._requests[self.sent % len(self._requests)], int(time.time() * 1000)
            self._out.produce(f"{self._prefix}feedback", feedback(request_id, assessment_id(ms), ms), key=request_id, timestamp=ms)
            self.sent += 1
        self._out.flush(30)

    def _read(self) -> None:
        deadline = None
        while deadline is None or (len(self.waits) < self.sent and time.monotonic() < deadline):
            if deadline is None and self._stopped.is_set():
                deadline = time.monotonic() + 60
            for message in self._consumer.consume(500, 0.01):
                if message.error() is None:
                    accepted = json.loads(message.value())["accepted_at"]  # the record's own time is the broker's
                    self.waits.append(time.time() - datetime.fromisoformat(accepted).timestamp())
        self._consumer.close()

    def longest_since(self, mark: int) -> float:
        return max(self.waits[mark:], default=0)

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        assert len(self.waits) == self.sent, f"{self.sent} sent, {len(self.waits)} read"


def crash(given: argparse.Namespace, prefix: str) -> None:
    requests = Filler(given.kafka, prefix).traces(given.count)

    def start(n: int, running: str = "event=assigned") -> Measured:
        flags = ("--instance-id", f"w{n}", "--standby", "1", "--session-timeout", "6s")
        return start_worker(given.kafka, prefix, given.home, *flags, name=f"w{n}", admin=19108 + n, running=running)

    workers = [start(0), start(1)]
    wait_ready(19108, 19109)
    time.sleep(5)  # until the standbys have all of it; nothing says so
    steady = Steady(given.kafka, prefix, requests, given.rate)
    time.sleep(5)
    print(f"undisturbed: longest {steady.longest_since(0) * 1000:.0f} ms", flush=True)
    for of in range(given.rounds):
        mark = len(steady.waits)
        workers[0].end()
        workers[0] = start(0)
        wait_ready(19108, 19109)
        time.sleep(3)
        print(f"planned restart {of + 1}: longest {steady.longest_since(mark):.2f} s", flush=True)
        mark = len(steady.waits)
        workers[0].process.kill()
        workers[0].process.wait()
        time.sleep(12)
        print(f"crash {of + 1}: longest {steady.longest_since(mark):.2f} s, the session's 6 s in it", flush=True)
        workers[0] = start(0)
        wait_ready(19108, 19109)
        time.sleep(5)
    steady.stop()
    print(f"{steady.sent} sent, {len(steady.waits)} read")
    for worker in workers:
        worker.end()


def scale(given: argparse.Namespace, prefix: str) -> None:
    for of in (1, 2, 4):
        topics = f"{prefix}{of}."
        make_topics(given.kafka, topics, PARTITIONS)
        filler = Filler(given.kafka, topics)
        filler.feedbacks(filler.traces(given.count))
        workers = [start_worker(given.kafka, topics, given.home, "--instance-id", f"s{n}", name=f"s{n}", admin=19108 + n, running="event=working") for n in range(of)]
        began = time.monotonic()
        took = wait_committed(given.kafka, f"{topics}resolve", f"{topics}feedback", PARTITIONS, given.count, workers[0]) - began
        events = 2 * given.count
        cpu = sum(worker.cpu() for worker in workers)
        print(f"{of} workers: {events / took:.0f} events/s, {cpu * 1e6 / events:.2f} us CPU an event, peak {sum(w.peak_mb() for w in workers):.0f} MB in all", flush=True)
        for worker in workers:
            worker.end()
        subprocess.run(["rm", "-rf", *(given.home / f"s{n}" for n in range(of))], check=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", choices=("restore", "crash", "scale"))
    options.add_argument("--kafka", required=True)
    options.add_argument("--home", type=Path, required=True)
    options.add_argument("--count", type=int, help="ids of restore (5 M), traces of crash (200,000), pairs of scale (500,000)")
    options.add_argument("--rate", type=int, default=2000)
    options.add_argument("--rounds", type=int, default=2)
    given = options.parse_args()
    given.count = given.count or {"restore": 5_000_000, "crash": 200_000, "scale": 500_000}[given.what]
    prefix = f"b{uuid.uuid4().hex[:6]}."
    if given.what != "scale":
        make_topics(given.kafka, prefix, PARTITIONS)
    {"restore": restore, "crash": crash, "scale": scale}[given.what](given, prefix)


if __name__ == "__main__":
    main()
