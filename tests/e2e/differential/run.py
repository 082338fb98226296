"""Runs programs of program.py against the server of MLFLOW_TRACKING_URI: `run.py OUT FIRST LAST OPERATIONS RUN`. One process a server, because
MLflow's client keeps state of its own."""

import json
import sys

from program import Program


def main(out: str, first: int, last: int, operations: int, run: str) -> None:
    seen = {}
    for seed in range(first, last):
        seen[seed] = Program(seed, operations, run).run()
    with open(out, "w", encoding="utf-8") as file:
        json.dump(seen, file, ensure_ascii=False)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5])
