"""Every part of the program over TLS with SASL, as librdkafka names the settings; secrets come by environment or file and show nowhere."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.assay import run_assay
from support.door import accepted, new_trace_id, post_trace, wait_assessment
from support.fake_model import Certificate
from support.kafka import KafkaCluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[KafkaCluster]:
    with KafkaCluster(tmp_path_factory.mktemp("kafka"), secure=True) as cluster:
        yield cluster


def flags(cluster: KafkaCluster, mechanism: str, prefix: str) -> tuple[str, ...]:
    properties = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": mechanism,
        "sasl.username": cluster.secure("user"),
        "ssl.ca.location": str(cluster.home / "secure" / "ca.pem"),
    }
    given = [word for name, value in properties.items() for word in ("--kafka-property", f"{name}={value}")]
    return ("--kafka", cluster.secure("address"), "--topic-prefix", prefix, *given)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
@pytest.mark.timeout(240)
def test_the_whole_way_over_tls_with_sasl(assay, cluster, tmp_path, mechanism):
    password = cluster.secure("password")
    env = {"ASSAY_KAFKA_SASL_PASSWORD": password}
    on = flags(cluster, mechanism, f"{mechanism.lower()}.")
    made = run_assay("topics", "create", *on, "--partitions", "2", "--kafka-wait", "20s", env=env)
    if mechanism != "PLAIN" and "2.6.1 is needed" in made.stderr:  # the only words for it, where librdkafka is older than that
        assert made.returncode == 1 and password not in made.stderr
        return
    assert made.returncode == 0, made.stderr
    secrets: Path = tmp_path / "secrets"
    secrets.write_text(f"# of the broker\n\nsasl.password = {password}\n")
    worker = assay("worker", *on, "--kafka-properties", str(secrets))
    door = assay("ingest", *on, "--view", env=env)
    trace_id = new_trace_id()
    post_trace(door.http, trace_id)
    assessment_id = accepted(door.http.post("/feedback", params={"trace_id": trace_id}, json={"is_correct": True}))
    wait_assessment(door.http, trace_id, assessment_id, within=60)
    verified = run_assay("verify", *on, "--data", str(door.data), env=env)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    described = run_assay("topics", "describe", *on, env=env)
    assert described.returncode == 0 and "behind 0" in described.stdout, described.stdout
    for process in (door, worker):
        assert password not in process.log.read_text()
    checked = run_assay("ingest", *on, "--kafka-properties", str(secrets), "--check", env=env)
    assert checked.returncode == 0 and password not in checked.stdout + checked.stderr


def test_a_wrong_password_is_refused_in_words_that_do_not_hold_it(cluster):
    on = flags(cluster, "PLAIN", "wrong.")
    refused = run_assay("topics", "describe", *on, "--kafka-wait", "3s", env={"ASSAY_KAFKA_SASL_PASSWORD": "not-the-word"})
    assert refused.returncode == 1 and "not-the-word" not in refused.stderr + refused.stdout
    assert "uthentication" in refused.stderr.splitlines()[-1], refused.stderr


@pytest.fixture(scope="module")
def listeners(tmp_path_factory) -> Iterator[dict[str, str]]:
    """Of one that speaks TLS, and of one that closes what it does not understand, as Kafka does."""
    of_tls = Certificate(tmp_path_factory.mktemp("certificate"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(of_tls.certificate, of_tls.key)
    sockets = {"tls": socket.create_server(("127.0.0.1", 0)), "closing": socket.create_server(("127.0.0.1", 0))}

    def serve(listener: socket.socket, shake: bool) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), connection:
                connection.settimeout(5)
                (context.wrap_socket(connection, server_side=True) if shake else connection).recv(100)

    for name, listener in sockets.items():
        threading.Thread(target=serve, args=(listener, name == "tls"), daemon=True).start()
    yield {name: f"127.0.0.1:{listener.getsockname()[1]}" for name, listener in sockets.items()}
    for listener in sockets.values():
        listener.close()


@pytest.mark.parametrize(
    ("listener", "protocol", "why"),
    [
        ("tls", "plaintext", "security.protocol"),
        ("tls", "ssl", "certificate verify failed"),
        ("closing", "ssl", "is security.protocol=ssl what it speaks there?"),
        ("nobody", "plaintext", "Connection refused"),
    ],
)
def test_the_last_sentence_says_why_no_broker_is_reached(listeners, listener, protocol, why):
    address = listeners.get(listener, "127.0.0.1:1")
    refused = run_assay("topics", "describe", "--kafka", address, "--kafka-property", f"security.protocol={protocol}", "--kafka-wait", "2s")
    assert refused.returncode == 1 and why in refused.stderr.splitlines()[-1], refused.stderr


def test_a_file_of_certificates_that_is_none_is_named(tmp_path):
    (tmp_path / "ca.pem").write_text("nothing\n")
    given = ("--kafka-property", "security.protocol=ssl", "--kafka-property", f"ssl.ca.location={tmp_path}/ca.pem")
    refused = run_assay("topics", "describe", "--kafka", "127.0.0.1:1", *given)
    assert refused.returncode == 2 and f"{tmp_path}/ca.pem" in refused.stderr.splitlines()[-1], refused.stderr


@pytest.mark.parametrize("missing", ["sasl.username", "sasl.password"])
def test_a_login_that_is_not_whole_is_a_setting(missing):
    """Exit code 2: systemd does not start it again and again."""
    properties = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "u"}
    properties.pop(missing, None)
    env = {} if missing == "sasl.password" else {"ASSAY_KAFKA_SASL_PASSWORD": "hush"}
    given = [f"--kafka-property={name}={value}" for name, value in properties.items()]
    refused = run_assay("topics", "describe", "--kafka", "127.0.0.1:1", *given, "--kafka-wait", "1s", env=env)
    assert refused.returncode == 2 and missing in refused.stderr and "hush" not in refused.stderr, refused.stderr


def test_a_secret_in_a_flag_is_refused_and_not_repeated():
    refused = run_assay("topics", "describe", "--kafka", "127.0.0.1:1", "--kafka-property", "sasl.password=hush", "--check")
    assert refused.returncode == 2 and "hush" not in refused.stderr + refused.stdout
    assert "ASSAY_KAFKA_SASL_PASSWORD" in refused.stderr
