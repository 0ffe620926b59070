"""Write bramble/llama/arguments.json by the answers of a llama-server of the pinned commit.

    python docs/arguments.py LLAMA_SERVER

The program must run on this computer: any build of the commit for it will do, such as the one of a
virtual Pi (/opt/bramble/engine/current/bin/llama-server). tests/nodes compares the file with that.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from bramble.llama.arguments import FILE, Known, of_help, written
from bramble.roles.engine.settings import COMMIT


def asked(program: str) -> Known:
    """Return what a llama-server says that it knows; exit where it is of another commit."""
    told = _said(program, "--version").stderr
    found = re.search(r"version: (.*\(build \d+, commit ([0-9a-f]{7,40})\))", told)
    if not found or not COMMIT.startswith(found[2]):
        sys.exit(f"{program} says {told.strip()!r}, and the pinned commit is {COMMIT}")
    return of_help(_said(program, "--help").stdout, COMMIT, found[1])


def _said(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, check=True, capture_output=True, text=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    FILE.write_text(written(asked(sys.argv[1])), encoding="utf-8")
    print(f"wrote {FILE}")
