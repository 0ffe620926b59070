"""The one file: sections of lines that a person reads, and that a program takes apart again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bramble.share.asked import COMMANDS, FILES
from bramble.share.look import Look, Said
from bramble.share.placeholders import Placeholders
from bramble.share.runs import Runs

HEAD = "# bramble report --share, form 1"
_ABOUT = """\
# Read this file before you send it, and take out what you do not want to send; nothing was sent.
# Names, addresses, numbers of devices and what looks like a secret are replaced: host-1 is one host
# throughout. Each section begins with ==; its lines are indented.
"""
_INDENT = "    "
_SECTION = re.compile(
    r"^== (?P<host>host-\d+) (?P<kind>command|file) (?P<name>.+?)( \(exit (?P<code>-?\d+)\))?$"
)


@dataclass(frozen=True)
class Told:
    """A host with what it said, what its kept runs tell, and its kept benchmarks."""

    label: str
    look: Look
    runs: Runs = field(default_factory=Runs)
    benches: tuple[str, ...] = ()


class NameLeft(Exception):
    """A text that would have a name in it; nothing may be written."""


def text(version: str, hosts: Sequence[Told], names: Placeholders) -> str:
    """Return the file; raise NameLeft where a known name would be in it."""
    for host in hosts:
        for content in _contents(host):
            names.learn(content)
    parts = [f"{HEAD}\n{_ABOUT}# bramble {version}\n"]
    for host in hosts:
        for title, content in sections(host):
            clean = names.replaced(content)
            if left := names.survivors(clean):
                raise NameLeft(f"the section '{title}' would have {len(left)} names in it")
            lines = "".join(f"{_INDENT}{line}\n" for line in clean.rstrip("\n").split("\n"))
            parts.append(f"\n== {title}\n{lines}")
    return "".join(parts)


def recordings(said: str) -> Mapping[tuple[str, str], tuple[str, int]]:
    """Return what commands said, and with which code, by host and command."""
    found: dict[tuple[str, str], tuple[str, int]] = {}
    lines: list[str] | None = None
    for line in said.splitlines():
        title = _SECTION.match(line)
        if line.startswith("== "):
            lines = None
        if title and title["kind"] == "command" and title["code"] is not None:
            lines = []
            found[title["host"], title["name"]] = ("", int(title["code"]))
            key = (title["host"], title["name"])
        elif lines is not None and line.startswith(_INDENT):
            lines.append(line.removeprefix(_INDENT))
            found[key] = ("".join(f"{one}\n" for one in lines), found[key][1])
    return found


def sections(host: Told) -> Iterator[tuple[str, str]]:
    """Yield the title of each section, and its text as it is."""
    look = host.look
    if look.problem:
        yield f"{host.label} was not looked at", look.problem
    yield from _said(host.label, "command", COMMANDS, look.commands)
    yield from _said(host.label, "file", FILES, look.files)
    if host.runs.steps:
        rows = (f"{step.seconds:>9.1f} s  {step.state:6}  {step.name}" for step in host.runs.steps)
        yield f"{host.label} steps of kept runs, with their seconds", "\n".join(rows)
    if host.runs.checks:
        rows = (f"{status:8} {name}" for name, status in sorted(host.runs.checks.items()))
        yield f"{host.label} checks, the last of each", "\n".join(rows)
    if host.runs.figures:
        rows = (f"{name} {value}" for name, value in sorted(host.runs.figures.items()))
        yield f"{host.label} figures of the last run", "\n".join(rows)
    for number, bench in enumerate(host.benches, 1):
        yield f"{host.label} benchmark {number}, the newest first", bench


def _said(
    label: str, kind: str, known: Iterable[str], found: Mapping[str, Said]
) -> Iterator[tuple[str, str]]:
    """Yield what was asked for; what a node says besides is left out."""
    for name in known:
        one = found.get(name)
        if one is None:
            continue
        code = f" (exit {one.code})" if one.code is not None else ""
        yield f"{label} {kind} {name}{code}", one.text if not one.why else f"(none: {one.why})"


def _contents(host: Told) -> Iterator[str]:
    yield from (content for _, content in sections(host))
