"""A model's dimensions before it is fetched: its header, from the address that nodes will use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from threading import Lock

from bramble.models import cache
from bramble.models.dims import Dims, dims_of
from bramble.models.geometry import geometry
from bramble.models.gguf import GgufError, Header
from bramble.models.source import SourceError, header
from bramble.outputs import ModelSettings
from bramble.prepared import Prepared
from bramble.sanitize import sentence
from bramble.settings import Section
from bramble.snapshot import Snapshot

_turns: dict[str, Lock] = {}


def with_header(
    host: str,
    settings: Mapping[str, Section],
    prepared: Prepared,
    snapshot: Snapshot,
    say: Callable[[str], object],
    by_node: Callable[[str], Header] | None = None,
) -> Prepared:
    """Add the dimensions of a host's model, where neither lock nor file here tells them.

    This computer reads the header from its own copy or the address, else the node does (`by_node`).
    Where neither can, `say` gets a sentence and the deploy continues: the fetch has more sources and
    more patience.
    """
    model = next((part for part in settings.values() if isinstance(part, ModelSettings)), None)
    if model is None:
        return prepared
    known, sha256 = model.ahead(host, prepared, snapshot), model.chosen(host, prepared).sha256
    if isinstance(known, str):
        file = cache.find(sha256)
        # The hosts of a run come here concurrently.
        with _turns.setdefault(known, Lock()):
            known = _from_here(str(file)) if file else _of_address(known, by_node)
    if isinstance(known, str):
        say(f"whether the model fits is not known before it is fetched: {known}")
    elif known is not None:
        return prepared.with_header(sha256, known)
    return prepared


def _of_address(url: str, by_node: Callable[[str], Header] | None) -> Dims | str:
    """Return the dimensions in the header at an address, or why it could not be read."""
    found = _from_here(url)
    if isinstance(found, Dims) or by_node is None:
        return found
    there = _said(by_node, url)
    return there if isinstance(there, Dims) else f"{found} {there}"


@lru_cache
def _from_here(url: str) -> Dims | str:
    """Return the same as read from this computer, once for all hosts of a run."""
    return _said(header, url)


def _said(read: Callable[[str], Header], url: str) -> Dims | str:
    try:
        return dims_of(geometry(read(url)))
    except (GgufError, SourceError) as error:
        return sentence(str(error))
