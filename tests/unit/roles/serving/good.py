"""What a good node shows of serving: the service as planned, which answers."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bramble.edge.settings import PRIVATE
from bramble.plan import NodePlan
from bramble.snapshot import Answer, Output, Snapshot, Unit, read
from bramble.system.parse import Socket
from bramble.system.process import Process, Program
from tests.unit.looks import plain, recorded, together, with_unit_named
from tests.unit.roles.engine.good import SERVER_SHA256

UNIT = "llama-server.service"
GATE = "/opt/bramble/engine/good.json"
STRAY = "/etc/llama.cpp/config.ini"
EDGE = "bramble-edge.service"
EVER = (
    *(f"/etc/bramble/edge/{name}" for name in ("haproxy.cfg", "keys.map", "edge.pem", "ca.crt")),
    f"/etc/systemd/system/{EDGE}",
)
SETTINGS = {"question": "What is 2+2?", "expect": "4"}


def look(plan: NodePlan) -> Snapshot:
    """What this role's plan left on a node."""
    release, serving = plan.roles["engine"].release, plan.roles["serving"]
    good = {"release": release, **serving.identity, "tokens_per_second": 9.5, "at": "then"}
    own = Snapshot(
        programs={"llama-server": tuple(_programs(serving))},
        sockets=(Socket("127.0.0.1", serving.port),),
        units={UNIT: _service(plan)},
        files={GATE: plain(json.dumps(good)), STRAY: None},
        users={"llama": {"uid": 998, "home": "/", "shell": "/usr/sbin/nologin"}},
        http={
            f"{serving.url}/health": Answer(200, '{"status":"ok"}'),
            f"{serving.url}/props": Answer(200, json.dumps(_props(serving))),
            f"{serving.url}/models": Answer(200, json.dumps(_listed(serving))),
        },
    )
    return together([own, _way_in(plan)])


def _programs(serving: Any) -> Iterator[Program]:
    """The server; of several models, a router with a server for each that is loaded."""
    how = (serving.program, "llama", f"/system.slice/{UNIT}")
    of_one = () if serving.further else (serving.model_path,)
    yield Program(4711, *how, models=of_one, locked="0 kB")
    for number, path in enumerate(serving.models.values() if serving.further else ()):
        size = serving.locked.sizes[path] if serving.locked else 0
        yield Program(4720 + number, *how, models=(path,), locked=f"{(size or 0) >> 10} kB")


