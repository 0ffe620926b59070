"""The one look at a host as a fact of pyinfra's: `host.get_fact(Look)`."""

from __future__ import annotations

from collections.abc import Iterable

from pyinfra.api import FactBase
from pyinfra.context import ctx_host

from bramble import fleet, registry, remote
from bramble.plan import look_at
from bramble.pyinfra.connector import LookCommand
from bramble.snapshot import Snapshot, Unknown
from bramble.snapshot import read as read_snapshot


class Look(FactBase[Snapshot]):
    """What one look sees of all that the host's roles ask for: a `bramble.snapshot.Snapshot`.

    Each call takes a new one. Unlike bramble's own deploys it goes through the command line, for
    which it is compressed: the names of the files and units that are looked at show in sudo's log.
    A host that cannot be looked at is failed by pyinfra, and all of its Snapshot is Unknown.
    """

    def command(self) -> LookCommand:
        own = ctx_host.get()
        settings, prepared = fleet.of_data(own.name, own.data.bramble)
        query = look_at(own.name, settings, registry.roles_of(settings), prepared)
        return LookCommand(remote.command_line("probe", query))

    @staticmethod
    def default() -> Snapshot:
        return Snapshot(system=Unknown("the look could not be taken"))

    def process(self, output: Iterable[str]) -> Snapshot:
        try:
            return read_snapshot(remote.answer("\n".join(output)))
        except ValueError as error:
            return Snapshot(system=Unknown(f"its answer to the look cannot be read: {error}"))
