"""A model as a person names it: a file, an address, or a name of the inventory."""

from __future__ import annotations

import re
from pathlib import Path

from bramble.documents.problems import unknown
from bramble.models import catalogue, lock, source
from bramble.models.geometry import Geometry, geometry
from bramble.models.hub import Hub, path_of

_NAME = re.compile(rf"^{catalogue.NAME}(:{catalogue.QUANT})?$")


def dimensions(model: str, folder: Path, hub: Hub) -> Geometry:
    """Return the model's dimensions, from the lock where it has them, else from its header."""
    if re.match(r"https?://", model, re.IGNORECASE):
        return geometry(source.header(model))
    if is_name(model):
        return _of_inventory(model, folder, hub)
    return geometry(source.header(model))


def is_name(model: str) -> bool:
    """Return whether it is a name of the inventory, and neither a file nor an address."""
    return bool(_NAME.fullmatch(model)) and not model.endswith(".gguf") and not Path(model).exists()


def _of_inventory(name: str, folder: Path, hub: Hub) -> Geometry:
    locked = lock.load(folder)
    known = catalogue.places(catalogue.load(folder))
    if name in locked:
        kept = locked[name].fit
        if kept is not None:
            return kept.geometry
        return geometry(source.header(locked[name].url(hub.endpoint), hub.auth))
    if name in known:
        place = known[name]
        return geometry(source.header(f"{hub.endpoint}{path_of(place)}", hub.auth))
    quants = [full for full in {**known, **locked} if full.partition(":")[0] == name]
    if quants:
        raise source.SourceError(f"Which quant of {name}? There are: {', '.join(sorted(quants))}.")
    raise source.SourceError(f"{name} is no file; {unknown(name, [*known, *locked])}")
