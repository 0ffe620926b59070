"""Loads a fleet: every problem of every host at once, or typed settings for each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bramble.documents.document import Document
from bramble.documents.problems import MOST_PROBLEMS, InventoryError, Keys, Problem, dotted, shown
from bramble.documents.validation import Fault, unknown_section, validate
from bramble.inventory import choice
from bramble.inventory.choice import Sections
from bramble.inventory.consistency import inconsistencies
from bramble.inventory.files import Files, read_files
from bramble.inventory.layers import Source, merge, without_nulls
from bramble.prepared import Amiss, Prepared, prepared_sections
from bramble.project import folder
from bramble.settings import PORT, NodeSettings, Section, SshSettings

Prepare = Callable[[Path, Iterable[Mapping[str, Section]]], Prepared]


@dataclass(frozen=True)
class Host:
    """A host of the fleet with its settings, typed and as plain data, and where each is set.

    `prepared` is what was read beside them, one for all hosts.
    """

    name: str
    groups: tuple[str, ...]
    settings: Mapping[str, Section]
    values: Mapping[str, Any]
    sources: Mapping[Keys, Source]
    prepared: Prepared


@dataclass(frozen=True)
class Inventory:
    """The hosts in the order of fleet.yml, and the hosts of each group."""

    folder: Path
    hosts: Mapping[str, Host]
    groups: Mapping[str, tuple[str, ...]]


Merged = tuple[dict[str, Any], dict[Keys, Source]]
"""A host's settings as plain data, and where each is set."""


def load(
    folder: Path,
    sections: Sections,
    prepare: Prepare,
    instead: Mapping[Path, str] = MappingProxyType({}),
) -> Inventory:
    """Read, merge and validate an inventory; raise InventoryError with all of its problems.

    `prepare` reads what lies beside the settings, once for all hosts. `instead` are texts that files
    are to have, so that an edit is judged before it is written.
    """
    files = read_files(folder, instead)
    problems = list(islice(inconsistencies(files, tuple(sections)), MOST_PROBLEMS + 1))
    _end_if_many(problems)
    bad: set[tuple[int, str]] = set()
    for owner, document in files.parts():
        found = _problems_inside(owner, document, sections, folder)
        for section, problem in islice(found, MOST_PROBLEMS + 1):
            problems.append(problem)
            bad.add((id(document), section))
        _end_if_many(problems)
    settings: dict[str, dict[str, Section]] = {}
    merged = {}
    for name in files.hosts:
        documents = [layer.document for layer in files.layers(name)]
        good = {s: sections[s] for s in sections if not any((id(d), s) in bad for d in documents)}
        settings[name], merged[name], wrong = _host(files, name, good, sections)
        problems += wrong
        _end_if_many(problems)
    prepared = replace(prepare(folder, settings.values()), hosts=settings)
    problems += prepared.problems
    for name, (_, sources) in merged.items():
        wrong_beside = faults_beside(name, settings[name], prepared)
        problems += [_at_source(files, name, sources, fault) for fault in wrong_beside]
    hosts = {
        name: Host(name, files.groups_of(name), settings[name], *merged[name], prepared)
        for name in files.hosts
    }
    problems += _shared_addresses(files, hosts)
    if problems:
        raise InventoryError(problems)
    groups = {name: tuple(h for h in hosts if name in hosts[h].groups) for name in files.groups}
    return Inventory(folder, hosts, groups)


def _end_if_many(problems: list[Problem]) -> None:
    if len(problems) > MOST_PROBLEMS:
        raise InventoryError(problems)


def from_data(
    name: str, data: Mapping[str, Any], sections: Sections, inventory: Path | None = None
) -> dict[str, Section]:
    """Make a host's typed settings again of the plain values that its `Host.values` holds."""
    place = inventory or folder()
    settings: dict[str, Section] = {}
    messages = [
        f"{section}: {unknown_section(section, sections)}"
        for section in data.keys() - sections.keys()
    ]
    for section, model in choice.chosen(sections, data).items():
        values = data.get(section, {})
        typed, faults = validate(section, model, values, host=name, folder=place)
        messages += [fault.message for fault in faults]
        if typed is not None:
            settings[section] = typed
    if messages:
        raise InventoryError(Problem(f"data of {name}", None, message) for message in messages)
    return settings


