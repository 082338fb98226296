"""Judges from outside: what clients were told (the notes of crowd.py) against what the topics hold, read committed.

    python -m support.kafka_judge NOTES --kafka HOST:PORT --prefix PREFIX [--orphans dead|parked]

Knows nothing of the program under test but its formats. Prints what is wrong and a line of counts; exit code 1 if anything is wrong.
"""

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from .kafka import latest_by_key, read_topic


def read_notes(path: Path) -> list[dict]:
    with path.open() as lines:
        return [json.loads(line) for line in lines]


class Topics:
    """What stands on them now."""

    def __init__(self, kafka: str, prefix: str, within: float = 300.0):
        self.creates: dict[str, list[tuple[str, dict]]] = defaultdict(list)  # assessment_id -> (trace_id, assessment)
        self.updates: dict[str, list[str]] = defaultdict(list)  # assessment_id -> rationales
        self.deletes: Counter[str] = Counter()
        for record in read_topic(kafka, f"{prefix}assessments", within):
            said = json.loads(record.value)
            assessment = said["assessment"]
            assessment_id = assessment["assessment_id"]
            if said["op"] == "create":
                self.creates[assessment_id].append((record.key.decode(), assessment))
            elif said["op"] == "update":
                self.updates[assessment_id].append(assessment.get("rationale"))
            else:
                self.deletes[assessment_id] += 1
        letters: dict[str, list[dict]] = defaultdict(list)
        self.ended: set[str] = set()  # record_ids that had a letter, or have died without one
        for record in read_topic(kafka, f"{prefix}deadletters", within):
            key = record.key.decode()
            if record.value:
                letters[key].append(json.loads(record.value))
            else:
                letters.pop(key, None)
                self.ended.add(key)
        self.dead = [(key, letter) for key, of_key in letters.items() for letter in of_key]
        keys = (key.decode() for key in latest_by_key(read_topic(kafka, f"{prefix}parked", within)))
        self.parked = {key for key in keys if not key.startswith("remains/")}


