"""What a model takes, known before it is fetched: its header, from the address that nodes will ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from threading import Lock
from typing import Any

from bramble import catalogue
from bramble.fit.geometry import geometry
from bramble.fit.kept import Kept, kept
from bramble.fit.source import SourceError, header, printable
from bramble.gguf import GgufError
from bramble.settings import Section
from bramble.snapshot import Snapshot

_turns: dict[str, Lock] = {}


def with_dimensions(
    settings: Mapping[str, Section], snapshot: Snapshot, say: Callable[[str], object]
) -> dict[str, Section]:
    """A host's settings with its model's dimensions, where neither lock nor file here tells them.

    Where the address cannot be read from here the node may still fetch from it, so that is said and
    no reason to stop.
    """
    found = dict(settings)
    if "model" not in found:
        return found
    model: Any = next(role for role in catalogue.roles() if role.name == "model")
    known = model.plan.ahead(found["model"], snapshot)
    if isinstance(known, str):
        # Hosts of a run come here at once.
        with _turns.setdefault(known, Lock()):
            known = _of_address(known)
    if isinstance(known, str):
        say(f"whether the model fits is not known before it is fetched: {known}")
    elif known is not None:
        asked: Any = found["model"]
        found["model"] = asked.known(known)
    return found


@lru_cache
def _of_address(url: str) -> Kept | str:
    """What the header at an address says, or why it could not be read; once for all hosts of a run."""
    try:
        return kept(geometry(header(url)))
    except (GgufError, SourceError) as error:
        return printable(str(error))
