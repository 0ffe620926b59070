"""Whether the service runs what is planned, by its process itself and by the gate's notes."""

from __future__ import annotations

from pathlib import PurePosixPath

from bramble.llama.releases import built_sha256, note
from bramble.node import sandbox
from bramble.node.ssd import left_on_card
from bramble.roles.serving import router, running
from bramble.roles.serving.wanted import SERVER, UNIT, UNIT_FILE, ServingPlan
from bramble.snapshot import Snapshot, Unit, Unknown
from bramble.system.process import Process, Program

# The folder of this unit's own drop-ins; those that apply to other units too are not moved.
OWN_DROP_INS = tuple(
    f"{folder}/{UNIT}.d/"
    for folder in (
        *("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system"),
        *("/etc/systemd/system.control", "/run/systemd/system.control"),
    )
)


def unproven(plan: ServingPlan, snapshot: Snapshot) -> str | None:
    """Return why the release has not passed the gate with this model; None when it has."""
    reported = note(snapshot, plan.good)
    if reported.get("release") != plan.release:
        return f"the known good release is {reported.get('release') or 'none'}, not {plan.release}"
    if any(reported.get(key) != value for key, value in plan.identity.items()):
        return "the release passed the gate with another model, other arguments or on another board"
    return None


def stale_model(plan: ServingPlan, process: Process, snapshot: Snapshot) -> str | None:
    """Return the file that a process uses instead of the planned model; None where it uses that.

    The kernel tells paths without links, so a model on the SSD has another folder there. Of several
    models each has a process of its own, where it is loaded.
    """
    found = {} if isinstance(snapshot.programs, Unknown) else snapshot.programs
    several: tuple[Process | Program, ...] = (process, *router.of_unit(found.get(SERVER, ()), UNIT))
    names = {PurePosixPath(path).name for path in (*plan.models.values(), plan.draft_path) if path}
    if any(PurePosixPath(path).name in names for one in several for path in one.gone):
        return "a model file that was replaced since it started"
    card = left_on_card(plan.model_folder)
    if any(path.startswith(f"{card}/") for one in several for path in one.models):
        return "the model from the card still, which is on the SSD by now"
    return None


def not_running(plan: ServingPlan, snapshot: Snapshot) -> str | None:
    """Return why the service does not run the plan; None when it does.

    The process itself is asked, by its arguments, its environment with the plan's identity, and what
    holds it: a file that is right says nothing of a process that was started before it was.
    """
    unit = snapshot.unit(UNIT)
    if isinstance(unit, Unknown):
        return unit.why
    if isinstance(unit.process, Unknown):
        return f"{UNIT} does not show its process: {unit.process.why}"
    if unit.active != "active" or unit.process is None:
        return f"{UNIT} is {unit.active}"
    if other := otherwise(plan, unit.process):
        return other
    built = built_sha256(snapshot, plan.release_folder, "llama-server")
    if (unit.process.exe, unit.process.exe_sha256) != (plan.program, built):
        return f"its process is not {plan.program} as it was built"
    if problem := stale_model(plan, unit.process, snapshot):
        return f"its process has {problem}"
    if unit.enabled != "enabled":
        return f"{UNIT} is {unit.enabled}, so it would not start at boot"
    loose = (
        *(f"{path} changes its unit" for path in own_drop_ins(unit)),
        *sandbox.loaded_otherwise(UNIT_FILE, plan.unit_text, unit),
        *sandbox.not_held(plan.unit_text, unit.process),
    )
    if loose:
        return "; ".join(loose)
    health = snapshot.answer(f"{plan.url}/health")
    if isinstance(health, Unknown) or health.status != 200:
        return "it does not answer /health with 200"
    return None


def otherwise(plan: ServingPlan, process: Process) -> str | None:
    """Return how the process differs from the plan; None when it does not."""
    reported = running.differences(plan.argv, process)
    if reported:
        return "; ".join(reported)
    started_for = process.environ.get("BRAMBLE_PLAN")
    if started_for == plan.plan_id:
        return None
    if started_for is None:
        return "it was not started by the unit that bramble writes"
    return (
        "it was started before its release, its model or its unit became what is planned "
        f"(plan {started_for}, not {plan.plan_id})"
    )


def own_drop_ins(unit: Unit) -> list[str]:
    """Return the drop-ins of this unit alone, whoever made them."""
    return [path for path in sandbox.drop_ins(unit) if path.startswith(OWN_DROP_INS)]


def rejected(plan: ServingPlan, host: str, snapshot: Snapshot) -> str | None:
    """Return why the plan is not retried automatically; None when it may be."""
    reported = note(snapshot, plan.rejection)
    if not reported:
        return None
    return (
        f"model {reported.get('model')} was rejected here, as it was to be served, on "
        f"{reported.get('at')}: {reported.get('why')}; set another in the inventory, or mend that "
        f"and run `bramble upgrade --again {host}`"
    )
