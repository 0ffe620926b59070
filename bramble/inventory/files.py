"""The files of an inventory folder as they are, read but not merged or judged yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bramble.documents.document import Document, parsed, read
from bramble.documents.problems import InventoryError, Problem, shown
from bramble.inventory.layers import Layer
from bramble.project import FLEET


@dataclass(frozen=True)
class Files:
    """fleet.yml, groups/*.yml and hosts/*.yml by the names in them."""

    folder: Path
    fleet: Document
    groups: dict[str, Document]
    hosts_apart: dict[str, Document]

    @cached_property
    def everyone(self) -> Document:
        """What fleet.yml sets for every host."""
        return self.fleet.part("settings")

    @cached_property
    def hosts(self) -> dict[str, Document]:
        """What fleet.yml sets for each host, without the list of its groups."""
        return {name: _settings_of(self.fleet, name) for name in self.fleet.part("hosts").values}

    def groups_of(self, host: str) -> tuple[str, ...]:
        """Return the groups of a host that exist, in the order in which it lists them."""
        listed = self.fleet.part("hosts", host).values.get("groups")
        names = listed if isinstance(listed, list) else []
        return tuple(dict.fromkeys(n for n in names if isinstance(n, str) and n in self.groups))

    def layers(self, host: str) -> list[Layer]:
        """Return the layers of a host, the one with the lowest precedence first."""
        layers = [Layer("all", self.everyone)]
        layers += [Layer(f"group {name}", self.groups[name]) for name in self.groups_of(host)]
        layers += [Layer("host", self.hosts[host])]
        if host in self.hosts_apart:
            layers += [Layer("host", self.hosts_apart[host])]
        return layers

    def parts(self) -> list[tuple[str, Document]]:
        """Yield every part of every file that holds settings, once, with its host if it is for one."""
        shared = [self.everyone, *self.groups.values()]
        return [
            *(("", document) for document in shared),
            *self.hosts.items(),
            *self.hosts_apart.items(),
        ]

    def set_for(self, section: str, key: str) -> tuple[Any, ...]:
        """Return what the files set for one setting, valid or not, for all hosts and for each."""
        return tuple(part.part(section).values.get(key) for _, part in self.parts())


def read_files(folder: Path, instead: Mapping[Path, str] = MappingProxyType({})) -> Files:
    """Read what the folder holds; a missing fleet.yml is the only thing to end here.

    `instead` are texts that files of it are to have.
    """
    fleet = folder / FLEET
    if not fleet.is_file():
        advice = (
            "not found; `bramble init` makes a project, BRAMBLE_INVENTORY=DIR names another folder"
        )
        raise InventoryError([Problem(shown(fleet), None, advice)])
    groups, hosts = _by_name(folder / "groups", instead), _by_name(folder / "hosts", instead)
    return Files(folder, _read(fleet, instead), groups, hosts)


def _read(file: Path, instead: Mapping[Path, str]) -> Document:
    return parsed(file, instead[file]) if file in instead else read(file)


def _settings_of(fleet: Document, host: str) -> Document:
    entry = fleet.part("hosts", host)
    settings = {key: value for key, value in entry.values.items() if key != "groups"}
    return replace(entry, values=settings)


def _by_name(folder: Path, instead: Mapping[Path, str]) -> dict[str, Document]:
    return {file.stem: _read(file, instead) for file in sorted(folder.glob("*.yml"))}
