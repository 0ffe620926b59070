"""/etc/hosts, edited so that a node's own name resolves, as Debian does it: on 127.0.1.1.

A line gives an address, its canonical name, and aliases (hosts(5)). The canonical one may have a domain:
`127.0.1.1 node.lan node` is what hostname(1) recommends and what cloud-init writes, so that
`hostname --fqdn` tells the domain. It is right, and it is kept.
"""

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
        return any(_is_named(line, name) for line in own)
    return any(line[0].startswith("127.") and name in line[1:] for line in lines if line)


def _is_named(line: tuple[str, ...], name: str) -> bool:
    """Whether a line is this name's: it comes first, or after itself with a domain."""
    first = line[1] if len(line) > 1 else ""
    return first == name or (first.startswith(f"{name}.") and name in line[2:])


def edited(text: str, name: str) -> str:
    """The text with the name on 127.0.1.1, in the place of the old one; all other lines stay."""
    if resolves(text, name):
        return text
    made, placed = [], False
    for line in text.splitlines(keepends=True):
        if names(line)[:1] == (OWN_ADDRESS,) and not placed:
            made.append(f"{OWN_ADDRESS}\t{_with_domain(names(line), name)}\n")
            placed = True
        else:
            made.append(line)
    if not placed:
        if made and not made[-1].endswith("\n"):
            made[-1] += "\n"
        made.append(f"{OWN_ADDRESS}\t{name}\n")
    return "".join(made)


def _with_domain(line: tuple[str, ...], name: str) -> str:
    """The names of the line: the domain that the old one had stays."""
    domain = line[1].partition(".")[2] if len(line) > 1 else ""
    return f"{name}.{domain} {name}" if domain else name
