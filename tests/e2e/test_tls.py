"""TLS on the door: what is spoken, and a certificate that changes while people come in."""

import signal
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import httpx
import pytest

from support.assay import Assay, run_assay
from support.waiting import wait_until


def make_certificate(directory: Path, serial: int) -> None:
    """Writes cert.pem and key.pem, self-signed, for localhost."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-set_serial", str(serial), "-keyout", "key.new", "-out", "cert.new"],
        cwd=directory, check=True, capture_output=True,
    )  # fmt: skip
    (directory / "key.new").rename(directory / "key.pem")
    (directory / "cert.new").rename(directory / "cert.pem")


class TlsAssay(Assay):
    @property
    def url(self) -> str:
        return f"https://{self.address}"


@pytest.fixture
def tls_door(tmp_path):
    make_certificate(tmp_path, 1)
    flags = ("--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"), "--header-timeout", "2s")
    with TlsAssay("serve", *flags, home=tmp_path / "door") as door:
        door.http = httpx.Client(base_url=door.url, verify=ssl._create_unverified_context(), trust_env=False, timeout=20)
        yield door.start()


def serial_of(door: Assay) -> str:
    pem = ssl.get_server_certificate(("127.0.0.1", door.port), timeout=10)
    shown = subprocess.run(["openssl", "x509", "-noout", "-serial"], input=pem, text=True, capture_output=True, check=True)
    return shown.stdout.strip()


def test_feedback_and_streams_go_over_tls(tls_door, tmp_path):
    verified = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    with httpx.Client(base_url=f"https://localhost:{tls_door.port}", verify=verified, trust_env=False, timeout=20) as http:
        answer = http.post("/chat", json={"message": "word " * 2000}).json()
        assert http.post(f"/feedback?trace_id={answer['trace_id']}", json={"is_correct": True}).status_code == 200
        assert http.post(f"/feedback?trace_id={answer['trace_id']}", content=b"x" * 60_000).status_code == 400
        with http.stream("POST", "/chat/stream", json={"message": "one two"}) as stream:
            assert '"type":"done"' in "".join(stream.iter_text())
    curl = subprocess.run(["curl", "-sS", "--cacert", str(tmp_path / "cert.pem"), "--http2", f"https://localhost:{tls_door.port}/livez"],
                          capture_output=True, text=True, timeout=20)  # fmt: skip
    assert curl.returncode == 0 and "ok" in curl.stdout, curl.stderr


def test_old_versions_and_plain_http_are_not_spoken(tls_door):
    for version, spoken in ((ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True), (ssl.TLSVersion.TLSv1_1, False)):
        context = ssl._create_unverified_context()
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        with socket.create_connection(("127.0.0.1", tls_door.port), timeout=10) as plain:
            try:
                with context.wrap_socket(plain) as wrapped:
                    assert spoken and wrapped.version()
            except (ssl.SSLError, ConnectionError):
                assert not spoken
    with socket.create_connection(("127.0.0.1", tls_door.port), timeout=10) as plain:
        plain.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not plain.recv(100).startswith(b"HTTP/1.1 200")


def test_who_never_finishes_its_handshake_is_dropped(tls_door):
    with socket.create_connection(("127.0.0.1", tls_door.port), timeout=10) as silent:
        assert silent.recv(1) == b""  # after --header-timeout
    assert tls_door.http.get("/livez").status_code == 200


def test_a_new_certificate_is_shown_without_a_gap(tls_door, tmp_path):
    first = serial_of(tls_door)
    stop, failures = threading.Event(), []

    def knock():
        while not stop.is_set():
            try:
                httpx.get(f"{tls_door.url}/livez", verify=ssl._create_unverified_context(), trust_env=False, timeout=20).raise_for_status()
            except Exception as error:  # noqa: BLE001 — whatever it is, it is a gap
                failures.append(repr(error))

    callers = [threading.Thread(target=knock) for _ in range(3)]
    for caller in callers:
        caller.start()
    assert tls_door.http.get("/livez").status_code == 200
    make_certificate(tmp_path, 2)
    tls_door.signal(signal.SIGHUP)
    wait_until("the new certificate", lambda: serial_of(tls_door) != first)
    assert tls_door.http.get("/livez").status_code == 200, "a connection of before lives on"
    ends = {one for one in tls_door.http.get("/metrics").text.splitlines() if one.startswith("assay_ingest_certificate_end_timestamp_seconds ")}
    assert 47 < (float(ends.pop().split()[1]) - time.time()) / 3600 <= 48
    # One that can't be used changes nothing.
    (tmp_path / "cert.pem").write_text("no certificate")
    tls_door.signal(signal.SIGHUP)
    wait_until("it is said", lambda: "can't be used" in tls_door.tail())
    assert "assay_ingest_reloads_refused_total 1\n" in tls_door.http.get("/metrics").text
    serial_of(tls_door)
    stop.set()
    for caller in callers:
        caller.join()
    assert not failures, failures[:3]


def test_a_certificate_that_is_none_is_said_at_the_start(tmp_path):
    make_certificate(tmp_path, 1)
    data, cert = ("--data", str(tmp_path / "d"), "--listen", "127.0.0.1:0"), str(tmp_path / "cert.pem")
    assert run_assay("serve", *data, "--tls-cert", cert).returncode == 2
    failed = run_assay("serve", *data, "--tls-cert", cert, "--tls-key", cert)
    assert failed.returncode == 2 and "--tls-key" in failed.stderr and "can't be used" in failed.stderr
