"""Where things are: everything from the root of the checkout."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OPS = ROOT / "ops"
ASSAY_BIN = Path(os.environ.get("ASSAY_BIN", ROOT / "build" / "release" / "assay")).resolve()
