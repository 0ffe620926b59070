"""/etc/hosts, edited so that a node's own name resolves, as Debian does it: on 127.0.1.1.

A line gives an address, its canonical name, and aliases (hosts(5)). The canonical one may have a domain:
`127.0.1.1 node.lan node` is what hostname(1) recommends and what cloud-init writes, so that
`hostname --fqdn` tells the domain. Such a line is correct, and is left as it is.
"""

from __future__ import annotations

OWN_ADDRESS = "127.0.1.1"


def names(line: str) -> tuple[str, ...]:
    """Return a line's address and its names; nothing for a comment."""
    return tuple(line.partition("#")[0].split())


def resolves(text: str, name: str) -> bool:
    """Tell whether the name is on a loopback address, and comes first on 127.0.1.1."""
    lines = [names(line) for line in text.splitlines()]
    own = [line for line in lines if line[:1] == (OWN_ADDRESS,)]
    if own:
        return any(_is_named(line, name) for line in own)
    return any(line[0].startswith("127.") and name in line[1:] for line in lines if line)


def _is_named(line: tuple[str, ...], name: str) -> bool:
    """Tell whether a line is this name's: it comes first, alone or after its name with a domain."""
    first = line[1] if len(line) > 1 else ""
    return first == name or (first.startswith(f"{name}.") and name in line[2:])


def edited(text: str, name: str) -> str:
    """Set the name of 127.0.1.1, and leave all other lines."""
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
    """Return the line's names with the new one, in the domain of the old one."""
    domain = line[1].partition(".")[2] if len(line) > 1 else ""
    return f"{name}.{domain} {name}" if domain else name
