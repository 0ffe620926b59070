"""The models that a host of the inventory serves, as commands ask for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bramble.cli.inventory import refuse

if TYPE_CHECKING:
    from bramble.fit.memory import Request
    from bramble.fit.together import Models
    from bramble.inventory.load import Host
    from bramble.outputs import ModelFile


def files(host: Host) -> tuple[ModelFile, ...]:
    """Return the files of the models that a host serves, the first one first."""
    from bramble.outputs import ModelSettings

    several = [part for part in host.settings.values() if isinstance(part, ModelSettings)]
    return tuple(
        file
        for part in several
        for file in (part.chosen(host.name, host.prepared), *part.further(host.name, host.prepared))
    )


def _helping(host: Host) -> Iterator[ModelFile]:
    """Yield the files that help a host's model."""
    from bramble.outputs import ModelSettings

    for part in host.settings.values():
        if isinstance(part, ModelSettings):
            several = (part.drafting, part.seeing)
            yield from (one for find in several if (one := find(host.name, host.prepared)))


def names(host: Host) -> list[str]:
    """Return the names by which clients ask for a host's models, the first one first."""
    return [file.name for file in files(host)]


def request(host: Host) -> Request | None:
    """Return how a host serves its model, with what helps it; None where it serves none."""
    from bramble.outputs import ModelSettings

    request_with = getattr(host.settings.get("serving"), "request_with", None)
    models = (part for part in host.settings.values() if isinstance(part, ModelSettings))
    part = next(models, None)
    if request_with is None or part is None:
        return None
    draft = part.drafting(host.name, host.prepared)
    seeing = part.seeing(host.name, host.prepared)
    found: Request = request_with(draft and draft.fit, seeing and seeing.projector)
    return found


def measured(host: Host) -> Models:
    """Return the dimensions of a host's models, or end the command where some are not known."""
    from bramble.fit.together import Models

    found = files(host)
    if not found:
        refuse(f"{host.name} gets no model, so there is none to judge; name a MODEL")
    missing = [file.name for file in found if file.fit is None]
    missing += [one.name for one in _helping(host) if not (one.fit or one.projector)]
    if missing:
        refuse(
            f"what {', '.join(missing)} takes is not known: `bramble model lock` reads the headers of "
            "what models.yml names"
        )
    at_once = getattr(host.settings.get("serving"), "models_at_once", 1)
    geometries = {file.name: file.fit.geometry for file in found if file.fit}
    return Models(geometries, min(at_once, len(geometries)))
