"""/etc/hosts, edited so that a node's own name resolves, as Debian does it: on 127.0.1.1."""

from __future__ import annotations

OWN_ADDRESS = "127.0.1.1"


def names(line: str) -> tuple[str, ...]:
    """The address of a line and its names; nothing for a comment."""
    return tuple(line.partition("#")[0].split())


def resolves(text: str, name: str) -> bool:
    """Whether the name stands on a loopback address, and on 127.0.1.1 no other one does first."""
    lines = [names(line) for line in text.splitlines()]
    own = [line for line in lines if line[:1] == (OWN_ADDRESS,)]
    if own:
        return own[0][1:2] == (name,)
    return any(line[0].startswith("127.") and name in line[1:] for line in lines if line)


def edited(text: str, name: str) -> str:
    """The text with the name on 127.0.1.1, in the place of the old one; all other lines stay."""
    if resolves(text, name):
        return text
    made, placed = [], False
    for line in text.splitlines(keepends=True):
        if names(line)[:1] == (OWN_ADDRESS,) and not placed:
            made.append(f"{OWN_ADDRESS}\t{name}\n")
            placed = True
        else:
            made.append(line)
    if not placed:
        if made and not made[-1].endswith("\n"):
            made[-1] += "\n"
        made.append(f"{OWN_ADDRESS}\t{name}\n")
    return "".join(made)
