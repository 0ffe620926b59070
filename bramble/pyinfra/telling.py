"""Lines about a host in the terminal: the one way to them, so that no node moves the cursor."""

from __future__ import annotations

import click
from pyinfra.api import Host

from bramble.sanitize import sanitize

MOST_LINES = 200
LONGEST = 4000
"""Of what is said at once, so that one node does not scroll away what is said of the others."""


def say(host: Host, text: str, colour: str | None = None) -> None:
    """Print text about a host, each of its lines with the host's name."""
    lines = text[: MOST_LINES * LONGEST].splitlines() or [""]
    for line in lines[:MOST_LINES]:
        shown = sanitize(line[:LONGEST])
        host.log(click.style(shown, colour) if colour else shown)
    if len(lines) > MOST_LINES:
        host.log(f"({len(lines) - MOST_LINES} more lines)")
