"""`assay worker` beside Kafka Streams on the same topics, one after the other, on one broker. See `run`.

throughput: 1 M traces + 1 M feedbacks from full topics; latency: accepted -> readable, read committed, at a steady rate.
"""

import argparse
import json
import subprocess
import sys
import time
import uuid
from pathlib import Path

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

ROOT = Path(__file__).resolve().parents[3]
LIBS = ROOT / "build" / "kafka-streams-libs"
sys.path.insert(0, str(ROOT / "bench"))
from worker_bench import Filler, Measured, assessment_id, feedback, make_topics, read, start_worker, wait_committed  # noqa: E402


def make_all_topics(kafka: str, prefix: str, partitions: int) -> None:
    make_topics(kafka, prefix, partitions)
    peer = NewTopic(f"{prefix}peer", num_partitions=partitions, replication_factor=1)
    admin = AdminClient({"bootstrap.servers": kafka})  # which takes its requests with it when it goes
    admin.create_topics([peer])[peer.topic].result(30)


def start_peer(kafka: str, prefix: str, home: Path, threads: int, window: int) -> Measured:
    command = ["java", "-XX:+UseSerialGC", "-cp", f"{LIBS}/*:{LIBS}/classes", "Resolve", kafka, prefix, home / "peer", str(threads), str(window)]
    return Measured(command, log=home / "peer.log", running="running")


def throughput(given: argparse.Namespace, home: Path) -> dict:
    results = {}
    prefix = f"b{uuid.uuid4().hex[:6]}."
    make_all_topics(given.kafka, prefix, 4)
    filler = Filler(given.kafka, prefix)
    filler.feedbacks(filler.traces(given.count))
    print(f"filled: {given.count} traces and as many feedbacks", flush=True)
    runs = [("assay worker", lambda: start_worker(given.kafka, prefix, home, "--leave-on-stop", "--commit-interval", given.commit_interval), f"{prefix}resolve")]
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
    """Producer's clock -> a read-committed reader of the output, on this machine's one clock. Twice in turns, the first of
    which only warms the broker: its compiler takes the cores for its first half minute."""
    results = {}
    for name in (("assay worker", "kafka streams") if given.windows else ("assay worker",)) * 2:
        prefix = f"b{uuid.uuid4().hex[:6]}."
        make_all_topics(given.kafka, prefix, 4)
        out = Producer({"bootstrap.servers": given.kafka, "partitioner": "murmur2_random", "linger.ms": 1, "enable.idempotence": True})
        ids = [(f"tr-{uuid.uuid4().hex}", f"req-{uuid.uuid4().hex}") for _ in range(10_000)]
        for trace_id, request_id in ids:
            for key in (trace_id, request_id):
                out.produce(f"{prefix}requests", trace_id.encode(), key=key)
            out.poll(0)
        out.flush(30)
        process = start_worker(given.kafka, prefix, home, "--leave-on-stop", "--commit-interval", given.commit_interval, *sum((["--kafka-property", p] for p in given.property), [])) if name.startswith("assay") else start_peer(given.kafka, prefix, home, given.threads, 10)
        topic = prefix + ("assessments" if name.startswith("assay") else "peer")
        reader = subprocess.Popen([sys.executable, __file__, "read", given.kafka, topic, str(given.rate * given.seconds)], stdout=subprocess.PIPE, text=True)
        time.sleep(3)
        began, cpu = time.monotonic(), process.cpu()
        for i in range(given.rate * given.seconds):
            due = began + i / given.rate
            while (left := due - time.monotonic()) > 0:
                out.poll(min(left, 0.002))
            ms = int(time.time() * 1000)
            out.produce(f"{prefix}feedback", feedback(ids[i % len(ids)][1], assessment_id(ms), ms), key=ids[i % len(ids)][1], timestamp=ms)
        out.flush(30)
        results[name] = json.loads(reader.communicate(timeout=60)[0]) | {"cpu_cores": round((process.cpu() - cpu) / (time.monotonic() - began), 2)}
        print(name, results[name], flush=True)
        process.end()
        subprocess.run(["rm", "-rf", home / "peer", home / "assay"], check=True)
    return results


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("what", choices=("throughput", "latency"))
    options.add_argument("--kafka", required=True)
    options.add_argument("--home", type=Path, required=True)
    options.add_argument("--count", type=int, default=1_000_000)
    options.add_argument("--windows", type=int, nargs="*", default=[0, 10], help="of the peer's dedupe store; none: no peer")
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--rate", type=int, default=5000)
    options.add_argument("--seconds", type=int, default=20)
    options.add_argument("--commit-interval", default="50ms")
    options.add_argument("--property", nargs="*", default=[], help="of the worker's Kafka clients: name=value")
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
