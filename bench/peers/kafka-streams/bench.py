"""`assay worker` beside Kafka Streams on the same topics, one after the other, on one broker. See `run`.

throughput: 1 M traces + 1 M feedbacks from full topics; latency: accepted -> readable, read committed, at a steady rate.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
import uuid
from datetime import UTC, datetime
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

ROOT = Path(__file__).resolve().parents[3]
LIBS = ROOT / "build" / "kafka-streams-libs"
ASSAY = Path(os.environ.get("ASSAY_BIN", ROOT / "build" / "release" / "assay"))


def stamp(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def feedback(request_id: str, assessment_id: str, ms: int) -> bytes:
    """As the front door writes it."""
    return (
        f'{{"v":1,"op":"create","accepted_at":"{stamp(ms)}","client_request_id":"{request_id}","body_hash":"00000000000000a1",'
        f'"items":[{{"assessment_id":"{assessment_id}","assessment_name":"user_feedback","source":{{"source_type":"HUMAN","source_id":"u-17"}},'
        f'"feedback":{{"value":true}},"rationale":"spot on","create_time":"{stamp(ms)}","last_update_time":"{stamp(ms)}","valid":true}}]}}'
    ).encode()


def make_topics(kafka: str, prefix: str, partitions: int) -> None:
    subprocess.run([ASSAY, "topics", "create", "--kafka", kafka, "--topic-prefix", prefix, "--partitions", str(partitions)], check=True, stdout=subprocess.DEVNULL)
    peer = NewTopic(f"{prefix}peer", num_partitions=partitions, replication_factor=1)
    admin = AdminClient({"bootstrap.servers": kafka})  # which takes its requests with it when it goes
    admin.create_topics([peer])[peer.topic].result(30)


def producer(kafka: str) -> Producer:
    return Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random", "linger.ms": 50, "batch.size": 500000, "compression.codec": "lz4", "queue.buffering.max.messages": 500000})


def fill(kafka: str, prefix: str, count: int) -> None:
    """Traces first, each under both of its ids, then a feedback of each."""
    out = producer(kafka)
    first = int(time.time() * 1000) - 120_000
    ids = [(f"tr-{uuid.uuid4().hex}", f"req-{uuid.uuid4().hex}") for _ in range(count)]

    def say(topic: str, key: str, value: bytes, ms: int) -> None:
        while True:
            try:
                return out.produce(f"{prefix}{topic}", value, key=key, timestamp=ms)
            except BufferError:
                out.poll(0.05)

    for i, (trace_id, request_id) in enumerate(ids):
        for key in (trace_id, request_id):
            say("requests", key, trace_id.encode(), first + i * 60_000 // count)
        out.poll(0)
    for i, (_, request_id) in enumerate(ids):
        ms = first + 60_000 + i * 60_000 // count
        say("feedback", request_id, feedback(request_id, f"a-{uuid.uuid4().hex}", ms), ms)
        out.poll(0)
    assert out.flush(120) == 0


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


def start_worker(kafka: str, prefix: str, home: Path, *flags: str) -> Measured:
    command = [ASSAY, "worker", "--kafka", kafka, "--topic-prefix", prefix, "--data", home / "assay", "--admin-listen", "127.0.0.1:19108", "--leave-on-stop"]
    return Measured([*command, *flags], log=home / "assay.log", running="event=assigned")


def start_peer(kafka: str, prefix: str, home: Path, threads: int, window: int) -> Measured:
    command = ["java", "-XX:+UseSerialGC", "-cp", f"{LIBS}/*:{LIBS}/classes", "Resolve", kafka, prefix, home / "peer", str(threads), str(window)]
    return Measured(command, log=home / "peer.log", running="running")


def throughput(given: argparse.Namespace, home: Path) -> dict:
    results = {}
    prefix = f"b{uuid.uuid4().hex[:6]}."
    make_topics(given.kafka, prefix, 4)
    fill(given.kafka, prefix, given.count)
    print(f"filled: {given.count} traces and as many feedbacks", flush=True)
    runs = [("assay worker", lambda: start_worker(given.kafka, prefix, home, "--commit-interval", given.commit_interval), f"{prefix}resolve")]
    for window in given.windows:
        runs.append((f"kafka streams, {given.threads} threads, " + (f"dedupe {window} min" if window else "no dedupe"), lambda w=window: start_peer(given.kafka, prefix, home, given.threads, w), f"{prefix}peer"))
    for name, start, group in runs:
        process = start()
        took = wait_committed(given.kafka, group, f"{prefix}feedback", 4, given.count, process) - process.began
        events = 2 * given.count
        results[name] = {"events_per_s": round(events / took), "cpu_us_per_event": round(process.cpu() * 1e6 / events, 2), "peak_mb": round(process.peak_mb()), "seconds": round(took, 2)}
        print(name, results[name], flush=True)
        process.end()
        subprocess.run(["rm", "-rf", home / "peer", home / "assay"], check=True)
        if group.endswith("peer"):
            forget_peer(given.kafka, prefix)
    return results


def forget_peer(kafka: str, prefix: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    deadline = time.monotonic() + 60  # its members leave by their session's time-out
    while True:
        try:
            for done in admin.delete_consumer_groups([f"{prefix}peer"]).values():
                done.result(30)
            break
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
    names = [t for t in admin.list_topics(timeout=10).topics if t.startswith(f"{prefix}peer-")]
    for done in admin.delete_topics(names).values() if names else ():
        done.result(30)


def latency(given: argparse.Namespace, home: Path) -> dict:
    """Producer's clock -> a read-committed reader of the output, on this machine's one clock."""
    results = {}
    for name in ("assay worker", "kafka streams"):
        prefix = f"b{uuid.uuid4().hex[:6]}."
        make_topics(given.kafka, prefix, 4)
        out = producer(given.kafka)
        out = Producer({"bootstrap.servers": given.kafka, "partitioner": "murmur2_random", "linger.ms": 1, "enable.idempotence": True})
        ids = [(f"tr-{uuid.uuid4().hex}", f"req-{uuid.uuid4().hex}") for _ in range(10_000)]
        for trace_id, request_id in ids:
            for key in (trace_id, request_id):
                out.produce(f"{prefix}requests", trace_id.encode(), key=key)
            out.poll(0)
        out.flush(30)
        process = start_worker(given.kafka, prefix, home, "--commit-interval", given.commit_interval) if name.startswith("assay") else start_peer(given.kafka, prefix, home, given.threads, 10)
        topic = prefix + ("assessments" if name.startswith("assay") else "peer")
        reader = subprocess.Popen([sys.executable, __file__, "read", given.kafka, topic, str(given.rate * given.seconds)], stdout=subprocess.PIPE, text=True)
        time.sleep(3)
        began, cpu = time.monotonic(), process.cpu()
        for i in range(given.rate * given.seconds):
            due = began + i / given.rate
            while (left := due - time.monotonic()) > 0:
                out.poll(min(left, 0.002))
            ms = int(time.time() * 1000)
            out.produce(f"{prefix}feedback", feedback(ids[i % len(ids)][1], f"a-{uuid.uuid4().hex}", ms), key=ids[i % len(ids)][1], timestamp=ms)
        out.flush(30)
        results[name] = json.loads(reader.communicate(timeout=60)[0]) | {"cpu_cores": round((process.cpu() - cpu) / (time.monotonic() - began), 2)}
        print(name, results[name], flush=True)
        process.end()
        subprocess.run(["rm", "-rf", home / "peer", home / "assay"], check=True)
    return results


def read(kafka: str, topic: str, count: int) -> None:
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": f"r{uuid.uuid4().hex}", "isolation.level": "read_committed", "fetch.wait.max.ms": 10, "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, p, 0) for p in range(4)])
    waits, deadline = [], time.monotonic() + 120
    while len(waits) < count and time.monotonic() < deadline:
        for message in consumer.consume(500, 0.01):
            if message.error() is None:
                accepted = json.loads(message.value())["accepted_at"]
                waits.append(time.time() * 1000 - datetime.fromisoformat(accepted).timestamp() * 1000)
    consumer.close()
    steady = sorted(waits[len(waits) // 10 :])  # the first tenth warms up
    print(json.dumps({"read": len(waits), **{f"p{q}_ms": round(steady[int(len(steady) * q / 100)], 1) for q in (50, 99)}}))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("what", choices=("throughput", "latency"))
    options.add_argument("--kafka", required=True)
    options.add_argument("--home", type=Path, required=True)
    options.add_argument("--count", type=int, default=1_000_000)
    options.add_argument("--windows", type=int, nargs="*", default=[0, 10])
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--rate", type=int, default=5000)
    options.add_argument("--seconds", type=int, default=20)
    options.add_argument("--commit-interval", default="50ms")
    given = options.parse_args()
    given.home.mkdir(parents=True, exist_ok=True)
    results = throughput(given, given.home) if given.what == "throughput" else latency(given, given.home)
    ours = results.pop("assay worker")
    for name, theirs in results.items():
        if given.what == "throughput":
            print(f"ratio to {name}: {ours['events_per_s'] / theirs['events_per_s']:.2f} x events/s, {ours['cpu_us_per_event'] / theirs['cpu_us_per_event']:.2f} x CPU an event, {ours['peak_mb'] / theirs['peak_mb']:.2f} x memory")
        else:
            print(f"ratio to {name}: p50 {ours['p50_ms'] / theirs['p50_ms']:.2f}, p99 {ours['p99_ms'] / theirs['p99_ms']:.2f}")


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "read":
        read(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
