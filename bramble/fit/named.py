"""A model as a person names it: a file, an address, or a name of the inventory, or nearly one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bramble.models import catalogue, known, lock, source
from bramble.models.catalogue import Place
from bramble.models.geometry import Geometry, geometry
from bramble.models.hub import Hub, path_of

_NAME = re.compile(rf"^{catalogue.NAME}(:{catalogue.QUANT})?$")
_MOST_MEANT = 3


@dataclass(frozen=True)
class Found:
    """The dimensions of what was meant, and notes on how it was found."""

    geometry: Geometry
    notes: tuple[str, ...] = ()


def dimensions(model: str, folder: Path, hub: Hub) -> Found:
    """Return the model's dimensions: from the lock, else from its header, else those that ship."""
    if re.match(r"https?://", model, re.IGNORECASE) or not is_name(model):
        return Found(geometry(source.header(model)))
    locked, places = lock.load(folder), catalogue.places(catalogue.load(folder))
    name = meant(model, [*places, *locked])
    notes = (f"{model}: taken for {name}",) if name != model else ()
    if name in locked:
        if (kept := locked[name].fit) is not None:
            return Found(kept.geometry, notes)
        url = locked[name].url(hub.endpoint)
        place = Place(locked[name].repo, locked[name].revision, locked[name].file)
    else:
        place = places[name]
        url = f"{hub.endpoint}{path_of(place)}"
    found = _of_hub(url, place, hub)
    return Found(found.geometry, (*notes, *found.notes))


def _of_hub(url: str, place: Place, hub: Hub) -> Found:
    """Return the dimensions in the header on a hub; where it does not answer, those that ship."""
    try:
        return Found(geometry(source.header(url, hub.auth)))
    except source.SourceUnreachable as error:
        dims = known.dims_of_place(place)
        if dims is None:
            raise
        note = (
            f"{error} Instead: the dimensions that come with bramble, which are those of the published "
            "model in llama-quantize's mixture; the file's own may differ"
        )
        return Found(dims.geometry, (note,))


def is_name(model: str) -> bool:
    """Return whether it is a name of the inventory, and neither a file nor an address."""
    return bool(_NAME.fullmatch(model)) and not model.endswith(".gguf") and not Path(model).exists()


def meant(name: str, names: Iterable[str]) -> str:
    """Return the one MODEL:QUANT that a name stands for; raise SourceError for several, or none.

    A part of a model's name stands for it where no other has that part; so does a model without its
    quant, where it has but one.
    """
    all_names = sorted(set(names))
    model, _, quant = name.partition(":")
    for fits in (str.__eq__, str.startswith, str.__contains__):
        alike = [full for full in all_names if fits(full.partition(":")[0], model)]
        found = [full for full in alike if quant in ("", full.partition(":")[2])]
        if len(found) == 1:
            return found[0]
        if found:
            which = "quant" if len({full.partition(":")[0] for full in found}) == 1 else "model"
            raise source.SourceError(f"Which {which} of {name}? There are: {', '.join(found)}.")
        if alike:
            raise source.SourceError(f"{name} is no file; did you mean {_or(alike)}?")
    near = difflib.get_close_matches(name, all_names, n=_MOST_MEANT, cutoff=0.5)
    advice = f"did you mean {_or(near)}?" if near else f"known: {', '.join(all_names) or 'none'}"
    raise source.SourceError(f"{name} is no file; {advice}")


def _or(names: list[str]) -> str:
    return " or ".join(f"'{name}'" for name in names[:_MOST_MEANT])
