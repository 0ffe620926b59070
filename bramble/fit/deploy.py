"""Fit before fetch: what a plan says of a model whose dimensions are known."""

from __future__ import annotations

from dataclasses import dataclass

from bramble.fit.memory import Request
from bramble.fit.together import Models, fewer, fit_together
from bramble.fit.verdict import Fit, Room, fit
from bramble.models.geometry import Geometry
from bramble.outputs import ModelOutputs


@dataclass(frozen=True)
class Judged:
    """Whether the planned model fits its node, and why the plan refuses it where it does not."""

    answer: Fit
    refusal: str | None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a deploy reports without stopping: a fit that is not sure, a context that is too long."""
        unknown = (f"model: {self.answer.sentence}",) if self.answer.doubt else ()
        return unknown or (
            (f"serving.ctx_tokens: {self.answer.beyond}",) if self.answer.beyond else ()
        )


def judged(model: ModelOutputs, room: Room, request: Request) -> Judged | None:
    """Return the verdict, with what would fit instead; None where what it depends on is unknown."""
    if model.dimensions is None:
        return None
    answer = fit(model.dimensions.geometry, room, request)
    unknown = [one for one in model.helpers if not (one.dimensions or one.projector)]
    if unknown and answer.verdict != "no":
        return None
    if answer.verdict != "no" or model.when_too_large == "warn":
        # An upper bound is no reason to refuse: the model may take less.
        return Judged(answer, None)
    sentence = (
        f"model: {model.name} does not fit, so nothing is fetched. {answer.sentence} "
        f"{_most(answer)}{_instead(model, room, request)} `model.fit: warn` fetches it all the same."
    )
    return Judged(answer, sentence)


def judged_together(
    first: ModelOutputs, at_once: int, room: Room, request: Request
) -> Judged | None:
    """Return the verdict on a node's models; None where it depends on some that are not known.

    Those whose dimensions are known may be too large already.
    """
    dimensions = {one.name: one.dimensions for one in first.every}
    known = {name: dims.geometry for name, dims in dimensions.items() if dims}
    if not known:
        return None
    several = Models(known, min(at_once, len(known)))
    answer = fit_together(several, room, request)
    if answer.verdict != "no":
        return Judged(answer, None) if len(known) == len(dimensions) else None
    if first.when_too_large == "warn":
        return Judged(answer, None)
    names = ", ".join(dimensions)
    return Judged(
        answer,
        f"model: {names} do not fit, so nothing is fetched. {answer.sentence} "
        f"{_less(several, room, request)} `model.fit: warn` fetches them all the same.",
    )


def _less(several: Models, room: Room, request: Request) -> str:
    """Say what would fit: fewer at once, or smaller models."""
    at_once = fewer(several, room, request)
    if at_once is not None:
        return f"With serving.models_at_once {at_once} they fit."
    largest = several.counted(request)[0]
    return f"Take a smaller model or quantization in the place of {largest}, or a shorter context."


def _most(answer: Fit) -> str:
    """Say how large a quant of it may be."""
    most_mib = answer.available_mib - (answer.total_mib - answer.weights_mib)
    if most_mib <= 0:
        return ""
    has_mib = answer.weights_mib
    return f"With this context {most_mib} MiB of its weights would fit, and it has {has_mib}. "


def _instead(planned: ModelOutputs, room: Room, request: Request) -> str:
    """Say what comes closest and fits: another quant of the model, else another locked model."""
    fitting = []
    for use, dimensions in planned.others.items():
        model: Geometry = dimensions.geometry
        if fit(model, room, request).verdict in ("yes", "tight"):
            # The largest file is the closest.
            same = use.replace(":", "-").rpartition("-")[0] == planned.name.rpartition("-")[0]
            fitting.append((same, model.weights.file_bytes, use))
    words = []
    if fitting:
        same, size, use = max(fitting)
        kind = "quant" if same else "locked model"
        words.append(f"The nearest {kind} that fits is {use} ({size >> 20} MiB).")
    else:
        words.append("Nothing else that models.lock has fits with this context.")
    if planned.unlocked:
        names = ", ".join(planned.unlocked)
        words.append(
            f"models.yml has {names} too: `bramble model lock` finds out whether they fit."
        )
    return " ".join(words)
