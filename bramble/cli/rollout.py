"""Hosts one group after the other: one first alone, and an end where too many failed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NoReturn

import click

from bramble.cli import completing, driver

CANARY = click.option(
    "--canary",
    metavar="HOST",
    shell_complete=completing.hosts,
    help="Host that goes first, alone; if it fails, no other begins.",
)
SERIAL = click.option(
    "--serial", type=click.IntRange(1, 64), metavar="N", help="Hosts at once; default: all of them."
)
MAX_FAIL = click.option(
    "--max-fail",
    default=0,
    show_default=True,
    type=click.IntRange(0, 1000),
    metavar="N",
    help="In groups: begin no further one once more than N hosts failed.",
)

Work = Callable[[Sequence[str]], Collection[str]]
"""Does something with hosts at once, and returns those that failed."""


def groups(names: Sequence[str], serial: int | None, *, first_alone: bool) -> list[Sequence[str]]:
    """Split hosts into groups of `serial`, or one for all, after the first one alone."""
    alone, rest = (names[:1], names[1:]) if first_alone else (names[:0], names)
    size = serial or max(len(rest), 1)
    parts = [alone, *(rest[at : at + size] for at in range(0, len(rest), size))]
    return [part for part in parts if part]


def chosen(names: Sequence[str], canary: str | None, serial: int | None) -> list[Sequence[str]]:
    """Return the groups that these hosts go in; one without names is the whole fleet at once."""
    if canary is None and serial is None:
        return [names]
    names = names or driver.present()
    if canary is not None and canary not in names:
        refuse_canary(canary)
    first = [canary] if canary else []
    ordered = [*first, *(name for name in names if name not in first)]
    return groups(ordered, serial, first_alone=bool(first))


def refuse_canary(canary: str) -> NoReturn:
    """End the command whose canary is not one of its hosts."""
    from bramble.cli.inventory import chosen_host, loaded_inventory, refuse

    chosen_host(loaded_inventory(), canary)
    refuse(f"the canary {canary} is not among the hosts, or not up; name it there too")


def in_turn(
    several: Sequence[Sequence[str]], work: Work, *, max_fail: int, first_alone: bool
) -> None:
    """Do the work for one group after the other, until more than `max_fail` hosts failed.

    Where the first host goes alone it must not fail at all.
    """
    failed = 0
    for number, hosts in enumerate(several):
        failed += len(work(hosts))
        if failed > max_fail or (failed and first_alone and number == 0):
            return
