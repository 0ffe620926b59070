"""Reads a model's dimensions for its lock entry from the first bytes of its file."""

from __future__ import annotations

from bramble.models import source
from bramble.models.dims import dims_of
from bramble.models.geometry import geometry
from bramble.models.gguf import GgufError
from bramble.models.hub import Hub
from bramble.models.lock import Locked
from bramble.models.projector import is_projector, projector


def measured(entry: Locked, hub: Hub) -> tuple[Locked, str]:
    """Return the entry with the model's dimensions; where they cannot be read, unchanged, with why."""
    if entry.projector or (entry.fit is not None and not entry.fit.stale):
        return entry, ""
    try:
        header = source.header(entry.url(hub.endpoint), hub.auth)
        if is_projector(header):
            return entry.model_copy(update={"projector": projector(header)}), ""
        found = dims_of(geometry(header))
    except (GgufError, source.SourceError, ValueError) as error:
        return entry, f"deploys cannot tell whether it fits, as its header is not read: {error}"
    return entry.model_copy(update={"fit": found}), ""
