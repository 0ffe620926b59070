"""Speculation: what comes next is guessed, by what was said before or by a small model, and checked.

The figures of memory are those of common/ngram-map.h, common/ngram-mod.h and common/speculative.cpp.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from bramble.settings import Section, option

SpeculationType = Literal[
    "none", "draft-simple", "ngram-simple", "ngram-map-k", "ngram-map-k4v", "ngram-mod"
]
BY_MODEL = "draft-simple"


@dataclass(frozen=True)
class Kind:
    """A type of the pinned build: the ends of its arguments, and its own defaults."""

    draft: tuple[str, int]
    match: tuple[str, int] | None = None
    fewest: tuple[str, int] | None = None
    hits: tuple[str, int] | None = None


def _table(name: str, hits: bool = False) -> Kind:
    name = f"ngram-{name}"
    return Kind(
        draft=(f"{name}-size-m", 48),
        match=(f"{name}-size-n", 12),
        hits=(f"{name}-min-hits", 1) if hits else None,
    )


KINDS: Mapping[str, Kind] = {
    BY_MODEL: Kind(draft=("draft-n-max", 3), fewest=("draft-n-min", 0)),
    "ngram-simple": _table("simple"),
    "ngram-map-k": _table("map-k"),
    "ngram-map-k4v": _table("map-k4v", hits=True),
    "ngram-mod": Kind(
        draft=("ngram-mod-n-max", 64),
        match=("ngram-mod-n-match", 24),
        fewest=("ngram-mod-n-min", 48),
    ),
}

# A table of 2^22 tokens for all conversations; one of 2^18 places for each, and an entry of 88 bytes for
# each passage that was found again, in a vector that has up to three times the room while it grows.
MOD_BYTES = 4 << 22
MAP_BYTES, MAP_ENTRY_BYTES = 4 << 18, 3 * 88


class Speculation(Section):
    """Guesses of what comes next: where a passage is repeated, or by the model `model.draft`."""

    type: SpeculationType = option(
        "none",
        help="How guesses are made: not at all, by the small model that model.draft names "
        "(draft-simple), or by what followed the last equal tokens (ngram-simple; ngram-map-k and k4v "
        "with a table) or any conversation's (ngram-mod).",
        example="ngram-map-k",
    )
    match_tokens: int | None = option(
        None,
        help="Tokens that must be equal before one is made; not set: 12, of ngram-mod 24.",
        unit="tokens",
        example=8,
        ge=1,
        le=1024,
    )
    draft_tokens: int | None = option(
        None,
        help="Tokens that are guessed at once; a wrong guess costs what computing them does. Not set: "
        "48, of ngram-mod 64, of draft-simple 3.",
        unit="tokens",
        example=16,
        ge=1,
        le=1024,
    )
    fewest_tokens: int | None = option(
        None,
        help="Of ngram-mod and draft-simple, fewer than these are no guess; not set: 48, or "
        "draft_tokens where that is less; of draft-simple 0.",
        unit="tokens",
        example=8,
        ge=0,
        le=1024,
    )
    min_hits: int | None = option(
        None,
        help="Of ngram-map-k4v, how often the same must have followed; not set: 1.",
        example=2,
        ge=1,
        le=1024,
    )

    @property
    def kind(self) -> Kind | None:
        """The type's arguments; None where nothing is guessed."""
        return KINDS.get(self.type)

    @property
    def drafted(self) -> int:
        """The tokens of a conversation that are computed at once beside the one that is sure."""
        return (self.draft_tokens or self.kind.draft[1]) if self.kind else 0

    @property
    def matched(self) -> int:
        """The tokens that must be equal."""
        known = self.kind.match if self.kind else None
        return (self.match_tokens or known[1]) if known else 0

    def arguments(self, draft: Iterable[str] = ()) -> Iterator[str]:
        """Yield llama-server's arguments, every value among them.

        Those in `draft` name the model that guesses; without them none does.
        """
        model = [*draft]
        if (kind := self.kind) is None or (self.type == BY_MODEL and not model):
            return
        yield f"--spec-type {self.type}"
        yield from model
        if kind.match:
            yield f"--spec-{kind.match[0]} {self.matched}"
        yield f"--spec-{kind.draft[0]} {self.drafted}"
        if kind.fewest:
            fewest = min(kind.fewest[1], self.drafted)
            given = self.fewest_tokens
            yield f"--spec-{kind.fewest[0]} {fewest if given is None else given}"
        if kind.hits:
            yield f"--spec-{kind.hits[0]} {self.min_hits or kind.hits[1]}"

    def table_bytes(self, cells: int, slots: int) -> int:
        """Return what the tables take, for conversations of so many tokens."""
        if self.type == "ngram-mod":
            return MOD_BYTES
        if self.type.startswith("ngram-map"):
            return slots * (MAP_BYTES + MAP_ENTRY_BYTES * cells)
        return 0

    def disagreements(self, task: str, slots: int, ubatch: int) -> Iterator[tuple[str, str]]:
        """Find what the type has no use for, or llama-server would not survive, each by its name."""
        yield from self._of_no_use()
        if self.kind is None:
            return
        if task != "chat":
            yield "type", f"it is for task chat, and the task is {task}: leave it out"
        most = ubatch // slots - 1
        if self.drafted > most:
            # It ends itself: "batch must be large enough to hold the sampled and draft tokens".
            yield (
                "draft_tokens",
                f"{slots} x ({self.drafted} + 1) tokens are more than serving.ubatch_tokens, {ubatch}, "
                f"and llama-server would end itself: set it to at most {most}",
            )
        if self.type == "ngram-simple" and self.drafted < self.matched:
            yield (
                "draft_tokens",
                f"{self.drafted} is less than match_tokens, {self.matched}, with which ngram-simple "
                "never guesses: set it to at least as many",
            )
        if (self.fewest_tokens or 0) > self.drafted:
            yield "fewest_tokens", f"it is more than draft_tokens, {self.drafted}: lower it"

    def _of_no_use(self) -> Iterator[tuple[str, str]]:
        kind = self.kind
        uses = {
            "match_tokens": kind is not None and kind.match is not None,
            "draft_tokens": kind is not None,
            "fewest_tokens": kind is not None and kind.fewest is not None,
            "min_hits": kind is not None and kind.hits is not None,
        }
        for name, used in uses.items():
            if getattr(self, name) is not None and not used:
                yield name, f"type {self.type} has no use for it: leave it out"


def _set_by() -> Iterator[tuple[str, str]]:
    yield from ((name, "type") for name in ("--spec-type", "--spec-default"))
    for kind in KINDS.values():
        arguments = (kind.match, kind.draft, kind.fewest, kind.hits)
        settings = ("match_tokens", "draft_tokens", "fewest_tokens", "min_hits")
        for argument, setting in zip(arguments, settings, strict=True):
            if argument:
                yield f"--spec-{argument[0]}", setting


SET_BY: Mapping[str, str] = {
    argument: f"serving.speculation.{setting}" for argument, setting in _set_by()
}
"""The settings that give these arguments."""