def judge(notes: list[dict], topics: Topics, orphans: str = "dead") -> Iterable[str]:
    creates = [n for n in notes if n["kind"] == "create"]
    told = {n["trace_id"] for n in notes if n["kind"] == "trace" and n["answered"]}
    by_uid: dict[str, list[str]] = defaultdict(list)
    for assessment_id, found in topics.creates.items():
        if len(found) > 1:
            yield f"{assessment_id} stands {len(found)} times"
        for _, assessment in found:
            by_uid[assessment.get("metadata", {}).get("uid", "")].append(assessment_id)
    dead_by_id = defaultdict(list)
    for key, letter in topics.dead:
        dead_by_id[key].append(letter)
    expected_dead: set[str] = set()

    # What was taken back before its trace came stands there without its words: of a create its ids are left, of an update its record.
    deleted = {n["assessment_ids"][0] for n in notes if n["kind"] == "delete"}
    taken_back = {n["assessment_ids"][0] for n in notes if n["kind"] == "delete" and n["answered"]}
    wordless = deleted.intersection(by_uid.get("", []))
    # What was taken back before it came, or after it died, has ended without a letter.
    annulled = deleted & topics.ended
    annulled_changes = sum(key.startswith("u-") for key in topics.ended)
    by_uid[""] = [assessment_id for assessment_id in by_uid.pop("", []) if assessment_id not in wordless]
    for said in notes:
        for refusal in said.get("refused", ()):
            yield f"{said['kind']} {said['uid']} was refused: {refusal}"
    for said in creates:
        name = f"feedback {said['uid']} ({said['assessment_ids']})"
        if len(said["assessment_ids"]) > 1:
            yield f"{name}: repeats of one key were given different ids"
        found = by_uid.pop(said["uid"], []) or [assessment_id for assessment_id in said["assessment_ids"] if assessment_id in wordless]
        if len(found) > 1:
            yield f"{name}: stands as {found}"
        for assessment_id in found:
            trace_id, _ = topics.creates[assessment_id][0]
            if trace_id != said["trace_id"]:
                yield f"{name}: stands on {trace_id}, belongs to {said['trace_id']}"
            if said["answered"] and assessment_id not in said["assessment_ids"]:
                yield f"{name}: stands as {assessment_id}"
        if not said["answered"]:
            continue
        [assessment_id] = said["assessment_ids"][:1] or [None]
        if said["trace_id"] in told:
            if not found and assessment_id not in annulled:
                where = "parked" if assessment_id in topics.parked else f"dead: {dead_by_id[assessment_id]}" if assessment_id in dead_by_id else "nowhere"
                yield f"{name}: accepted, its trace was told, and it is {where}"
        elif said["trace_id"] is None and orphans == "dead":
            expected_dead.add(assessment_id)
            letters = dead_by_id.get(assessment_id, [])
            if assessment_id in annulled and not letters:
                continue
            if [letter["reason"] for letter in letters] != ["expired"] or assessment_id in taken_back:
                yield f"{name}: an orphan, its dead letters are {[letter['reason'] for letter in letters]}"
        elif said["trace_id"] is None and assessment_id not in topics.parked | annulled:
            yield f"{name}: an orphan that is not parked"
    for uid, found in ((uid, found) for uid, found in by_uid.items() if found):
        yield f"stands on assay.assessments and nobody said it: uid {uid!r} {found}"

    for said in (n for n in notes if n["kind"] == "update"):
        [assessment_id] = said["assessment_ids"]
        updates = topics.updates.get(assessment_id, [])
        count = updates.count(said["uid"])
        if assessment_id in deleted and count == 0 and None in updates:
            updates.remove(None)
            continue
        if assessment_id in deleted and count == 0 and annulled_changes > 0:
            annulled_changes -= 1
            continue
        if said["trace_id"] in told and (count > 1 or (said["answered"] and count != 1)):
            yield f"the update {said['uid']} of {assessment_id} stands {count} times"
    deletes = Counter(n["assessment_ids"][0] for n in notes if n["kind"] == "delete" and n["trace_id"] in told and n["answered"])
    for assessment_id, count in deletes.items():
        if topics.deletes[assessment_id] != count:
            yield f"the delete of {assessment_id} stands {topics.deletes[assessment_id]} times, was said {count} times"

    poison = {f"feedback/{n['partition']}/{n['offset']}" for n in notes if n["kind"] == "poison"}
    for key in poison:
        letters = dead_by_id.get(key, [])
        if [letter["reason"] for letter in letters] != ["malformed"]:
            yield f"the poison at {key}: its dead letters are {[letter['reason'] for letter in letters]}"
    changes_of_orphans = {n["uid"] for n in notes if n["kind"] in ("update", "delete") and n["trace_id"] is None}
    for key, letters in dead_by_id.items():
        if key in poison or key in expected_dead or (changes_of_orphans and key.startswith("u-")):
            continue
        yield f"a dead letter that nobody expects: {key}: {[(letter['reason'], letter.get('detail')) for letter in letters]}"


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("notes", type=Path)
    options.add_argument("--kafka", required=True)
    options.add_argument("--prefix", default="assay.")
    options.add_argument("--orphans", choices=("dead", "parked"), default="dead")
    given = options.parse_args()
    notes, topics = read_notes(given.notes), Topics(given.kafka, given.prefix)
    wrong = list(judge(notes, topics, given.orphans))
    for line in wrong[:50]:
        print(line)
    kinds = Counter(n["kind"] for n in notes)
    print(
        f"{'WRONG: ' + str(len(wrong)) if wrong else 'kept'}: {dict(kinds)}, {len(topics.creates)} assessments, "
        f"{sum(map(len, topics.updates.values()))} updates, {topics.deletes.total()} deletes, {len(topics.dead)} dead, {len(topics.parked)} parked"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