def faults_beside(
    name: str, settings: Mapping[str, Section], prepared: Prepared
) -> Iterator[Fault]:
    """Find what is wrong with a host's settings by what was read beside them."""
    for section, typed in prepared_sections(settings).items():
        for found in typed.faults(settings, name, prepared):
            if isinstance(found, Amiss):
                yield Fault((section, *found.keys), f"{section}.{found}", whole=True)
            else:
                yield Fault((section,), f"{section}: {found}", whole=True)


def _problems_inside(
    owner: str, document: Document, sections: Sections, folder: Path
) -> Iterator[tuple[str, Problem]]:
    """Find what is wrong with the values of one layer, independently of the others."""
    prefix = f"{owner}: " if owner else ""
    for section, values in document.values.items():
        if section not in sections:
            advice = unknown_section(section, sections)
            if section == "groups":
                advice = "not here; groups are listed at the host in fleet.yml"
            yield section, document.problem((section,), f"{prefix}{section}: {advice}")
            continue
        said = {} if values is None else values
        said = without_nulls(said) if isinstance(said, dict) else said
        _, faults = validate(section, sections[section], said, host="host", folder=folder)
        for fault in faults:
            if not fault.whole:
                yield section, document.problem(fault.keys, prefix + fault.message)


def _host(
    files: Files, name: str, good: Sections, all_sections: Sections
) -> tuple[dict[str, Section], Merged, list[Problem]]:
    """Merge a host's layers and validate what they make together, where each is good by itself."""
    values, sources = merge(files.layers(name))
    settings: dict[str, Section] = {}
    problems = [
        _at_source(files, name, sources, fault) for fault in choice.faults(all_sections, values)
    ]
    for section, model in choice.chosen(good, values).items():
        said = values.get(section, {})
        typed, faults = validate(section, model, said, host=name, folder=files.folder)
        problems += [_at_source(files, name, sources, fault) for fault in faults]
        if typed is not None:
            settings[section] = typed
            if section in values:
                values[section] = _with_paths(said, typed)
    lacking = _missing_files(settings)
    problems += [_at_source(files, name, sources, fault) for fault in lacking]
    return settings, (values, sources), problems


def _missing_files(settings: Mapping[str, Section]) -> Iterator[Fault]:
    """Find files that a deploy is to send and that this computer does not have.

    A virtual Pi's own are fetched when it is started.
    """
    node = settings.get("node")
    if isinstance(node, NodeSettings) and node.virtual:
        return
    for name, section in settings.items():
        for keys, path in section.sent_files():
            if not path.is_file():
                where = dotted((name, *keys))
                advice = "write where it is, or take it out"
                message = f"{where}: there is no file {path} on this computer; {advice}"
                yield Fault((name, *keys), message)


def _at_source(files: Files, host: str, sources: Mapping[Keys, Source], fault: Fault) -> Problem:
    """Place a problem of merged settings: where one layer alone causes it, else at the host."""
    there = [source for way, source in sources.items() if way[: len(fault.keys)] == fault.keys]
    if there and len({source.layer for source in there}) == 1:
        source = there[-1]
        prefix = f"{host}: " if source.layer == "host" else ""
        return Problem(shown(source.file), source.line, prefix + fault.message)
    return files.fleet.problem(("hosts", host), f"{host}: {fault.message}")


def _shared_addresses(files: Files, hosts: Mapping[str, Host]) -> Iterator[Problem]:
    """Find hosts that are one machine by two names: they would be set up at once, twice."""
    first: dict[tuple[str, int], str] = {}
    for name, host in hosts.items():
        ssh = host.settings.get("ssh")
        if not isinstance(ssh, SshSettings):
            continue
        port = ssh.port or PORT
        other = first.setdefault((ssh.address.casefold(), port), name)
        if other != name:
            message = f"{name}: {ssh.address} port {port} is the address of {other} as well"
            yield files.fleet.problem(("hosts", name), message)


def _with_paths(said: Any, typed: Any) -> Any:
    """Replace the paths in the files with their resolved ones."""
    if isinstance(typed, Path):
        return str(typed)
    if isinstance(said, dict) and isinstance(typed, Section | dict):
        inner = typed if isinstance(typed, dict) else vars(typed)
        return {key: _with_paths(value, inner.get(key)) for key, value in said.items()}
    if isinstance(said, list) and isinstance(typed, list | tuple):
        return [_with_paths(value, inner) for value, inner in zip(said, typed, strict=True)]
    return said
