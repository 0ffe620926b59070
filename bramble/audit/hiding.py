"""Leave out what may hold a secret: nodes have files and command lines that others wrote."""

from __future__ import annotations

import re

from bramble.documents.problems import holds_secret, is_secret
from bramble.sanitize import sanitize

LONGEST = 160
ARGUMENTS = "(its arguments are not shown: they may hold a secret)"
LINE = "(a line that may hold a secret)"
WORDS = "(not shown: it may hold a secret)"
_NAMED = re.compile(r"([A-Za-z_][\w.-]*)=(?=\S)")
_PRIVATE = "PRIVATE KEY-----"


def may_hold(text: str) -> bool:
    """Tell whether a text may hold a secret, by its form or by the name that it is given to."""
    return holds_secret(text) or any(is_secret((name,)) for name in _NAMED.findall(text))


def words(text: str) -> str:
    """Return what a node shows; nothing of it where it may hold a secret."""
    return WORDS if may_hold(text) else text


def command(text: str) -> str:
    """Return a command as it may be shown: one that may hold a secret without its arguments."""
    said = sanitize(" ".join(text.split()))
    if may_hold(text):
        program = re.split(r"\s", text.strip(), maxsplit=1)[0]
        return ARGUMENTS if may_hold(program) else f"{sanitize(program[:LONGEST])} {ARGUMENTS}"
    return said if len(said) <= LONGEST else f"{said[:LONGEST]}..."


def difference(unified: str) -> str:
    """Return a diff without its lines that may hold a secret; none of them where a key is in it."""
    whole = _PRIVATE in unified
    lines = unified.splitlines(keepends=True)
    heads = ("--- ", "+++ ", "@@ ")
    return "".join(
        f"{line[:1]}{LINE}\n" if not line.startswith(heads) and (whole or may_hold(line)) else line
        for line in lines
    )
