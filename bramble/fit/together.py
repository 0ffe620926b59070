"""Whether several models fit a node of which some may be loaded at the same time.

Which of them those are is up to clients, so the largest are counted. Each has a llama-server of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bramble.fit.memory import Request
from bramble.fit.verdict import (
    NO_CAPACITY,
    WORDS,
    Fit,
    Room,
    Verdict,
    beyond,
    doubt_of,
    largest,
    parts,
    room_for,
    surely_mib,
    verdict_of,
)
from bramble.models.geometry import Geometry


@dataclass(frozen=True)
class Models:
    """Models by their names, of which `at_once` may be loaded at the same time."""

    models: Mapping[str, Geometry]
    at_once: int

    def totals(self, request: Request) -> dict[str, int]:
        """Return what each takes, in MiB."""
        return {name: sum(parts(model, request)) for name, model in self.models.items()}

    def counted(self, request: Request) -> tuple[str, ...]:
        """Name the largest, as many as may be loaded at once."""
        totals = self.totals(request)
        return tuple(sorted(totals, key=lambda name: -totals[name])[: self.at_once])

    def total(self, request: Request) -> int:
        """Return what the largest take together, in MiB."""
        return sum(sorted(self.totals(request).values())[-self.at_once :])


def fit_together(several: Models, room: Room, request: Request) -> Fit:
    """Decide whether as many of the models fit this node as may be loaded at once."""
    own = room_for(room, several.at_once)
    names, total = several.counted(request), several.total(request)
    models = [several.models[name] for name in names]
    verdict = _verdict(several, own, request)
    weights, kv, compute, cache = map(sum, zip(*(parts(m, request) for m in models), strict=True))
    doubts = {name: doubt_of(several.models[name], request) for name in names}
    longest = {name: beyond(model.ctx_train, request) for name, model in several.models.items()}
    found = Fit(
        verdict=verdict,
        sentence="",
        weights_mib=weights,
        kv_mib=kv,
        compute_mib=compute,
        cache_mib=cache,
        reserve_mib=own.reserve_mib,
        total_mib=total,
        available_mib=own.available_mib,
        max_ctx=_max_ctx(several, own, request),
        flags=(),
        doubt="; ".join(f"{name}: {said}" for name, said in doubts.items() if said),
        beyond="; ".join(f"{name}: {said}" for name, said in longest.items() if said),
    )
    return replace(found, sentence=_sentence(several, found, request))


def fewer(several: Models, room: Room, request: Request) -> int | None:
    """Return how many of the models may be loaded at once so that they fit; None where not even one."""
    for at_once in range(several.at_once - 1, 0, -1):
        less = Models(several.models, at_once)
        if fit_together(less, room, request).verdict in ("yes", "tight"):
            return at_once
    return None


def _verdict(several: Models, room: Room, request: Request) -> Verdict:
    models = [several.models[name] for name in several.counted(request)]
    surely = sorted(surely_mib(model, request) for model in several.models.values())
    if sum(surely[-several.at_once :]) > room.available_mib:
        return "no"
    found = verdict_of(models, room, request, several.total(request))
    return "unknown" if found == "no" else found


def _max_ctx(several: Models, room: Room, request: Request) -> int:
    def fits(ctx: int) -> bool:
        return several.total(replace(request, ctx=ctx)) <= room.available_mib

    return largest(min(model.ctx_train for model in several.models.values()), fits)


def _sentence(several: Models, found: Fit, request: Request) -> str:
    totals = several.totals(request)
    each = ", ".join(f"{name} {mib} MiB" for name, mib in totals.items())
    most = "at most " if found.doubt else ""
    count = f"the {several.at_once} largest take" if several.at_once > 1 else "the largest takes"
    words = [
        f"{WORDS[found.verdict]}: with a context of {request.ctx} tokens the models take {most}{each}; "
        f"{several.at_once} at once may be loaded, {count} {most}{found.total_mib} MiB, and the "
        f"node has {found.available_mib} MiB for that"
    ]
    words += [said[0].upper() + said[1:] for said in (found.doubt, found.beyond) if said]
    words += [NO_CAPACITY] if found.verdict == "no" else []
    return "".join(f"{sentence}. " for sentence in words).rstrip()
