"""What serving wants: a system user, one hardened unit, and that it runs what was planned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from bramble.board import Board
from bramble.checks import ASK_TIMEOUT_S
from bramble.fit.deploy import judged, judged_together
from bramble.fit.verdict import SERVER_MIB, room_of
from bramble.llama.releases import built_sha256, note
from bramble.node.ssd import clear_card, left_on_card
from bramble.outputs import EngineOutputs, ModelOutputs, ServingOutputs
from bramble.plan import FactsNeeded, File, Inputs, NodePlan, identity, together
from bramble.remote import serve_release, talk
from bramble.render import render
from bramble.roles.serving import edge, flags, left, locking, router, running, sandbox, tasks
from bramble.roles.serving.settings import Settings
from bramble.roles.serving.wanted import LOOPBACK, UNIT, UNIT_FILE, Further, ServingPlan
from bramble.snapshot import Snapshot, Unit, Unknown
from bramble.steps import Step, remove_files, systemd, write_files
from bramble.system.fstab import unit_of
from bramble.system.process import Process, Program

# The folder of this unit's own drop-ins; those that apply to other units too are not moved.
OWN_DROP_INS = tuple(
    f"{folder}/{UNIT}.d/"
    for folder in (
        *("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system"),
        *("/etc/systemd/system.control", "/run/systemd/system.control"),
    )
)
SERVER = "llama-server"
SYSUSERS_FILE = "/etc/sysusers.d/bramble-llama.conf"
USER = "llama"
# llama.cpp's tools read this file before their arguments, so it would change what is planned.
STRAY_CONFIG = "/etc/llama.cpp/config.ini"


def facts_needed(settings: Settings, inputs: Inputs) -> FactsNeeded:
    """Ask for the unit with its process, the user, and the server's answers, and for the way in."""
    url = f"http://{LOOPBACK}:{settings.port}"
    own = FactsNeeded(
        files=(UNIT_FILE, SYSUSERS_FILE, STRAY_CONFIG, *left.PATTERNS),
        units=(UNIT,),
        users=(USER,),
        http=(f"{url}/health", f"{url}/props", f"{url}/models"),
        properties=sandbox.PROPERTIES,
        programs=(SERVER,),
    )
    return together((own, edge.facts_needed(settings, inputs.host)))


def plan(settings: Settings, board: Board, inputs: Inputs) -> ServingPlan:
    """Plan the unit for this model on this board; set every value that llama-server would guess."""
    engine, model = inputs.need(EngineOutputs), inputs.need(ModelOutputs)
    outputs = ServingOutputs(
        unit=UNIT,
        threads=settings.threads or board.cores,
        ubatch_tokens=settings.ubatch_tokens,
        exposed_port=None if settings.expose == "local" else settings.edge_port,
        allow=settings.edge.allow,
        figures=None if settings.expose == "local" else edge.FIGURES,
        queue=settings.edge.queue,
    )
    argv = running.command_line(settings, engine, model, outputs)
    at_once = router.loaded_at_once(model, settings.models_at_once)
    plan_id = identity([engine.release, model.sha256, argv])
    unit = render(
        "serving/llama-server.service.j2",
        user=USER,
        log=settings.log,
        plan_id=plan_id,
        argv=[flags.unit_word(word) for word in argv],
        memory_mib=room_of(board, settings.reserve_mib).available_mib + SERVER_MIB,
        lock_weights=settings.lock_weights,
        model_name=", ".join(one.name for one in model.every),
        model_folder=model.folder,
        servers=1 + at_once if model.further else 1,
        ssd_unit=unit_of(model.ssd) if model.ssd else None,
    )
    # The unit's own text counts too, but for the line that holds the identity made from it.
    plan_id, draft = identity([plan_id, unit]), plan_id
    way_in = edge.plan(settings, inputs.host, inputs.prepared, model)
    task = tasks.planned(settings.task, settings.expect, settings.dimensions, model)
    further, room = _further(settings, model), room_of(board, settings.reserve_mib)
    request = settings.request_with(
        model.draft.dimensions if model.draft else None,
        model.projector.projector if model.projector else None,
    )
    fit = (
        judged_together(model, at_once, room, request) if further else judged(model, room, request)
    )
    return ServingPlan(
        outputs=outputs,
        packages=edge.packages(settings),
        files=(
            File(path=SYSUSERS_FILE, text=render("serving/sysusers.conf.j2", user=USER)),
            *settings.chat.files(),
            *router.models_file(model),
            File(path=UNIT_FILE, text=unit.replace(draft, plan_id)),
            *way_in.files,
        ),
        edge=way_in,
        further=further,
        at_once=at_once,
        plan_id=plan_id,
        argv=argv,
        port=settings.port,
        model_name=model.name,
        model_sha256=model.sha256,
        model_path=model.path,
        model_folder=model.folder,
        draft_path=model.draft.path if model.draft else None,
        projector_path=model.projector.path if model.projector else None,
        ctx_tokens=settings.ctx_tokens,
        slots=settings.slots,
        release_folder=engine.folder,
        build_info=engine.build_info,
        start_deadline_s=settings.start_deadline_s,
        question=settings.question,
        expect=settings.expect,
        task=task,
        reserve_mib=settings.reserve_mib,
        unsure=settings.unsure(engine.commit),
        fit=fit,
        locked=locking.locked(model, fit) if settings.lock_weights else None,
        speed_share=settings.gate.speed_share,
        foreign_drop_ins=settings.foreign_drop_ins,
        engine_home=engine.home,
        release=engine.release,
        # Speeds are compared only where all of this is the same.
        identity={
            "model": model.sha256,
            "argv": identity(argv),
            "board": board.kind,
        },
        # What failed is retried automatically once anything that it was judged by has changed.
        attempt=identity(
            [plan_id, settings.question, vars(task), settings.gate.speed_share]
            + [vars(one.task) for one in further]
        ),
    )


