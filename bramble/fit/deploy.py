"""Fit before fetch: what a plan says of a model whose dimensions the lock has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from bramble.fit.geometry import Geometry
from bramble.fit.kept import Kept
from bramble.fit.memory import Request
from bramble.fit.verdict import Fit, Room, fit
from bramble.plan import Given


@dataclass(frozen=True)
class Judged:
    """Whether the planned model fits its node, and why the plan refuses it where it does not."""

    answer: Fit
    refusal: str | None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a deploy tells and does all the same: a fit that is not sure, a context without use."""
        unknown = (f"model: {self.answer.sentence}",) if self.answer.doubt else ()
        return unknown or (
            (f"serving.ctx_tokens: {self.answer.beyond}",) if self.answer.beyond else ()
        )


def provided(
    model: Kept | None, others: Mapping[str, Kept], unlocked: tuple[str, ...], mode: str
) -> dict[str, str]:
    """What the role model provides for this: texts, as all that roles provide."""
    return {
        "model.dimensions": model.model_dump_json() if model else "",
        "model.others": json.dumps({use: kept.model_dump() for use, kept in others.items()}),
        "model.unlocked": " ".join(unlocked),
        "model.fit": mode,
    }


def judged(given: Given, room: Room, request: Request) -> Judged | None:
    """The verdict, with what would fit instead; None where the model's dimensions are not known."""
    if not given["model.dimensions"]:
        return None
    answer = fit(Kept.model_validate_json(given["model.dimensions"]).geometry, room, request)
    if answer.verdict != "no" or given["model.fit"] == "warn":
        # The most that it can take is no reason to refuse: it may take less.
        return Judged(answer, None)
    sentence = (
        f"model: {given['model.name']} does not fit, so nothing is fetched. {answer.sentence} "
        f"{_most(answer)}{_instead(given, room, request)} `model.fit: warn` fetches it all the same."
    )
    return Judged(answer, sentence)


def _most(answer: Fit) -> str:
    """How large a quant of it may be."""
    most_mib = answer.available_mib - (answer.total_mib - answer.weights_mib)
    if most_mib <= 0:
        return ""
    has_mib = answer.weights_mib
    return f"With this context {most_mib} MiB of its weights would fit, and it has {has_mib}. "


def _instead(given: Given, room: Room, request: Request) -> str:
    """The nearest that fits: another quant of the model, else another model that is locked."""
    fitting = []
    for use, dimensions in json.loads(given["model.others"]).items():
        model: Geometry = Kept.model_validate(dimensions).geometry
        if fit(model, room, request).verdict in ("yes", "tight"):
            # The one that keeps most of the model's bytes is the nearest.
            same = (
                use.replace(":", "-").rpartition("-")[0] == given["model.name"].rpartition("-")[0]
            )
            fitting.append((same, model.weights.file_bytes, use))
    words = []
    if fitting:
        same, size, use = max(fitting)
        kind = "quant" if same else "locked model"
        words.append(f"The nearest {kind} that fits is {use} ({size >> 20} MiB).")
    else:
        words.append("Nothing else that models.lock has fits with this context.")
    if given["model.unlocked"]:
        names = given["model.unlocked"].replace(" ", ", ")
        words.append(
            f"models.yml has {names} too: `bramble model lock` makes known whether they fit."
        )
    return " ".join(words)
