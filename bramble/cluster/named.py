"""The model of a plan as a person names it: a published one, a file, an address, or of the inventory."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from bramble.cluster import shapes
from bramble.cluster.shapes import PUBLISHED
from bramble.cluster.ways import Planned
from bramble.fit import named
from bramble.models import source
from bramble.models.geometry import geometry
from bramble.models.hub import Hub


def planned(model: str, folder: Path, hub: Hub) -> Planned:
    """Return the model's dimensions; raise what reading them raises, with the published names."""
    if model.lower() in PUBLISHED:
        return published(model.lower())
    if re.match(r"https?://", model, re.IGNORECASE) or not named.is_name(model):
        header = source.header(model)
        read = geometry(header)
        parts = shapes.parts_of_header(header, read)
        return Planned(model, read, parts, shapes.of_header(header))
    try:
        found_there = named.dimensions(model, folder, hub)
    except source.SourceUnreachable:
        raise
    except source.SourceError as error:
        raise source.SourceError(_unknown(model, str(error))) from error
    read = found_there.geometry
    parts = shapes.parts_about(read)
    notes = (*found_there.notes, f"parts of the file: {parts.about}")
    return Planned(model, read, parts, shapes.matching(read), notes)


def published(name: str) -> Planned:
    """Return a published model, whose GGUF file is counted in Q4_0."""
    shape = PUBLISHED[name]
    read, parts = shapes.as_q4(shape)
    return Planned(name, read, parts, shape, (f"{name}: {parts.about}",))


def _unknown(model: str, why: str) -> str:
    """Say what else may be meant by a name that the inventory has not."""
    near = difflib.get_close_matches(model, PUBLISHED, n=3, cutoff=0.6)
    if near:
        return f"{why} Published models with such a name: {', '.join(near)}"
    if "known:" not in why:
        return why
    return (
        f"{model} is no file, no name of the inventory (`bramble model list` prints those) and no "
        f"published model; published are: {', '.join(PUBLISHED)}"
    )
