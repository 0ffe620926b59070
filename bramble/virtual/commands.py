"""Run the host's tools; a failure becomes one sentence."""

import shlex
import subprocess
from collections.abc import Sequence

from bramble.virtual.errors import VirtualPiError


def run(*argv: str) -> str:
    """Run a command and return its standard output; raise VirtualPiError if it fails."""
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or "it said nothing"
        raise VirtualPiError(f"'{shlex.join(argv)}' failed (exit {done.returncode}): {said}")
    return done.stdout


def succeeds(argv: Sequence[str]) -> bool:
    """Return whether a command ends with exit code 0."""
    return subprocess.run(argv, capture_output=True).returncode == 0
