"""API keys of a front door, made as an operator makes them."""

from .assay import Assay, run_assay


def create_key(door: Assay, name: str, *scopes: str, rate: str = "") -> str:
    more = ("--rate", rate) if rate else ()
    made = run_assay("keys", "create", name, "--scope", ",".join(scopes), "--data", str(door.data), *more)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
