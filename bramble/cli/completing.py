"""What a shell completes: hosts of the inventory, found without what makes commands slow to start."""

from __future__ import annotations

import click


def hosts(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Return the names of hosts that begin so; an inventory that cannot be read has none."""
    # Importing YAML is slow.
    from bramble.documents.document import read
    from bramble.project import FLEET, folder

    named = read(folder() / FLEET).part("hosts").values
    return [name for name in map(str, named) if name.startswith(begun)]
