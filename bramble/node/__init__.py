"""Programs that run on nodes: standard library only, fed to `python3 -` on standard input.

Each module here has a `main(query)` that returns the exit code, and does nothing when imported.
Standard input keeps programs and queries out of argv, out of sudo's log and off the disk.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

COMMAND = "python3 -Iu -"
"""What runs a program: isolated from the user's environment, unbuffered so that lines arrive."""

_HERE = Path(__file__).parent


def program(name: str, query: Mapping[str, Any]) -> str:
    """The text of `bramble/node/<name>.py` with a last line that runs it on `query`."""
    source = (_HERE / f"{name}.py").read_text(encoding="utf-8")
    call = f"raise SystemExit(main(json.loads({json.dumps(query)!r})))"
    return f"{source}\n\nimport json\n{call}\n"


def answer(output: str) -> Any:
    """The JSON that a program printed last; a login shell's own words may stand before it."""
    lines = output.strip().splitlines()
    return json.loads(lines[-1] if lines else "")
