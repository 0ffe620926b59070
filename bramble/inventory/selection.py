"""Which hosts are meant by names, groups and patterns: one answer for all commands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from bramble.documents.problems import shown, unknown
from bramble.inventory.load import Inventory

ALL = "all"
"""The word for the whole fleet, which is neither a host's name nor a group's."""

_PATTERN = "*?["


class SelectionError(Exception):
    """Hosts that there are not; the text says what was found and what is allowed."""


@dataclass(frozen=True)
class Criteria:
    """What a command line says about hosts.

    `words` are names of hosts and groups, patterns, and `all`; `groups` add the hosts of groups. Of
    these, or of all where nothing is named, stay those of `limit` that have all `roles`, without those
    of `exclude`.
    """

    words: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    limit: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()

    @property
    def is_all(self) -> bool:
        """Whether nothing is said, so that the whole fleet is meant."""
        return not (self.words or self.groups or self.limit or self.exclude or self.roles)


@dataclass(frozen=True)
class Chosen:
    """The hosts that are meant, in the order of fleet.yml; none where the whole fleet is meant.

    `named` are those of them that were written out, in the order in which they were.
    """

    names: tuple[str, ...] = ()
    named: tuple[str, ...] = ()


def chosen(inventory: Inventory, criteria: Criteria, known_roles: Iterable[str] = ()) -> Chosen:
    """Return the hosts that are meant; raise SelectionError for what matches nothing."""
    if criteria.is_all:
        return Chosen()
    meant = _of_words(inventory, criteria.words) | _of_groups(inventory, criteria.groups)
    if not (criteria.words or criteria.groups):
        meant = set(inventory.hosts)
    if criteria.limit:
        meant &= _of_words(inventory, criteria.limit)
    meant -= _of_words(inventory, criteria.exclude)
    meant &= _with_roles(inventory, criteria.roles, known_roles)
    names = tuple(name for name in inventory.hosts if name in meant)
    if not names:
        raise SelectionError(
            "no host is left of those that are named; take out a --limit, --role or --exclude"
        )
    return Chosen(names, tuple(dict.fromkeys(word for word in criteria.words if word in names)))


def is_pattern(word: str) -> bool:
    """Tell whether a word stands for every name that it matches, as in a shell."""
    return any(letter in word for letter in _PATTERN)


def _of_words(inventory: Inventory, words: Iterable[str]) -> set[str]:
    return {name for word in words for name in _of_word(inventory, word)}


def _of_word(inventory: Inventory, word: str) -> Iterable[str]:
    """Return the hosts of one word; a host and a group never have the same name."""
    if word in inventory.hosts:
        return (word,)
    if word == ALL:
        return inventory.hosts
    if word in inventory.groups:
        return _of_groups(inventory, (word,))
    if is_pattern(word):
        return _matching(inventory, word)
    names = [*inventory.hosts, *inventory.groups]
    raise SelectionError(
        f"no host or group '{word}' in {_file(inventory)}; {unknown(word, names)} "
        "(hosts, groups, patterns such as 'pi4-*', or all)"
    )


def _matching(inventory: Inventory, pattern: str) -> Iterable[str]:
    found = [name for name in inventory.hosts if fnmatchcase(name, pattern)]
    if not found:
        names = ", ".join(inventory.hosts)
        raise SelectionError(f"no host of {_file(inventory)} matches '{pattern}'; hosts: {names}")
    return found


def _of_groups(inventory: Inventory, groups: Iterable[str]) -> set[str]:
    for name in groups:
        if name not in inventory.groups:
            raise SelectionError(
                f"no group '{name}' in {_file(inventory)}; {unknown(name, inventory.groups)}"
            )
        if not inventory.groups[name]:
            raise SelectionError(f"no host of {_file(inventory)} is in the group '{name}'")
    return {host for name in groups for host in inventory.groups[name]}


def _with_roles(inventory: Inventory, roles: Sequence[str], known: Iterable[str]) -> set[str]:
    """Return the hosts that get all of these roles."""
    names = tuple(known)
    for role in roles:
        if role not in names:
            raise SelectionError(f"no role '{role}'; {unknown(role, names)}")
    wanted = set(roles)
    return {name for name, host in inventory.hosts.items() if wanted <= host.settings.keys()}


def _file(inventory: Inventory) -> str:
    return shown(inventory.folder / "fleet.yml")
