"""What power wants: a governor, if one is set, that outlasts what the system sets at boot."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from bramble import container, vitals
from bramble.board import Board
from bramble.plan import File, Given, Interests, NodePlan, RolePlan
from bramble.render import render
from bramble.snapshot import FileState, Snapshot, Unknown
from bramble.steps import Step, write_files
from roles.power.settings import Settings

UNIT = "bramble-governor.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
GOVERNORS = "/sys/devices/system/cpu/cpufreq/policy*/scaling_governor"


@dataclass(frozen=True, kw_only=True)
class PowerPlan(RolePlan):
    """The governor, None for the system's own, and where to begin to warn."""

    governor: str | None
    temperature_warn_c: int
    psu_warn_ma: int


def interests(settings: Settings) -> Interests:
    """The governor with its unit, and the board's words on supply and heat."""
    return Interests(
        files=(UNIT_FILE, GOVERNORS, *vitals.FILES),
        units=(UNIT,),
        commands=(*vitals.COMMANDS, container.COMMAND),
    )


def plan(settings: Settings, board: Board, given: Given) -> PowerPlan:
    """The governor's unit where one is set."""
    return PowerPlan(
        files=_files(settings.governor),
        governor=settings.governor,
        temperature_warn_c=settings.temperature_warn_c,
        psu_warn_ma=settings.psu_warn_ma,
    )


def _files(governor: str | None) -> tuple[File, ...]:
    if governor is None:
        return ()
    text = render("power/bramble-governor.service.j2", governor=governor)
    return (File(path=UNIT_FILE, text=text),)


def steps(plan: PowerPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Write the governor's unit and start it where the governor is another."""
    written = write_files("Write the governor's unit", plan.files, snapshot)
    return (written, _set(plan, snapshot, written))


def _set(plan: PowerPlan, snapshot: Snapshot, written: Step) -> Step:
    name = "Set the governor"
    if plan.governor is None:
        return Step(name, None)
    why = _not_set(plan, snapshot) or (written.why and "its unit is written anew")
    if why is None:
        return Step(name, None)
    query = {"unit": UNIT, "reload": True, "enable": True, "restart": True, "url": None}
    return Step(name, why, "service", query)


def _not_set(plan: PowerPlan, snapshot: Snapshot) -> str | None:
    """Why the governor does not count as set, now and for the next boot; None when it does."""
    unit, found = snapshot.unit(UNIT), governors(snapshot)
    if isinstance(unit, Unknown):
        return unit.why
    if unit.enabled != "enabled":
        return f"{UNIT} is {unit.enabled or 'not there'}, so the next boot would not have it"
    if unit.needs_reload:
        return "systemd has an older unit in memory"
    if isinstance(found, Unknown) or set(found.values()) <= {plan.governor}:
        return None
    return f"the governor is {words(found)}"


def governors(snapshot: Snapshot) -> dict[str, str] | Unknown:
    """The governor of each group of processors; none where nothing scales, or nothing of its own."""
    kind, files = container.container(snapshot), snapshot.files
    if isinstance(kind, Unknown):
        return kind
    if isinstance(files, Unknown):
        return files
    if kind:
        return {}
    found = {path: seen for path, seen in files.items() if fnmatchcase(path, GOVERNORS)}
    for seen in found.values():
        if isinstance(seen, Unknown):
            return seen
    return {
        path.split("/")[-2]: (seen.text or "").strip()
        for path, seen in found.items()
        if isinstance(seen, FileState)
    }


def words(found: dict[str, str]) -> str:
    """The governors for people."""
    return ", ".join(sorted(set(found.values())))
