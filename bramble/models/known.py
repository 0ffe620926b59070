"""Dimensions that come with bramble: of the files of models.yml, for where no hub can be reached."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from bramble.documents.document import read
from bramble.models.catalogue import Place
from bramble.models.dims import Dims

FILE = Path(__file__).with_name("dimensions.yml")
"""Written by `python -m tests.shapes.shipped_dimensions`."""


def dims_of_place(place: Place) -> Dims | None:
    """Return the dimensions of a file of a hub, None where none come with bramble."""
    said = _values().get(f"{place.repo}/{place.file}")
    return None if said is None else Dims.model_validate(said)


@lru_cache(maxsize=1)
def _values() -> dict[str, object]:
    values: dict[str, object] = read(FILE).part("models").values
    return values
