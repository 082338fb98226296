"""What the benches of `assay worker` share: topics and what fills them, a process with its costs, a reader of the output."""

import json
import os
import re
import subprocess
import time
import uuid
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from random import getrandbits

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

ROOT = Path(__file__).resolve().parents[1]
ASSAY = Path(os.environ.get("ASSAY_BIN", ROOT / "build" / "release" / "assay"))


@lru_cache(1024)
def stamp(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def assessment_id(ms: int) -> str:
    """As the front door makes it: a UUID of version 7."""
    return f"a-{ms:012x}7{getrandbits(12):03x}{getrandbits(62) | 1 << 63:016x}"


def feedback(request_id: str, own_id: str, ms: int) -> bytes:
    """As the front door writes it."""
    return (
        f'{{"v":1,"op":"create","accepted_at":"{stamp(ms)}","client_request_id":"{request_id}","body_hash":"00000000000000a1",'
        f'"items":[{{"assessment_id":"{own_id}","assessment_name":"user_feedback","source":{{"source_type":"HUMAN","source_id":"u-17"}},'
        f'"feedback":{{"value":true}},"rationale":"spot on","create_time":"{stamp(ms)}","last_update_time":"{stamp(ms)}","valid":true}}]}}'
    ).encode()


def make_topics(kafka: str, prefix: str, partitions: int) -> None:
    subprocess.run([ASSAY, "topics", "create", "--kafka", kafka, "--topic-prefix", prefix, "--partitions", str(partitions)], check=True, stdout=subprocess.DEVNULL)


def producer(kafka: str) -> Producer:
    return Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random", "linger.ms": 50, "batch.size": 500000, "compression.codec": "lz4", "queue.buffering.max.messages": 500000})


class Filler:
    """Writes the topics of a deployment, the records' times spread over the two minutes before now."""

    def __init__(self, kafka: str, prefix: str):
        self._out, self._prefix = producer(kafka), prefix
        self._first = int(time.time() * 1000) - 120_000

    def say(self, topic: str, key: str, value: bytes, ms: int) -> None:
        while True:
            try:
                self._out.produce(f"{self._prefix}{topic}", value, key=key, timestamp=ms)
                self._out.poll(0)
                return
            except BufferError:
                self._out.poll(0.05)

    def traces(self, count: int) -> list[str]:
        """Each under both of its ids. Their client_request_ids."""
        requests = []
        for i in range(count):
            trace_id, request_id = f"tr-{uuid.uuid4().hex}", f"req-{uuid.uuid4().hex}"
            for key in (trace_id, request_id):
                self.say("requests", key, trace_id.encode(), self._first + i * 60_000 // count)
            requests.append(request_id)
        self.flush()
        return requests

    def feedbacks(self, requests: list[str]) -> None:
        """One of each."""
        for i, request_id in enumerate(requests):
            ms = self._first + 60_000 + i * 60_000 // len(requests)
            self.say("feedback", request_id, feedback(request_id, assessment_id(ms), ms), ms)
        self.flush()

    def flush(self) -> None:
        assert self._out.flush(120) == 0


class Measured:
    """A process and what it costs."""

    def __init__(self, command: list, env: dict | None = None, running: str = "", log: Path | None = None):
        self.log = log.open("wb+")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, env=env)
        deadline = time.monotonic() + 60
        while running.encode() not in log.read_bytes():
            assert self.process.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.005)
        self.began = time.monotonic()

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mb(self) -> float:
        return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())[1]) / 1024

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def wait_committed(kafka: str, group: str, topic: str, partitions: int, count: int, process: Measured) -> float:
    """When the group has committed `count` records of the topic."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": group})
    try:
        deadline = time.monotonic() + 170
        while True:
            try:
                found = consumer.committed([TopicPartition(topic, p) for p in range(partitions)], timeout=5)
                if sum(max(0, p.offset) for p in found) >= count:
                    return time.monotonic()
            except KafkaException:
                pass  # an open transaction of offsets
            assert process.process.poll() is None and time.monotonic() < deadline, f"not done: {[p.offset for p in found]}"
            time.sleep(0.02)
    finally:
        consumer.close()


def start_worker(kafka: str, prefix: str, home: Path, *flags: str, name: str = "assay", admin: int = 19108, running: str = "event=assigned") -> Measured:
    command = [ASSAY, "worker", "--kafka", kafka, "--topic-prefix", prefix, "--data", home / name, "--admin-listen", f"127.0.0.1:{admin}"]
    return Measured([*command, *flags], log=home / f"{name}.log", running=running)


def read(kafka: str, topic: str, count: int, warm: float = 0.1) -> None:
    """Prints, as JSON, how long after acceptance each record could be read, the first part (`warm`) of them left out."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": f"r{uuid.uuid4().hex}", "isolation.level": "read_committed", "fetch.wait.max.ms": 10, "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, p, 0) for p in range(4)])
    waits, deadline = [], time.monotonic() + 120
    while len(waits) < count and time.monotonic() < deadline:
        for message in consumer.consume(500, 0.01):
            if message.error() is None:
                accepted = json.loads(message.value())["accepted_at"]
                waits.append(time.time() * 1000 - datetime.fromisoformat(accepted).timestamp() * 1000)
    consumer.close()
    steady = sorted(waits[int(len(waits) * warm) :])
    print(json.dumps({"read": len(waits), **{f"p{q}_ms": round(steady[int(len(steady) * q / 100)], 1) for q in (50, 99)}}))
