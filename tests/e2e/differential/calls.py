"""What all calls of a program share: its choices, the names of what it has made, and what it saw."""

import json
import random
import re
from collections.abc import Callable
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

EPOCH = 1_780_000_000_000  # of traces that are given their times; milliseconds


class Names:
    """Ids under the names of their making."""

    def __init__(self):
        self.by_id: dict[str, str] = {}

    def give(self, kind: str, made: str) -> str:
        if made not in self.by_id:
            count = sum(1 for name in self.by_id.values() if name.startswith(f"<{kind}"))
            self.by_id[made] = f"<{kind}{count}>"
            if kind == "trace":
                self.by_id[made.removeprefix("tr-")] = f"<hex{count}>"
        return self.by_id[made]

    def of(self, made: Any) -> Any:
        """The name of an id, of each of a list; what has none is itself."""
        return [self.of(m) for m in made] if isinstance(made, list) else self.by_id.get(made, made)

    def plain(self, text: str) -> str:
        for made in sorted(self.by_id, key=len, reverse=True):
            if made.isdigit():
                # A number is an experiment's id only where something says so.
                text = re.sub(rf"""(mlflow-artifacts:/|[iI]d[= ]|[iI]d": "|experiment )'?{made}\b'?""", rf"\g<1>{self.by_id[made]}", text)
            else:
                text = text.replace(made, self.by_id[made])
        return text


def _sorted_sets(message: str) -> str:
    """Python prints sets in any order."""
    return re.sub(r"\{('[^{}]*')\}", lambda m: "{" + ", ".join(sorted(m[1].split(", "))) + "}", message)


# Words in which the two may differ, each with its reason: see ingest/mlflow/README.md, "Differences".
_WORDS = [
    (re.compile(r"(Experiment\(name=.*?\) already exists\.).*", re.DOTALL), r"\1"),  # MLflow adds its SQL
    (re.compile(r"^(BAD_REQUEST: ).*", re.DOTALL), r"\1…"),  # MLflow's words are SQL
    (re.compile(r"http://127\.0\.0\.1:\d+|port=\d+"), "<the server>"),  # each has its own
]


class Calls:
    """What a program has made so far, how it calls, and how it chooses."""

    def __init__(self, seed: int, operations: int, run: str):
        self.random = random.Random(seed)
        self.seed = seed
        self.operations = operations
        self.client = MlflowClient()
        self.names = Names()
        self.seen: list[Any] = []
        self.experiments: list[str] = []
        self.experiment_names: dict[str, str] = {}
        self.deleted_experiments: set[str] = set()
        self.traces: list[str] = []
        self.times: dict[str, int] = {}
        self.assessments: list[tuple[str, str, str]] = []  # trace, id, kind
        self.datasets: list[Any] = []
        self.count = 0
        self.unique = f"{run}-{seed}"

    def call(self, words: str, act: Callable[[], Any], show: Callable[[Any], Any] = lambda answer: None) -> Any:
        """Does it, and keeps what was seen. Answers what the call answered; None where it failed."""
        answer = None
        try:
            answer = act()
            seen = ["ok", show(answer)]
        except (MlflowException, ValueError, TypeError, AttributeError) as error:
            code = getattr(error, "error_code", "")
            seen = ["error", type(error).__name__, code, str(error)]
        text = self.names.plain(json.dumps([words, *seen], default=str, sort_keys=True, ensure_ascii=False))
        kept = json.loads(text)
        if kept[1] == "error":
            message = _sorted_sets(kept[4])
            for pattern, to in _WORDS:
                message = pattern.sub(to, message)
            kept[4] = message
        self.seen.append(kept)
        return answer

    def pick(self, of: list[Any], missing: Any = None, odds: float = 0.06) -> Any:
        """One of them; or, now and then, or where there is none, something that is not there."""
        if not of or (missing is not None and self.random.random() < odds):
            return missing
        return self.random.choice(of)

    def active(self) -> str:
        return self.random.choice([e for e in self.experiments if e not in self.deleted_experiments])

    def value(self, depth: int = 2) -> Any:
        kinds = ["text", "number", "truth", "none"] + (["list", "map"] if depth else [])
        kind = self.random.choice(kinds)
        if kind == "text":
            return self.random.choice(["plain", "żółć 👍", 'q"uo\\te', "line\nbreak", "", "50% _x"])
        if kind == "number":
            return self.random.choice([0, 1, -3, 7, 2**40, 0.5, 1e-7, 12345.678, 0.1 * 3, 0.47000000000000003, self.random.random()])
        if kind == "truth":
            return self.random.random() < 0.5
        if kind == "none":
            return None
        if kind == "list":
            return [self.value(depth - 1) for _ in range(self.random.randrange(3))]
        return {f"k{i}": self.value(depth - 1) for i in range(self.random.randrange(3))}
