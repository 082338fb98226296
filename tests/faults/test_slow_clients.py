"""Slow clients by the thousand (slowhttptest): others are served all the while, in bounded memory."""

import shutil
import subprocess

import pytest

from support.assay import Assay
from support.paths import ASSAY_BIN

CONNECTIONS = 2000
MODES = {
    "header": ["-H", "-i", "2"],
    "body": ["-B", "-i", "2", "-s", "60000"],
    "range": ["-R"],
    "read": ["-X", "-w", "16", "-y", "64", "-n", "2", "-z", "8", "-k", "3"],
}


def resident_mb(door: Assay) -> float:
    with open(f"/proc/{door.pid}/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))


@pytest.mark.timeout(400)
@pytest.mark.parametrize("mode", [*(mode for mode in MODES if mode != "read"), pytest.param("read", marks=pytest.mark.long)])
@pytest.mark.parametrize("seconds", [6, pytest.param(60, marks=pytest.mark.long)])
def test_the_door_stays_open_for_others(assay, tmp_path, mode, seconds):
    assert shutil.which("slowhttptest"), "Debian's package slowhttptest"
    door = assay("serve", "--header-timeout", "5s", "--body-timeout", "5s", "--write-timeout", "5s", "--idle-timeout", "10s")
    before = resident_mb(door)
    room_mb = 800 if "asan" in str(ASSAY_BIN) else 200  # ASan keeps what was freed
    path = "/feedback?client_request_id=slow" if mode == "body" else "/metrics" if mode == "read" else "/livez"
    command = ["slowhttptest", *MODES[mode], "-c", str(CONNECTIONS), "-r", "1000", "-l", str(seconds), "-p", "3", "-u", f"{door.url}{path}", "-g", "-o", str(tmp_path / "slow")]
    if mode == "body":
        command += ["-t", "POST", "-f", "application/json"]
    with (tmp_path / "out").open("wb") as out:
        attack = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    highest, served = before, 0
    while attack.poll() is None:
        answer = door.http.post("/feedback?client_request_id=other", json={"is_correct": True}, timeout=10)
        assert answer.status_code == 202, answer.text
        served += 1
        highest = max(highest, resident_mb(door))
    assert attack.returncode == 0, (tmp_path / "out").read_text()[-2000:]
    rows = (tmp_path / "slow.csv").read_text().splitlines()[1:]
    probes = [row for row in rows if int(row.split(",")[0]) < seconds]  # at its end it probes no more
    assert probes
    unavailable = [row for row in probes if row.split(",")[-1].strip() == "0"]
    assert not unavailable, f"{len(unavailable)} of {len(probes)} probes found no service: {unavailable[:3]}"
    assert served > seconds and highest < before + room_mb, f"{served} served, {before:.0f} MB before, {highest:.0f} MB at most"
    assert door.metric("assay_ingest_connections_total") > CONNECTIONS / 2, "there was no attack"
