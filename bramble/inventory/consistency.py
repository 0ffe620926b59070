"""How the files of an inventory hang together: names, groups, and nothing said twice."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from bramble.documents.document import Document
from bramble.documents.problems import Problem, dotted, found, looks_like_a_key, shown, unknown
from bramble.inventory.files import Files
from bramble.inventory.layers import leaves

# RFC 1123 labels. Lower case only: names that differ in case alone are one name on a network.
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")
_GROUP = re.compile(r"(?!all$)[a-z0-9][a-z0-9_-]*")
HOST_NAME = "lower-case letters and digits, with '-' in between, such as pi5-a"
_RESERVED = ("all", "fleet", "inventory")
"""Names that mean all hosts, here or to pyinfra, which makes a group of each file and list."""
_GROUP_NAME = "lower-case letters, digits, '-' and '_', such as pi5, but not 'all'"


def is_host_name(name: str) -> bool:
    """Tell whether a host may have this name."""
    return _HOST.fullmatch(name) is not None


def inconsistencies(files: Files, sections: tuple[str, ...]) -> Iterator[Problem]:
    """Find what is wrong with the files apart from the values of settings."""
    for document in (files.fleet, *files.groups.values(), *files.hosts_apart.values()):
        yield from document.problems
    yield from _endings(files)
    yield from _top_level(files.fleet, sections)
    yield from _hosts(files)
    yield from _groups(files)
    # A fleet.yml that is no YAML names no hosts: hosts/ would be blamed for it.
    if not files.fleet.problems:
        yield from _apart(files)
    yield from _said_twice(files)
    yield from _secrets(files)


def _secrets(files: Files) -> Iterator[Problem]:
    """Find what looks like a key: an inventory is kept in git, and its values are shown."""
    for document in (files.fleet, *files.groups.values(), *files.hosts_apart.values()):
        for keys, value in _texts(document.values):
            if looks_like_a_key(value):
                message = (
                    f"{dotted(keys)}: found what looks like a key (not shown); an inventory has none. "
                    "Take it out, have it revoked where it is from, and see docs/explanation/security.md"
                )
                yield document.problem(keys, message)


def _texts(value: Any, keys: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Yield each text in a value, with the path to it."""
    if isinstance(value, str):
        yield keys, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, (*keys, key))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _texts(inner, (*keys, at))


def _endings(files: Files) -> Iterator[Problem]:
    for name in ("groups", "hosts"):
        for file in sorted((files.folder / name).glob("*.yaml")):
            yield Problem(shown(file), None, f"not read; name it {file.stem}.yml")


def _top_level(fleet: Document, sections: tuple[str, ...]) -> Iterator[Problem]:
    for key in fleet.values.keys() - {"settings", "hosts"}:
        advice = unknown(key, ("settings", "hosts"))
        if key in sections:
            advice = "move it under settings"
        yield fleet.problem((key,), f"{key}: unknown at the top of fleet.yml; {advice}")
    for key in ("settings", "hosts"):
        if (value := fleet.values.get(key)) is not None and not isinstance(value, dict):
            message = f"{key}: {found((key,), value)}, allowed: a mapping"
            yield fleet.problem((key,), message)


def _hosts(files: Files) -> Iterator[Problem]:
    hosts = files.fleet.values.get("hosts")
    if not hosts and not files.fleet.problems and (hosts is None or isinstance(hosts, dict)):
        yield files.fleet.problem(("hosts",), "no hosts; add one below `hosts:`, such as `pi5-a:`")
    meant = _of_groups(files)
    for name, entry in hosts.items() if isinstance(hosts, dict) else ():
        keys = ("hosts", name)
        if not is_host_name(name):
            message = f"hosts: found the host name {name!r}, allowed: {HOST_NAME}"
            yield files.fleet.problem(keys, message)
        if meant[name] - {name}:
            whose = "of a group too" if name in files.groups else "for all hosts"
            message = (
                f"hosts: the name '{name}' is {whose}, so whom it means is not clear; rename it"
            )
            yield files.fleet.problem(keys, message)
        if entry is not None and not isinstance(entry, dict):
            message = f"{name}: {found(keys, entry)}, allowed: nothing, or a mapping of settings"
            yield files.fleet.problem(keys, message)


def _of_groups(files: Files) -> defaultdict[Any, set[str]]:
    """Return the hosts that a group's name means, which pyinfra's --limit takes before a host's."""
    meant: defaultdict[Any, set[str]] = defaultdict(set)
    for host in files.hosts:
        for group in files.groups_of(host):
            meant[group].add(host)
    return meant | {name: {*files.hosts} for name in _RESERVED}


def _groups(files: Files) -> Iterator[Problem]:
    for name, document in files.groups.items():
        if not _GROUP.fullmatch(name):
            message = f"found the group name {name!r}, allowed: {_GROUP_NAME}"
            yield Problem(shown(document.file), None, message)
    for host in files.hosts:
        listed = files.fleet.part("hosts", host).values.get("groups")
        keys = ("hosts", host, "groups")
        if listed is None:
            continue
        if not isinstance(listed, list):
            message = f"{host}: groups: {found((), listed)}, allowed: a list, such as [pi5]"
            yield files.fleet.problem(keys, message)
            continue
        for at, name in enumerate(listed):
            if message := _wrong_group(files, name, listed[:at]):
                yield files.fleet.problem((*keys, at), f"{host}: groups: {message}")


def _wrong_group(files: Files, name: Any, before: list[Any]) -> str:
    if not isinstance(name, str):
        return f"{found((), name)}, allowed: the name of a group"
    if name in before:
        return f"'{name}' is there twice"
    if name in files.groups:
        return ""
    return f"nothing defines '{name}' (no groups/{name}.yml); {unknown(name, files.groups)}"


def _apart(files: Files) -> Iterator[Problem]:
    for name, document in files.hosts_apart.items():
        if name not in files.hosts:
            message = f"fleet.yml has no host '{name}'; {unknown(name, files.hosts)}"
            yield Problem(shown(document.file), None, message)


def _said_twice(files: Files) -> Iterator[Problem]:
    """Find values that fleet.yml and hosts/ both set: they are the same layer, none can win."""
    for name, apart in files.hosts_apart.items():
        entry = files.hosts.get(name, Document(apart.file))
        there = set(leaves(entry.values))
        for keys in leaves(apart.values):
            rival = next((other for other in there if _overlap(keys, other)), None)
            if rival is not None:
                place = f"{shown(entry.file)}:{entry.line(rival)}"
                message = f"{name}: {dotted(keys)}: also set in {place}; keep one of the two"
                yield apart.problem(keys, message)


def _overlap(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    size = min(len(one), len(other))
    return size > 1 and one[:size] == other[:size]
