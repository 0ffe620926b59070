"""What serving wants: a system user, one hardened unit, and the way in to it."""

from __future__ import annotations

from bramble.board import Board
from bramble.edge.wanted import packages
from bramble.fit.deploy import judged, judged_together
from bramble.fit.verdict import SERVER_MIB, room_of
from bramble.node import sandbox
from bramble.outputs import EngineOutputs, ModelOutputs, ServingOutputs
from bramble.plan import FactsNeeded, File, Inputs, identity, together
from bramble.render import render
from bramble.roles.serving import edge, flags, left, locking, router, running, tasks
from bramble.roles.serving.settings import Settings
from bramble.roles.serving.wanted import (
    LOOPBACK,
    SERVER,
    STRAY_CONFIG,
    SYSUSERS_FILE,
    UNIT,
    UNIT_FILE,
    USER,
    Further,
    ServingPlan,
)
from bramble.system.fstab import unit_of


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
        figures=None if settings.expose == "local" else edge.PLACE.figures,
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
        packages=packages(settings.expose),
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
