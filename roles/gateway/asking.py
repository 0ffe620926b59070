"""What asks a gateway's nodes for a known answer: a program of its host, its unit and its timer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import PurePosixPath
from typing import Any

from bramble.plan import FactsNeeded, File
from bramble.remote import program
from bramble.render import render
from bramble.roles.gateway import questions
from bramble.roles.gateway.health import Answers, Rolling
from bramble.roles.gateway.nodes import Pool
from bramble.roles.gateway.wanted import (
    ASK,
    ASK_FILE,
    ASKING,
    ASKS,
    FOLDER,
    KEEPS,
    LEFT,
    PLACE,
    PLACES,
    QUESTIONS,
    TIMER,
    TIMER_FILE,
)
from bramble.snapshot import Snapshot, Unknown
from bramble.steps import Step, remove_files, systemd, write_files

FACTS = FactsNeeded(files=(*ASKING, *LEFT), units=(ASK, TIMER))
# What systemd gives a run beside the time for the answers.
SPARE_S = 60


def files(
    several: list[dict[str, Any]], pools: Iterable[Pool], answers: Answers, rolling: Rolling
) -> tuple[File, ...]:
    """Return the programs, their plan, and the units that run them."""
    more = {
        **PLACES,
        "interval_s": answers.every_s,
        "deadline_s": answers.deadline_s,
        "drain_s": rolling.drain_s,
        "lease_s": rolling.lease_s,
    }
    deadline_s = answers.deadline_s + SPARE_S
    state = PurePosixPath(FOLDER).name
    texts = {
        QUESTIONS: questions.text(several, pools, more),
        ASKS: _program("ask_nodes"),
        KEEPS: _program("keep_drained"),
        ASK_FILE: render(
            "gateway/bramble-questions.service.j2",
            program=ASKS,
            gateway=PLACE.unit,
            deadline_s=deadline_s,
            state=state,
        ),
        TIMER_FILE: render(
            "gateway/bramble-questions.timer.j2", gateway=PLACE.unit, every_s=answers.every_s
        ),
    }
    return tuple(File(path=path, text=text) for path, text in texts.items())


@cache
def _program(name: str) -> str:
    """Return the whole text of a program, read once in a process as templates are."""
    return program(name, {"plan": QUESTIONS})


def written(several: tuple[File, ...], snapshot: Snapshot) -> Step:
    """Write the files, before HAProxy is reloaded by one of them."""
    return write_files("Write what asks the nodes", several, snapshot)


def run(written: Step, deadline_s: int, snapshot: Snapshot) -> Step:
    """Start the timer, and ask once, so that a wrong node is drained in this very run."""
    why = not_asking(snapshot)
    if why is None and written.writes:
        why = "what it runs is written again"
    step = systemd(
        "Have the nodes asked for a known answer",
        why,
        reload=True,
        enable=(TIMER,),
        restart=(TIMER,),
        start=(ASK,),
    )
    return replace(step, timeout_s=deadline_s + 2 * SPARE_S)


def not_asking(snapshot: Snapshot) -> str | None:
    """Return why the nodes are not asked as planned; None when they are."""
    for name in (ASK, TIMER):
        unit = snapshot.unit(name)
        if isinstance(unit, Unknown):
            return unit.why
        if unit.needs_reload or unit.load != "loaded":
            return f"systemd has {name} as {'it was before' if unit.needs_reload else unit.load}"
    timer = snapshot.unit(TIMER)
    assert not isinstance(timer, Unknown)
    if (timer.active, timer.enabled) != ("active", "enabled"):
        return f"{TIMER} is {timer.active} and {timer.enabled or 'not there'}"
    return None


def revert(snapshot: Snapshot) -> tuple[Step, ...]:
    """End the timer, and remove its files and what was noted."""
    timer = snapshot.unit(TIMER)
    if isinstance(timer, Unknown):
        why: str | None = timer.why
    else:
        off = (timer.active, timer.enabled) == ("inactive", "disabled")
        why = None if off or timer.load == "not-found" else f"{TIMER} is {timer.active}"
    gone = remove_files("Remove what asks the nodes", (*ASKING, *LEFT), snapshot)
    return (
        systemd("End the questions to the nodes", why, stop=(TIMER, ASK), disable=(TIMER,)),
        gone,
        systemd("Forget the questions", gone.why and "its files go", reload=True),
    )
