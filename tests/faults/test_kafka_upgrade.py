"""What an earlier version has left on Kafka and on its disks is served by this one, which takes over process by process, under load."""

import os
import subprocess
from pathlib import Path

import pytest

from support.crowd import Crowd
from support.fleet import Fleet
from support.paths import ASSAY_BIN, ROOT
from support.waiting import wait_until

pytestmark = pytest.mark.long  # until there is a version before this one


def earlier_version() -> str:
    """The git reference to upgrade from: ASSAY_TEST_UPGRADE_FROM, else the last tag before this commit."""
    given = os.environ.get("ASSAY_TEST_UPGRADE_FROM")
    if given:
        return given
    tag = subprocess.run(["git", "describe", "--tags", "--abbrev=0", "HEAD^"], cwd=ROOT, capture_output=True, text=True)
    if tag.returncode != 0:
        pytest.skip("no version was tagged before this one; name one with ASSAY_TEST_UPGRADE_FROM")
    return tag.stdout.strip()


def build(reference: str) -> Path:
    """build/release/assay of that version, built once in build/upgrade/COMMIT."""
    commit = subprocess.run(["git", "rev-parse", "--short", f"{reference}^{{commit}}"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    tree = ROOT / "build" / "upgrade" / commit
    binary = tree / "build" / "release" / "assay"
    if not binary.exists():
        tree.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "x", "-C", str(tree)], input=archive, check=True)
        subprocess.run([tree / "ops" / "build"], check=True, stdin=subprocess.DEVNULL)
    return binary


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_version_before_is_replaced_process_by_process_under_load(assay, kafka, topic_prefix, tmp_path):
    on = Fleet(assay, kafka, topic_prefix, tmp_path, binary=build(earlier_version())).start()
    crowd = Crowd(on.ports, on.notes, 1_000_000, orphans=30, clients=8).start()
    crowd.wait_done(1000)
    on.poison(10)
    for process in (*on.workers, *on.doors):
        assert process.terminate() == 0
        process.binary = ASSAY_BIN
        process.start()
        crowd.wait_done(crowd.done + 500)
    crowd.stop()
    crowd.join(60)
    on.wait_read()
    for worker in on.workers:
        wait_until("counters settled", lambda w=worker: w.metric("assay_unaccounted") == 0)
    print(on.judge(orphans="parked"))
