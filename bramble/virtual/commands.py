"""Runs a tool of the host and turns its failure into one sentence."""

import shlex
import subprocess
from collections.abc import Sequence

from bramble.virtual.errors import VirtualPiError


def run(*argv: str) -> str:
    """The standard output of a command that must succeed."""
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or "it said nothing"
        raise VirtualPiError(f"'{shlex.join(argv)}' failed (exit {done.returncode}): {said}")
    return done.stdout


def succeeds(argv: Sequence[str]) -> bool:
    """Whether a command ends with 0; for questions."""
    return subprocess.run(argv, capture_output=True).returncode == 0