def _further(settings: Settings, model: ModelOutputs) -> tuple[Further, ...]:
    """Return the models beside the first one with what each is to answer."""
    return tuple(
        Further(
            name=one.name,
            path=one.path,
            task=tasks.planned(settings.task, settings.also_expect.get(one.use), None, one),
            setting=f"serving.also_expect of {one.use}",
        )
        for one in model.further
    )


def steps(plan: ServingPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Write the files, have the user, have the service run what they say, and clear up after it."""
    name = "Write the service's files"
    if refused := rejected(plan, node.host, snapshot):
        written = Step(name, refused, "refuse", {"why": refused})
    else:
        written = write_files(name, plan.own_files, snapshot)
    aside = _set_aside(plan, node.host, snapshot)
    run, cleared = _run(plan, snapshot, written), clear_card(plan.model_folder, snapshot)
    old = left.superfluous(plan.files, plan.good, snapshot)
    tidied = remove_files(
        "Remove chat templates and lists of models that nothing reads", old, snapshot
    )
    served = (written, _have_user(snapshot), aside, run, tidied, cleared)
    return (*served, *edge.steps(plan.edge, snapshot))


def revert(plan: ServingPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """End the service and remove its files; the user stays, as its number must not become another's."""
    unit = snapshot.unit(UNIT)
    there = isinstance(unit, Unknown) or unit.load != "not-found"
    ended = not isinstance(unit, Unknown) and (unit.active, unit.enabled) == (
        "inactive",
        "disabled",
    )
    why = f"{UNIT} is there" if there else None
    all_files = [
        *(file.path for file in plan.own_files),
        *left.superfluous(plan.files, "", snapshot),
    ]
    return (
        *edge.revert(snapshot),
        systemd("End the service", None if ended else why, stop=(UNIT,), disable=(UNIT,)),
        remove_files("Remove the service's files", all_files, snapshot),
        systemd("Forget the service", why, reload=True),
    )


def again(plan: ServingPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Forget that this node rejected the plan, so that later steps retry it."""
    marks = (plan.rejection,) if note(snapshot, plan.rejection) else ()
    step = remove_files("Forget that the model was rejected", marks, snapshot)
    return (replace(step, look_again=True),)


def restart(plan: ServingPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Restart the service whatever it runs, and have it answer; refuse where there is none."""
    name, unit = "Restart the service", snapshot.unit(UNIT)
    if not isinstance(unit, Unknown) and unit.load == "not-found":
        why = f"there is no {UNIT} on {node.host}; `bramble up {node.host}` makes it"
        return (Step(name, why, "refuse", {"why": why}),)
    query = {
        "unit": UNIT,
        "unit_file": UNIT_FILE,
        "url": plan.url,
        "host": LOOPBACK,
        "deadline_s": plan.start_deadline_s,
        "name": plan.model_name,
        "question": plan.question,
        "expect": plan.expect,
        "dimensions": plan.task.dimensions,
        "further": [_asked(one) for one in plan.further],
    }
    timeout_s = (1 + len(plan.further)) * (plan.start_deadline_s + ASK_TIMEOUT_S) + 120
    why = "a restart was asked for"
    return (Step(name, why, "restart_server", query, detached=True, timeout_s=timeout_s),)


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


def _have_user(snapshot: Snapshot) -> Step:
    name = "Create the service's user"
    if not isinstance(snapshot.users, Unknown) and snapshot.users.get(USER):
        return Step(name, None)
    argv = ["systemd-sysusers", SYSUSERS_FILE]
    return Step(name, f"there is no user {USER}", "command", {"argv": argv})


def _set_aside(plan: ServingPlan, host: str, snapshot: Snapshot) -> Step:
    """Rename drop-ins that others made, so that only the unit's file counts."""
    name, unit = "Set drop-ins of the unit aside", snapshot.unit(UNIT)
    if isinstance(unit, Unknown):
        return Step(name, None)
    found = own_drop_ins(unit)
    if not found:
        return Step(name, None)
    several = ", ".join(found)
    if plan.foreign_drop_ins == "set_aside":
        return Step(name, several, "set_aside", {"paths": found})
    why = (
        f"{several} changes {UNIT} on {host}, and serving.foreign_drop_ins is refuse: bring what it "
        "sets into the inventory and remove it, or set serving.foreign_drop_ins to set_aside"
    )
    return Step(name, why, "refuse", {"why": why})


def own_drop_ins(unit: Unit) -> list[str]:
    """Return the drop-ins of this unit alone, whoever made them."""
    return [path for path in sandbox.drop_ins(unit) if path.startswith(OWN_DROP_INS)]


def _run(plan: ServingPlan, snapshot: Snapshot, written: Step) -> Step:
    """Start what is planned and take it through the gate; what only lacks the gate continues running.

    Where this very plan was rejected, that is said first, and nothing here is carried out.
    """
    name = "Run the service"
    why = not_running(plan, snapshot)
    if why is None and UNIT_FILE in written.writes:
        why = "systemd must read the unit that is written again"
    restart = why is not None
    why = why or unproven(plan, snapshot)
    if why is None:
        return Step(name, None)
    query = {
        "unit": UNIT,
        "unit_file": UNIT_FILE,
        "restart": restart,
        "url": plan.url,
        "host": LOOPBACK,
        "deadline_s": plan.start_deadline_s,
        "home": plan.engine_home.path,
        "release": plan.release,
        "identity": plan.identity,
        "attempt": plan.attempt,
        "name": plan.model_name,
        "path": plan.model_path,
        "helpers": [path for path in (plan.draft_path, plan.projector_path) if path],
        "question": plan.question,
        "expect": plan.expect,
        "dimensions": plan.task.dimensions,
        "speed_share": plan.speed_share,
        "further": [_asked(one) for one in plan.further],
    }
    # What was good before starts too where this one fails, and may be as many models.
    models = 2 * (1 + len(plan.further))
    asking_s = models * plan.start_deadline_s + 2 * len(plan.further) * talk.ASK_TIMEOUT_S
    timeout_s = asking_s + serve_release.LONGEST_S + 120
    return Step(name, why, "serve_release", query, detached=True, timeout_s=timeout_s)


def _asked(model: Further) -> dict[str, Any]:
    """Return what the gate is told of a model beside the first one."""
    return {
        "name": model.name,
        "path": model.path,
        "expect": model.task.expect,
        "dimensions": model.task.dimensions,
        "setting": model.setting,
    }


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
