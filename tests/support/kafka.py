"""A real Kafka: the broker as a thing to start and kill, its topics as lists of records."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from .paths import OPS
from .waiting import wait_until


def key_partition(key: bytes, partitions: int) -> int:
    """Kafka's murmur2, as a Java producer places its keys."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(key)
    whole = len(key) // 4 * 4
    for i in range(0, whole, 4):
        k = int.from_bytes(key[i : i + 4], "little") * m & mask
        h = (h * m & mask) ^ ((k ^ k >> 24) * m & mask)
    for i, byte in reversed(list(enumerate(key[whole:]))):
        h ^= byte << 8 * i
    if len(key) > whole:
        h = h * m & mask
    h = (h ^ h >> 13) * m & mask
    return ((h ^ h >> 15) & 0x7FFFFFFF) % partitions


class KafkaCluster:
    """A cluster of one or three brokers of its own, for a test that stops or kills them. It keeps ports and data over restarts."""

    def __init__(self, home: Path, brokers: int = 1, secure: bool = False, auto_create: bool = False):
        self.home, self.brokers = home, brokers
        self._flags = ("--secure", "yes" if secure else "no", "--auto-create", "yes" if auto_create else "no")
        self.bootstrap = ""

    def start(self) -> "KafkaCluster":
        """Starts the brokers that do not run; returns once all answer."""
        command = [OPS / "kafka" / "start", "--port", "0", "--dir", self.home, "--brokers", str(self.brokers), *self._flags]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"Kafka did not start:\n{done.stderr}"
        self.bootstrap = done.stdout.strip()
        return self

    def secure(self, what: str) -> str:
        """Of the listener with TLS and SASL: its address, the user, the password."""
        return (self.home / "secure" / what).read_text().strip()

    def stop(self) -> None:
        subprocess.run([OPS / "kafka" / "stop", "--dir", self.home], stdin=subprocess.DEVNULL, check=True, timeout=120)

    def pid(self, broker: int = 1) -> int:
        return int((self.home / f"broker-{broker}" / "pid").read_text())

    def kill9(self, broker: int = 1) -> None:
        """Ends one broker as a crash does. Returns when it is gone."""
        self.signal(signal.SIGKILL, broker)
        # start's shell is gone: the broker is nobody's child here, and its entry in /proc is what there is to watch.
        wait_until(f"broker {broker} gone", lambda: not self._alive(broker), within=20)

    def signal(self, number: int, broker: int = 1) -> None:
        """SIGSTOP makes a broker hang, SIGCONT lets it go on."""
        os.kill(self.pid(broker), number)

    def _alive(self, broker: int) -> bool:
        try:
            return ") Z " not in Path(f"/proc/{self.pid(broker)}/stat").read_text()
        except FileNotFoundError:
            return False

    def __enter__(self) -> "KafkaCluster":
        return self.start()

    def __exit__(self, *_) -> None:
        self.stop()


@dataclass(frozen=True)
class Record:
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes] = field(default_factory=dict)
    timestamp: int = -1  # ms since 1970

    def header(self, name: str) -> str | None:
        value = self.headers.get(name)
        return None if value is None else value.decode()


def _record(message: Message) -> Record:
    headers = {name: value or b"" for name, value in message.headers() or ()}
    return Record(message.partition(), message.offset(), message.key(), message.value(), headers, message.timestamp()[1])


def read_topic(bootstrap: str, topic: str, within: float = 30.0, isolation: str = "read_committed") -> list[Record]:
    """Every record of the topic that a read_committed consumer sees now, in partition and offset order.

    Reads each partition from its beginning to the end it has when the reader gets there: the last stable offset, so that records of
    an open transaction are neither seen nor waited for.
    """
    failures: list[KafkaError] = []
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "assay-test-reader",  # asked for by the client; nothing is ever committed under it
            "enable.auto.commit": False,
            "isolation.level": isolation,
            "enable.partition.eof": True,
            "error_cb": failures.append,
        }
    )
    try:
        known = consumer.list_topics(topic, timeout=within).topics[topic]
        if known.error is not None:
            raise KafkaException(known.error)
        unread = set(known.partitions)
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in unread])
        records, deadline = [], time.monotonic() + within
        while unread:
            assert time.monotonic() < deadline, f"{topic}: partitions {sorted(unread)} not read to their end in {within:g} s; {failures[-3:]}"
            for message in consumer.consume(num_messages=1000, timeout=0.1):
                if message.error() is None:
                    records.append(_record(message))
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    unread.discard(message.partition())
                else:
                    raise KafkaException(message.error())
        return sorted(records, key=lambda r: (r.partition, r.offset))
    finally:
        consumer.close()


def latest_by_key(records: list[Record]) -> dict[bytes, bytes]:
    """What compaction leaves of a topic in the end: the last value of each key, tombstones gone."""
    latest = {r.key: r.value for r in records}
    return {key: value for key, value in latest.items() if value is not None}


def create_topic(bootstrap: str, topic: str, partitions: int = 1, replicas: int = 1, **config: str) -> None:
    new = NewTopic(topic, num_partitions=partitions, replication_factor=replicas, config=config)
    admin = AdminClient({"bootstrap.servers": bootstrap})  # named: it must live until the answer is there
    admin.create_topics([new])[topic].result(timeout=30)


def delete_topics(bootstrap: str, prefix: str) -> None:
    """Deletes every topic whose name begins so: what a test made under its own prefix."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    names = [name for name in admin.list_topics(timeout=30).topics if name.startswith(prefix)]
    for done in admin.delete_topics(names).values() if names else ():
        done.result(timeout=30)
