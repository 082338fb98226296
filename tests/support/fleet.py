"""Front doors and workers on one Kafka, without MLflow: what the tests of workers under fire stand on."""

import json
import subprocess
import sys
from pathlib import Path

from confluent_kafka import Producer

from .assay import Assay, run_assay
from .crowd import Notes
from .kafka import latest_by_key, read_topic
from .paths import ASSAY_BIN, ROOT
from .waiting import wait_until

SESSION = "2s"  # of workers: ops/kafka/start allows it, where Kafka's own least is 6 s


class Fleet:
    """`assay` is the fixture; `partitions` of all topics."""

    def __init__(self, assay, kafka: str, prefix: str, home: Path, partitions: int = 6, worker_flags: tuple[str, ...] = (), binary: Path = ASSAY_BIN):
        self._assay, self.kafka, self.prefix, self.home, self.partitions = assay, kafka, prefix, home, partitions
        self.binary = binary
        self.on = ("--kafka", kafka, "--topic-prefix", prefix)
        self.worker_flags = ("--session-timeout", SESSION, *worker_flags)
        made = run_assay("topics", "create", *self.on, "--partitions", str(partitions))
        assert made.returncode == 0, made.stderr
        self.doors: list[Assay] = []
        self.workers: list[Assay] = []
        self.notes = Notes(home / "notes.jsonl")

    def door(self, *flags: str, wait: bool = True) -> Assay:
        self.doors.append(self._assay("ingest", *self.on, *flags, name=f"door-{len(self.doors) + 1}", start=False, binary=self.binary).spawn())
        if wait:
            self.doors[-1].wait_ready()
        return self.doors[-1]

    def worker(self, *flags: str, wait: bool = True) -> Assay:
        name = f"worker-{len(self.workers) + 1}"
        flags = (*self.worker_flags, *flags)
        if "--leave-on-stop" not in flags:
            flags = ("--instance-id", name, *flags)
        self.workers.append(self._assay("worker", *self.on, *flags, name=name, start=False, binary=self.binary).spawn())
        if wait:
            self.workers[-1].wait_ready()
        return self.workers[-1]

    def start(self, doors: int = 2, workers: int = 2) -> "Fleet":
        for _ in range(doors):
            self.door(wait=False)
        for _ in range(workers):
            self.worker(wait=False)
        for process in (*self.doors, *self.workers):
            process.wait_ready()
        return self

    @property
    def ports(self) -> list[int]:
        return [door.port for door in self.doors]

    def records(self, stream: str):
        return read_topic(self.kafka, self.prefix + stream)

    def forwarded(self) -> list[dict]:
        return [json.loads(record.value) for record in self.records("assessments")]

    def parked(self) -> dict[bytes, bytes]:
        """What waits; the same topic has what is left of the dead."""
        return {key: value for key, value in latest_by_key(self.records("parked")).items() if not key.startswith(b"remains/")}

    def poison(self, count: int) -> None:
        """Records that are none, written straight to the feedback topic."""
        values = (b"", b"\xff\xfe not JSON", b'{"v":1}', b'{"v":999,"op":"create"}', b"[" * 1000)

        def delivered(error, message) -> None:
            assert error is None, error
            self.notes.poison(message.partition(), message.offset())

        producer = Producer({"bootstrap.servers": self.kafka})
        for i in range(count):
            producer.produce(f"{self.prefix}feedback", values[i % len(values)], key=b"poison", partition=i % self.partitions, on_delivery=delivered)
        assert producer.flush(30) == 0

    def wait_read(self, within: float = 120.0) -> None:
        """What was accepted before this call has been decided: no door has it in its spool, every worker is ready, and each partition's committed position is its end."""
        for door in self.doors:
            if door.running:
                wait_until("its spool is empty", lambda d=door: d.metric("assay_spool_records") == 0, within)
        for worker in self.workers:
            if worker.running:
                worker.wait_ready(within)
        ends = {p: 0 for p in range(self.partitions)}
        for record in read_topic(self.kafka, f"{self.prefix}feedback"):
            ends[record.partition] = record.offset + 1
        wait_until("all feedback decided", lambda: all(self.committed(p) >= end for p, end in ends.items()), within, every=0.2)

    def committed(self, partition: int) -> int:
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer({"bootstrap.servers": self.kafka, "group.id": f"{self.prefix}resolve", "enable.auto.commit": False})
        try:
            [found] = consumer.committed([TopicPartition(f"{self.prefix}feedback", partition)], timeout=10)
            return max(0, found.offset)
        finally:
            consumer.close()

    def judge(self, orphans: str = "dead", within: float = 600.0) -> str:
        """The checking program's verdict; an AssertionError with what it found if anything is wrong."""
        self.notes.close()
        command = [sys.executable, "-m", "support.kafka_judge", str(self.notes.path), "--kafka", self.kafka, "--prefix", self.prefix]
        done = subprocess.run([*command, "--orphans", orphans], cwd=ROOT / "tests", capture_output=True, text=True, timeout=within)
        assert done.returncode == 0, f"promises broken:\n{done.stdout}{done.stderr}"
        return done.stdout

    def partitions_of(self, worker: Assay) -> int:
        return int(worker.metric("assay_worker_partitions"))
