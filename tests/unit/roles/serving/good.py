"""What a good node shows of serving: the service as planned, which answers."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bramble.plan import NodePlan
from bramble.snapshot import Answer, Snapshot, Unit, read
from bramble.system.parse import Socket
from bramble.system.process import Process, Program
from tests.unit.looks import plain, recorded, with_unit_named
from tests.unit.roles.engine.good import SERVER_SHA256

UNIT = "llama-server.service"
GATE = "/opt/bramble/engine/good.json"
STRAY = "/etc/llama.cpp/config.ini"
SETTINGS = {"question": "What is 2+2?", "expect": "4"}


def look(plan: NodePlan) -> Snapshot:
    """What this role's plan left on a node."""
    release, serving = plan.roles["engine"].release, plan.roles["serving"]
    good = {"release": release, **serving.identity, "tokens_per_second": 9.5, "at": "then"}
    running = Program(4711, f"{serving.program}", "llama", f"/system.slice/{UNIT}")
    return Snapshot(
        programs={"llama-server": (running,)},
        sockets=(Socket(serving.host, serving.port),),
        units={UNIT: _service(plan)},
        files={GATE: plain(json.dumps(good)), STRAY: None},
        users={"llama": {"uid": 998, "home": "/", "shell": "/usr/sbin/nologin"}},
        http={
            f"{serving.url}/health": Answer(200, '{"status":"ok"}'),
            f"{serving.url}/props": Answer(200, json.dumps(_props(serving))),
        },
    )


def _props(serving: Any) -> Mapping[str, Any]:
    """What the server says of itself: a slot gets what was padded for it."""
    slot = {"n_ctx": -(-serving.ctx_tokens // serving.slots // 256) * 256}
    return {"build_info": serving.build_info, "default_generation_settings": slot}


def _service(plan: NodePlan) -> Unit:
    """The service as systemd and the kernel reported it on a virtual Pi, with this plan's own words."""
    serving = plan.roles["serving"]
    found = read(json.loads(recorded("probe.container-bookworm-amd64-serving.json"))).unit(UNIT)
    assert isinstance(found, Unit)
    assert isinstance(found.process, Process)
    process = replace(
        found.process,
        exe=f"{serving.release_folder}/bin/llama-server",
        exe_sha256=SERVER_SHA256,
        uid=998,
        argv=tuple(word for flag in serving.argv for word in flag.split()),
        environ={"BRAMBLE_PLAN": serving.plan_id},
    )
    return replace(found, process=process)


def with_unit(look: Snapshot, **changes: Any) -> Snapshot:
    """The same look, but for some properties of the service's unit."""
    return with_unit_named(look, UNIT, **changes)


def with_process(look: Snapshot, **changes: Any) -> Snapshot:
    """The same look, but for some properties of the service's process."""
    process = look.process(UNIT)
    assert isinstance(process, Process)
    return with_unit(look, process=replace(process, **changes))
