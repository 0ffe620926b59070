"""The hosts of a command: HOST..., --group, --limit, --exclude and --role, the same everywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from bramble.cli import completing

if TYPE_CHECKING:
    from bramble.inventory.load import Inventory
    from bramble.inventory.selection import Chosen, Criteria

_LIMIT = click.option(
    "--limit",
    multiple=True,
    metavar="HOST",
    shell_complete=completing.hosts,
    help="Of these, only hosts of this one; repeatable.",
)
_EXCLUDE = click.option(
    "--exclude",
    multiple=True,
    metavar="HOST",
    shell_complete=completing.hosts,
    help="All but this one; repeatable.",
)
_GROUP = click.option("--group", multiple=True, metavar="NAME", help="A group's hosts; repeatable.")
_ROLE = click.option(
    "--role",
    "of_roles",
    multiple=True,
    metavar="NAME",
    help="Only hosts with this role; repeatable.",
)
_OPTIONS = (_GROUP, _LIMIT, _EXCLUDE, _ROLE)


def hosts(*, required: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command `hosts`: those that its command line means, as Chosen.

    With `required` it is no use without any; else none means the whole fleet.
    """

    def decorated(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def with_hosts(**said: Any) -> None:
            names = {"words": "hosts", "groups": "group", "roles": "of_roles"}
            names |= {"limit": "limit", "exclude": "exclude"}
            given = {field: said.pop(name) for field, name in names.items()}
            function(hosts=_resolved(given, required), **said)

        metavar = "HOST..." if required else "[HOST]..."
        found: Callable[..., None] = with_hosts
        for option in reversed(_OPTIONS):
            found = option(found)
        return click.argument("hosts", nargs=-1, metavar=metavar, shell_complete=completing.hosts)(
            found
        )

    return decorated


def _resolved(given: Mapping[str, tuple[str, ...]], required: bool) -> Chosen:
    """Return the hosts that are meant, or end the command with what is wrong."""
    from bramble.inventory.selection import ALL, Chosen, Criteria

    criteria = Criteria(**given)
    if required and not (criteria.words or criteria.groups):
        raise click.UsageError(
            f"Missing argument 'HOST...': name hosts, a group or a pattern; '{ALL}' is the whole fleet"
        )
    return Chosen() if criteria.is_all else _those(criteria)


def _those(criteria: Criteria) -> Chosen:
    from bramble.cli.inventory import loaded_inventory, refuse
    from bramble.inventory.selection import SelectionError, chosen
    from bramble.registry import roles

    inventory = loaded_inventory()
    try:
        found = chosen(inventory, criteria, [role.name for role in roles()])
    except SelectionError as error:
        refuse(str(error))
    return _present(inventory, found)


def _present(inventory: Inventory, found: Chosen) -> Chosen:
    """Leave out virtual Pis that are not up, unless they were written out."""
    from bramble.cli.inventory import refuse
    from bramble.inventory import presence
    from bramble.inventory.selection import Chosen

    absent = presence.absent({name: inventory.hosts[name] for name in found.names})
    there = tuple(name for name in found.names if name in found.named or name not in absent)
    if not there:
        refuse(presence.sentence(absent))
    return Chosen(there, found.named)
