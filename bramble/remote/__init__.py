"""Programs that run on nodes: standard library only, fed to `python3 -` on standard input.

Each program here has a `main(query)` that returns the exit code, and does nothing when imported. It
may stand on other modules of this folder, in one line: `from bramble.remote import ONE, TWO`; their text
goes with it. Standard input keeps programs and queries out of argv, out of sudo's log and off the
disk.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

COMMAND = "python3 -Iu -"
"""What runs a program: isolated from the user's environment, unbuffered so that lines arrive."""

_HERE = Path(__file__).parent
_IMPORT = re.compile(r"^from bramble\.remote import (\w+(?:, \w+)*)$", re.MULTILINE)


def program(name: str, query: Mapping[str, Any]) -> str:
    """The text of `bramble/remote/<name>.py` with a last line that runs it on `query`."""
    call = f"raise SystemExit(main(json.loads({json.dumps(query)!r})))"
    return f"{_text(name)}\n\nimport json\n{call}\n"


def command_line(name: str, query: Mapping[str, Any]) -> str:
    """The program as one command of a shell, where there is no standard input: compressed, in argv."""
    text = base64.b64encode(zlib.compress(program(name, query).encode(), 9)).decode()
    return (
        f"python3 -Iuc 'import base64, zlib; exec(zlib.decompress(base64.b64decode(\"{text}\")))'"
    )


def _text(name: str) -> str:
    """A module's text, with the modules of this folder that it imports made from theirs."""
    source = (_HERE / f"{name}.py").read_text(encoding="utf-8")
    return _IMPORT.sub(lambda found: "\n".join(map(_module, found[1].split(", "))), source)


def _module(name: str) -> str:
    made = f"import types\n{name} = types.ModuleType({name!r})"
    return f"{made}\nexec({_text(name)!r}, {name}.__dict__)"


def answer(output: str) -> dict[str, Any]:
    """The JSON object that a program printed last, after whatever a login shell said; or ValueError."""
    lines = output.strip().splitlines()
    found = json.loads(lines[-1] if lines else "")
    if not isinstance(found, dict):
        raise ValueError(f"{type(found).__name__} and not an object")
    return found