def _listed(serving: Any) -> Mapping[str, Any]:
    """What it says of its models, in the words of a router."""
    slot = {"n_ctx": -(-serving.ctx_tokens // serving.slots // 256) * 256}
    return {
        "object": "list",
        "data": [
            {"id": name, "object": "model", "status": {"value": "loaded"}, "meta": slot}
            for name in serving.models
        ],
    }


def _mib(unit_text: str, name: str) -> int:
    """What a unit's file says of a limit."""
    return int(_of_file(unit_text, name).removesuffix("M"))


def _of_file(unit_text: str, name: str) -> str:
    (found,) = re.findall(rf"^{name}=(\w+)$", unit_text, re.M)
    return str(found)


def _log(unit_text: str) -> Mapping[str, str]:
    """How systemd tells what the journal takes of a unit."""
    (interval_s,) = re.findall(r"^LogRateLimitIntervalSec=(\d+)$", unit_text, re.M)
    (burst,) = re.findall(r"^LogRateLimitBurst=(\d+)$", unit_text, re.M)
    return {"LogRateLimitIntervalUSec": f"{interval_s}s", "LogRateLimitBurst": burst}


def _way_in(plan: NodePlan) -> Snapshot:
    """What shows of the way in from the network; without one, that its unit is not there."""
    edge = plan.roles["serving"].edge
    if not edge.there:
        gone = Unit("not-found", "inactive", "dead", "", False, 0, "success", None)
        return Snapshot(units={EDGE: gone}, programs={"haproxy": ()}, files=dict.fromkeys(EVER))
    allowed = ("127.0.0.0/8", "::1/128", *PRIVATE)
    return way_in(plan, edge, (4801, 4802), EVER, EdgeUnit(256, 400, allowed))


@dataclass(frozen=True)
class EdgeUnit:
    """What two units of HAProxy differ in."""

    memory_mib: int
    oom_score_adj: int
    allowed: tuple[str, ...]


def way_in(
    plan: NodePlan, edge: Any, pids: tuple[int, ...], ever: tuple[str, ...], unit: EdgeUnit
) -> Snapshot:
    """What shows of a way in that runs as planned."""
    cgroup = f"/system.slice/{edge.place.unit}"
    running = tuple(Program(pid, "/usr/sbin/haproxy", "haproxy", cgroup) for pid in pids)
    off = Unit("loaded", "inactive", "dead", "disabled", False, 0, "success", None)
    return Snapshot(
        programs={"haproxy": running},
        sockets=(Socket(edge.address or "*", edge.port, pids),),
        units={edge.place.unit: _edge_unit(plan, edge, unit), "haproxy.service": off},
        files=dict.fromkeys(ever)
        | {"/etc/haproxy/haproxy.cfg": plain("global\ndefaults\n")}
        | {file.path: plain(file.text, file.mode, group=file.group) for file in edge.files},
        commands={
            edge.asks("/health"): Output(0, f"{edge.plan_id} ok\n200"),
            edge.asks("/v1/models"): Output(0, '{"error":{"message":"Invalid API key."}}\n401'),
            edge.tells: Output(0, "200"),
            edge.lasts: Output(0, "Certificate will not expire\n"),
        },
    )


def _edge_unit(plan: NodePlan, edge: Any, unit: EdgeUnit) -> Unit:
    """Its unit as systemd has it: the sandbox is the service's."""
    service, memory_bytes = _service(plan), str(unit.memory_mib << 20)
    assert isinstance(service.process, Process)
    properties = {
        **service.properties,
        "FragmentPath": edge.place.unit_file,
        "Type": "notify",
        "User": "haproxy",
        "Group": "haproxy",
        "KillMode": "mixed",
        "RestartUSec": "2s",
        "SuccessExitStatus": "143",
        "LimitNOFILE": "4096",
        "TasksMax": "64",
        "MemoryMax": memory_bytes,
        "OOMScoreAdjust": str(unit.oom_score_adj),
        "IPAddressAllow": " ".join(unit.allowed),
        **_log(edge.unit_text),
    }
    process = replace(
        service.process,
        oom_score_adj=unit.oom_score_adj,
        tasks_max="64",
        memory_max=memory_bytes,
    )
    return replace(service, properties=properties, process=process)


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
        argv=tuple(word for flag in serving.argv for word in flag.split(" ", 1)),
        environ={"BRAMBLE_PLAN": serving.plan_id},
        memory_max=str(_mib(serving.unit_text, "MemoryMax") << 20),
        tasks_max=_of_file(serving.unit_text, "TasksMax"),
        status={**found.process.status, "VmLck": f"{_locked_kib(serving)} kB"},
    )
    properties = {
        **found.properties,
        "LimitMEMLOCK": "infinity" if serving.locked else "8388608",
        **_log(serving.unit_text),
        "PrivateMounts": "yes",
        "CPUWeight": "20",
        "IOWeight": "20",
        **{name: _of_file(serving.unit_text, name) for name in ("TasksMax", "OOMPolicy")},
        **{name: str(_mib(serving.unit_text, name) << 20) for name in ("MemoryHigh", "MemoryMax")},
    }
    return replace(found, process=process, properties=properties)


def _locked_kib(serving: Any) -> int:
    """What llama-server locks: the weights, and what the file has before them."""
    return (serving.locked.sizes[serving.model_path] >> 10) + 24 if serving.locked else 0


def with_unit(look: Snapshot, **changes: Any) -> Snapshot:
    """The same look, but for some properties of the service's unit."""
    return with_unit_named(look, UNIT, **changes)


def with_process(look: Snapshot, **changes: Any) -> Snapshot:
    """The same look, but for some properties of the service's process."""
    process = look.process(UNIT)
    assert isinstance(process, Process)
    return with_unit(look, process=replace(process, **changes))
