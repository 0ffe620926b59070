"""What spoils what serving proves, what hides it from a look, and where its checks do not apply."""

import json
from dataclasses import replace
from pathlib import Path

from bramble.snapshot import Answer, FileState, Output, Snapshot
from bramble.system.parse import Socket
from bramble.system.process import Program
from tests.unit import several
from tests.unit.good_node import PI5, good_look, node_plan
from tests.unit.looks import (
    WHY,
    link,
    plain,
    with_answer,
    with_command,
    with_file,
    with_unit_named,
)
from tests.unit.roles.serving.good import EDGE as EDGE_UNIT
from tests.unit.roles.serving.good import GATE, STRAY, UNIT, with_process, with_unit
from tests.unit.spoiled import GOOD, NO_FILES, PLAN, RIGHT_ANSWER, Cases, Exceptions, Node, edited

ENGINE = PLAN.roles["engine"]
MODEL = PLAN.roles["model"]
SERVING = PLAN.roles["serving"]
UNIT_FILE = "/etc/systemd/system/llama-server.service"
MODEL_FILE = Path(MODEL.path).name
PASSED = json.loads(GOOD.file(GATE).text)
PROPS = f"{SERVING.url}/props"
HEALTH = f"{SERVING.url}/health"


def started(before: str, after: str) -> Snapshot:
    """A good look but for some words of the process' arguments."""
    argv = " ".join(GOOD.process(UNIT).argv)
    assert before in argv
    return with_process(GOOD, argv=tuple(argv.replace(before, after).split()))


def with_variable(name: str) -> Snapshot:
    """A good look but for a variable in the process' environment."""
    return with_process(GOOD, variables=(*GOOD.process(UNIT).variables, name))


def with_properties(**changes: str) -> Snapshot:
    """A good look but for what systemd has of the unit in memory."""
    return with_unit(GOOD, properties={**GOOD.unit(UNIT).properties, **changes})


def with_status(**changes: str) -> Snapshot:
    """A good look but for what the kernel says of the process."""
    return with_process(GOOD, status={**GOOD.process(UNIT).status, **changes})


def without_mount(target: str) -> Snapshot:
    """A good look but for a place that the process is kept from."""
    mounts = GOOD.process(UNIT).mounts
    assert any(mount.target == target for mount in mounts)
    return with_process(GOOD, mounts=tuple(m for m in mounts if m.target != target))


def answering(**answer: object) -> Node:
    return Node(GOOD, RIGHT_ANSWER | answer)


def available(mib: int) -> Snapshot:
    """A good look but for the memory that is available."""
    return replace(GOOD, memory_kib={**GOOD.memory_kib, "MemAvailable": mib * 1024})


DEMO = {
    "name": "demo",
    "url": None,
    "path": str(Path(__file__).parents[4] / "models" / "bramble-demo-q8_0.gguf"),
}
KNOWN = node_plan(model=DEMO)
TINY = replace(PI5, memory_mib=360)
SMALL, WARNED = node_plan(TINY, model=DEMO), node_plan(TINY, model={**DEMO, "fit": "warn"})


def slot_context(tokens: object) -> Answer:
    """What /props says of a slot."""
    return Answer(200, json.dumps({"default_generation_settings": {"n_ctx": tokens}}))


def of_size(size: int) -> FileState:
    """A model's file, which is never read."""
    return replace(plain(""), size_bytes=size, sha256=None, text=None)


LOCKED = node_plan(model=DEMO, serving={"lock_weights": True})
LOCKED_LOOK = good_look(LOCKED)


def locking(said: str) -> Node:
    """A node that is to lock its weights, and what its kernel says of that."""
    status = {**LOCKED_LOOK.process(UNIT).status, "VmLck": said}
    return Node(with_process(LOCKED_LOOK, status=status), plan=LOCKED)


EDGE = SERVING.edge
HEALTHY, NAMED = EDGE.asks("/health"), EDGE.asks("/v1/models")
LOCAL, LAN = (node_plan(serving={"expose": how}) for how in ("local", "lan"))


def with_edge(**changes: object) -> Snapshot:
    """A good look but for the unit of the way in."""
    return with_unit_named(GOOD, EDGE_UNIT, **changes)


def edge_process(**changes: object) -> Snapshot:
    """A good look but for the process of the way in."""
    return with_edge(process=replace(GOOD.process(EDGE_UNIT), **changes))


def edge_properties(**changes: str) -> Snapshot:
    """A good look but for what systemd has of the way in in memory."""
    return with_edge(properties={**GOOD.unit(EDGE_UNIT).properties, **changes})


def edge_sockets(*sockets: Socket) -> Snapshot:
    """A good look but for who listens on the way in."""
    others = tuple(one for one in GOOD.sockets if one.port != EDGE.port)
    return replace(GOOD, sockets=(*others, *sockets))


def models_say(*listed: object) -> Node:
    """A node of several models whose server lists others than the planned ones."""
    answer = Answer(200, json.dumps({"data": listed}))
    return several.node(with_answer(several.LOOK, MODELS, answer))


def listing(name: str, value: str = "loaded", tokens: int = 2048, **more: object) -> object:
    """What a router says of one model."""
    return {"id": name, "status": {"value": value, **more}, "meta": {"n_ctx": tokens}}


def with_children(**changes: object) -> Snapshot:
    """A good look at several models but for the processes that have them."""
    router, *others = several.LOOK.programs["llama-server"]
    spoiled = (router, *(replace(one, **changes) for one in others))
    return replace(several.LOOK, programs={"llama-server": spoiled})


TOO_MANY = several.several_plan(replace(PI5, memory_mib=360))
MODELS = f"{SERVING.url}/models"
FIRST, SECOND = several.FIRST, several.SECOND
BOTH = (listing(FIRST), listing(SECOND))
ASLEEP = [{"id": name, "status": {"value": "unloaded"}} for name in (FIRST, SECOND)]
LOCKING = several.several_plan(serving={"lock_weights": True, "models_at_once": 2})
LOCKING_LOOK = good_look(LOCKING)
UNLOADED = replace(
    several.LOOK, programs={"llama-server": several.LOOK.programs["llama-server"][:1]}
)
FURTHER_FILE = Path(several.SEVERAL.roles["serving"].models[SECOND]).name

FAULTS: Cases = {
    "router_has_the_planned_models": {
        "one is missing": models_say(listing(FIRST)),
        "one too many": models_say(*BOTH, listing("stranger")),
        "failed": models_say(listing(FIRST), listing(SECOND, "unloaded", failed=True, exit_code=1)),
        "no JSON": several.node(with_answer(several.LOOK, MODELS, Answer(200, "<html>"))),
        "of another form": models_say({"id": FIRST}, {"id": SECOND}),
        "nothing listens": several.node(with_answer(several.LOOK, MODELS, Answer(0, ""))),
    },
    "further_models_answer": {
        "an empty answer": several.node(answers={SECOND: RIGHT_ANSWER | {"answer": " "}}),
        "a wrong answer": several.node(
            plan=several.several_plan(serving={"also_expect": {several.LARGE: "five"}}),
        ),
        "failed to load": several.node(answers={SECOND: {"problem": "StatusError: HTTP 500"}}),
    },
    "further_contexts_are_as_planned": {
        "capped": models_say(listing(FIRST), listing(SECOND, tokens=512)),
        "no JSON": several.node(with_answer(several.LOOK, MODELS, Answer(200, "<html>"))),
    },
    "edge_is_as_exposed": {
        "stopped": with_edge(active="inactive", sub="dead", process=None),
        "failed": with_edge(active="failed", sub="failed", process=None),
        "not at boot": with_edge(enabled="disabled"),
        "not there": with_edge(load="not-found", active="inactive", enabled=""),
        "there, where nothing is exposed": Node(GOOD, plan=LOCAL),
    },
    "edge_answers_as_planned": {
        "another configuration": with_command(GOOD, HEALTHY, Output(0, "0123456789ab ok\n200")),
        "somebody else": with_command(GOOD, HEALTHY, Output(0, "<html>\n200")),
        "no model": with_command(GOOD, HEALTHY, Output(0, f"{EDGE.plan_id} no model\n503")),
        "nothing": with_command(GOOD, HEALTHY, Output(7, "curl: (7) refused\n\n000")),
        "a certificate of another name": with_command(GOOD, HEALTHY, Output(60, "curl: (60)\n000")),
    },
    "edge_asks_for_a_key": {
        "no key needed": with_command(GOOD, NAMED, Output(0, '{"data": []}\n200')),
        "another answer": with_command(GOOD, NAMED, Output(0, "\n403")),
        "nothing": with_command(GOOD, NAMED, Output(7, "")),
    },
    "edge_tells_its_figures": {
        "no socket": with_command(GOOD, EDGE.tells, Output(7, "curl: (7) Couldn't connect\n000")),
        "not": with_command(GOOD, EDGE.tells, Output(0, "404")),
    },
    "edge_is_bound_as_planned": {
        "nothing listens": edge_sockets(),
        "one address alone": edge_sockets(Socket("127.0.0.1", EDGE.port, (4801,))),
        "somebody else": edge_sockets(Socket("*", EDGE.port, (99,))),
        "somebody else too": edge_sockets(
            Socket("*", EDGE.port, (4801,)), Socket("192.168.1.9", EDGE.port, (99,))
        ),
        "one port more": edge_sockets(
            Socket("*", EDGE.port, (4801,)), Socket("0.0.0.0", 9000, (4802,))
        ),
    },
    "edge_is_held_by_its_sandbox": {
        "a drop-in": edge_properties(DropInPaths=f"/etc/systemd/system/{EDGE_UNIT}.d/x.conf"),
        "root": edge_properties(User="root"),
        "homes": edge_properties(ProtectHome="no"),
        "no limit": edge_properties(MemoryMax="infinity"),
        "no limit of lines": edge_properties(LogRateLimitIntervalUSec="0"),
        "more lines": edge_properties(LogRateLimitBurst="10000"),
        "a capability": edge_process(
            status={**GOOD.process(EDGE_UNIT).status, "CapEff": "0000000000000400"}
        ),
        "last to be killed": edge_process(oom_score_adj=-900),
        "no process": with_edge(process=None),
    },
    "debians_haproxy_is_off": {
        "running": with_unit_named(GOOD, "haproxy.service", active="active"),
        "at boot": with_unit_named(GOOD, "haproxy.service", enabled="enabled"),
        "not installed": replace(GOOD, packages={**GOOD.packages, "haproxy": None}),
    },
    "edge_certificate_lasts": {
        "a week": with_command(GOOD, EDGE.lasts, Output(1, "Certificate will expire\n")),
    },
    "memory_is_locked_as_planned": {
        "nothing": locking("0 kB"),
        "without a plan": with_status(VmLck="4 kB"),
        "some": locking("2000 kB"),
        "no process": Node(with_unit(LOCKED_LOOK, process=None), plan=LOCKED),
        "of several models, nothing": several.node(
            replace(LOCKING_LOOK, programs=with_children(locked="0 kB").programs), LOCKING
        ),
        "of several models, without a plan": several.node(with_children(locked="4 kB")),
    },
    "model_fits": {
        "by its file's size": with_file(GOOD, MODEL.path, of_size(9 * 10**9)),
        "by its dimensions": Node(GOOD, plan=SMALL),
        "several together": several.node(plan=TOO_MANY),
    },
    "context_is_as_planned": {
        "capped": with_answer(GOOD, PROPS, slot_context(512)),
        "shared": Node(GOOD, plan=node_plan(serving={"ctx_tokens": 8192, "slots": 2})),
        "no JSON": with_answer(GOOD, PROPS, Answer(200, "<html>")),
        "JSON of another form": with_answer(GOOD, PROPS, Answer(200, "[]")),
        "no number": with_answer(GOOD, PROPS, slot_context("2048")),
    },
    "memory_is_enough": {
        "too little": available(900),
        "known dimensions": Node(
            replace(good_look(KNOWN), memory_kib={"MemAvailable": 0}), plan=KNOWN
        ),
        "room for the weights but not for the context": with_unit(available(1000), process=None),
    },
    "unit_is_active": {
        "stopped": with_unit(GOOD, active="inactive", sub="dead", process=None),
        "failed": with_unit(GOOD, active="failed", sub="failed", process=None),
        "out of memory": with_unit(
            GOOD, active="failed", sub="failed", result="oom-kill", restarts=4, process=None
        ),
        "restarting": with_unit(GOOD, active="activating", sub="auto-restart", process=None),
        "over": with_unit(GOOD, active="active", sub="exited", process=None),
    },
    "unit_is_enabled": {
        "disabled": with_unit(GOOD, enabled="disabled"),
        "masked": with_unit(GOOD, enabled="masked"),
        "no such unit": with_unit(GOOD, enabled="", load="not-found"),
    },
    "process_runs_the_plan": {
        "another context": started("--ctx-size 2048", "--ctx-size 256"),
        "an argument more": started("--metrics", "--metrics --api-key hunter2"),
        "an argument less": started("--no-slots ", ""),
        "a page": started("--no-ui", "--ui"),
        "slots that are written": started("--no-slots", "--no-slots --slot-save-path /tmp"),
        "guesses": started("--metrics", "--metrics --spec-type ngram-mod"),
        "the other way round": started("--no-ui --no-slots", "--no-slots --no-ui"),
        "an argument of its environment": with_variable("LLAMA_ARG_N_PREDICT"),
        "a key of its environment": with_variable("LLAMA_API_KEY"),
        "a library before its own": with_variable("LD_PRELOAD"),
        "another plan": with_process(GOOD, environ={"BRAMBLE_PLAN": "000000000000"}),
        "no plan": with_process(GOOD, environ={}),
        "no process": with_unit(GOOD, process=None),
        "the model file before": with_process(GOOD, gone=(PLAN.roles["model"].path,)),
        "the model file before, on the SSD": with_process(GOOD, gone=(f"/mnt/ssd/x/{MODEL_FILE}",)),
        "the model from the card": with_process(
            GOOD, models=(f"{MODEL.folder}.card/{MODEL_FILE}",)
        ),
        "of several models, a file before": several.node(
            with_children(gone=(f"/x/{FURTHER_FILE}",))
        ),
        "of several models, one from the card": several.node(
            with_children(models=(f"{MODEL.folder}.card/{FURTHER_FILE}",))
        ),
    },
    "unit_is_loaded_as_written": {
        "a drop-in": with_properties(DropInPaths=f"/etc/systemd/system/{UNIT}.d/x.conf"),
        "a drop-in for all": with_properties(DropInPaths="/etc/systemd/system/service.d/x.conf"),
        "another file": with_properties(FragmentPath=f"/run/systemd/system/{UNIT}"),
        "an older unit in memory": with_unit(GOOD, needs_reload=True),
        "homes": with_properties(ProtectHome="no"),
        "no restart": with_properties(Restart="no"),
        "last to be killed": with_properties(OOMScoreAdjust="-900"),
        "a capability": with_properties(AmbientCapabilities="cap_sys_admin"),
        "any address": with_properties(IPAddressDeny=""),
        "other calls": with_properties(SystemCallFilter="read write mount"),
        "every call": with_properties(SystemCallFilter=""),
        "all calls but one": with_properties(SystemCallFilter="~read"),
        "another user": with_properties(User="pi"),
        "a longer wait": with_properties(RestartUSec="1min 5s"),
        "no limit of lines": with_properties(LogRateLimitIntervalUSec="0"),
        "more lines": with_properties(LogRateLimitBurst="10000"),
        "not found": with_unit(GOOD, load="not-found", process=None),
    },
    "sandbox_holds_the_process": {
        "new privileges": with_status(NoNewPrivs="0"),
        "every call": with_status(Seccomp="0"),
        "a capability": with_status(CapEff="0000000000200000"),
        "files for all": with_status(Umask="0022"),
        "not told": with_process(GOOD, status={}),
        "last to be killed": with_process(GOOD, oom_score_adj=-900),
        "many tasks": with_process(GOOD, tasks_max="max"),
        "all of the memory": with_process(GOOD, memory_max="max"),
        "systemd's own users": with_process(GOOD, own_namespaces=("mnt", "uts")),
        "no file system of its own": with_process(GOOD, mounts=GOOD.mounts),
        "homes": without_mount("/home"),
        "its temporary files": without_mount("/tmp"),
        "devices": without_mount("/dev"),
        "no process": with_unit(GOOD, process=None),
    },
    "no_other_server_runs": {
        "on another port": replace(
            GOOD,
            programs={"llama-server": (Program(99, "/tmp/llama-server", "pi", "/user.slice"),)},
            sockets=(*GOOD.sockets, Socket("0.0.0.0", 9999, (99,))),
        ),
        "without a port": replace(
            GOOD,
            programs={"llama-server": (Program(9, "/opt/llama-server", "root", "/a.service"),)},
        ),
    },
    "build_is_the_running_one": {
        "another path": with_process(GOOD, exe="/usr/bin/llama-server"),
        "a deleted program": with_process(GOOD, exe=f"{SERVING.program} (deleted)"),
        "another content": with_process(GOOD, exe_sha256="0" * 64),
        "no process": with_unit(GOOD, process=None),
        "no record": with_file(GOOD, f"{ENGINE.folder}/manifest.json", None),
        "a record without it": with_file(GOOD, f"{ENGINE.folder}/manifest.json", plain("{}")),
    },
    "build_says_its_commit": {
        "another commit": with_answer(GOOD, PROPS, Answer(200, '{"build_info": "b1-abc"}')),
        "no build": with_answer(GOOD, PROPS, Answer(200, "{}")),
        "no JSON": with_answer(GOOD, PROPS, Answer(200, "<html>")),
        "JSON of another form": with_answer(GOOD, PROPS, Answer(200, "[]")),
        "nothing listens": with_answer(GOOD, PROPS, Answer(0, "refused")),
    },
    "release_passed_the_gate": {
        "never": with_file(GOOD, GATE, None),
        "another release": with_file(GOOD, GATE, plain('{"release": "000000000000"}')),
        "another model": with_file(GOOD, GATE, plain(json.dumps(PASSED | {"model": "e" * 64}))),
        "other arguments": with_file(GOOD, GATE, plain(json.dumps(PASSED | {"argv": "0"}))),
        "another board": with_file(GOOD, GATE, plain(json.dumps(PASSED | {"board": "pi4"}))),
        "a damaged note": with_file(GOOD, GATE, plain('{"rel')),
    },
    "port_is_bound_as_planned": {
        "open to the network": replace(GOOD, sockets=(Socket("0.0.0.0", SERVING.port),)),
        "open to IPv6 too": replace(GOOD, sockets=(*GOOD.sockets, Socket("::", SERVING.port))),
        "nothing listens": replace(GOOD, sockets=(Socket("0.0.0.0", 22),)),
        "somebody else's": replace(GOOD, sockets=(Socket("127.0.0.1", SERVING.port, (99,)),)),
        "somebody else too": replace(
            GOOD, sockets=(Socket("127.0.0.1", SERVING.port, (5523, 99)),)
        ),
        "another port": replace(GOOD, sockets=(Socket("127.0.0.1", SERVING.port + 1),)),
    },
    "health_is_ok": {
        "loading": with_answer(GOOD, HEALTH, Answer(503, "")),
        "nothing listens": with_answer(GOOD, HEALTH, Answer(0, "refused")),
    },
    "model_answers": {
        "a wrong answer": answering(answer="five"),
        "an empty answer": answering(answer="  "),
        "no server": Node(GOOD, {"problem": "URLError: refused"}),
    },
    "no_stray_configuration": {
        "there": with_file(GOOD, STRAY, plain("[server]\n")),
        "a link": with_file(GOOD, STRAY, link("/tmp/x")),
    },
    "process_is_unprivileged": {
        "no such user": replace(GOOD, users={"llama": None}),
        "root": replace(GOOD, users={"llama": {"uid": 0, "shell": "/usr/sbin/nologin"}}),
        "a person": replace(GOOD, users={"llama": {"uid": 1000, "shell": "/usr/sbin/nologin"}}),
        "another user's process": with_process(GOOD, uid=0),
        "no process": with_unit(GOOD, process=None),
        "one who may log in": replace(GOOD, users={"llama": {"uid": 998, "shell": "/bin/bash"}}),
    },
    "files_are_as_written": {
        "an argument": edited(UNIT_FILE, "--ctx-size 2048", "--ctx-size 256"),
        "the sandbox": edited(UNIT_FILE, "ProtectHome=yes", "ProtectHome=no"),
        "no restart": edited(UNIT_FILE, "Restart=on-failure", "Restart=no"),
        "root's no more": with_file(GOOD, UNIT_FILE, replace(GOOD.file(UNIT_FILE), owner="llama")),
    },
}

BLIND: Cases = {
    "router_has_the_planned_models": {
        "no answer": several.node(with_answer(several.LOOK, MODELS, WHY))
    },
    "further_contexts_are_as_planned": {
        "no answer": several.node(with_answer(several.LOOK, MODELS, WHY))
    },
    "further_models_answer": {"nobody to ask": several.node(answer=WHY)},
    "edge_is_as_exposed": {"no units": replace(GOOD, units=WHY)},
    "edge_answers_as_planned": {"no answer": with_command(GOOD, HEALTHY, WHY)},
    "edge_asks_for_a_key": {"no answer": with_command(GOOD, NAMED, WHY)},
    "edge_tells_its_figures": {
        "no answer": with_command(GOOD, EDGE.tells, WHY),
    },
    "edge_is_bound_as_planned": {
        "no sockets": replace(GOOD, sockets=WHY),
        "no programs": replace(GOOD, programs=WHY),
    },
    "edge_is_held_by_its_sandbox": {
        "no units": replace(GOOD, units=WHY),
        "no process": with_edge(process=WHY),
    },
    "debians_haproxy_is_off": {"no units": replace(GOOD, units=WHY)},
    "edge_certificate_lasts": {
        "no answer": with_command(GOOD, EDGE.lasts, WHY),
        "no certificate": with_command(GOOD, EDGE.lasts, Output(2, WHY.why)),
    },
    "memory_is_locked_as_planned": {
        "no units": Node(replace(LOCKED_LOOK, units=WHY), plan=LOCKED),
        "of several models, no programs": several.node(replace(several.LOOK, programs=WHY)),
    },
    "files_are_as_written": {"no files": NO_FILES},
    "model_fits": {"no model": with_file(GOOD, MODEL.path, WHY)},
    "memory_is_enough": {
        "no units": replace(GOOD, units=WHY),
        "no memory": replace(GOOD, memory_kib=WHY),
        "no model": with_file(GOOD, MODEL.path, WHY),
    },
    "context_is_as_planned": {"no answer": with_answer(GOOD, PROPS, WHY)},
    "unit_is_active": {"no units": replace(GOOD, units=WHY)},
    "unit_is_enabled": {"no units": replace(GOOD, units=WHY)},
    "process_runs_the_plan": {
        "no units": replace(GOOD, units=WHY),
        "no process": with_unit(GOOD, process=WHY),
    },
    "unit_is_loaded_as_written": {"no units": replace(GOOD, units=WHY)},
    "sandbox_holds_the_process": {
        "no units": replace(GOOD, units=WHY),
        "no process": with_unit(GOOD, process=WHY),
    },
    "no_other_server_runs": {
        "no programs": replace(GOOD, programs=WHY),
        "no sockets": replace(GOOD, sockets=WHY),
    },
    "build_is_the_running_one": {
        "no units": replace(GOOD, units=WHY),
        "no process": with_unit(GOOD, process=WHY),
        "no files": NO_FILES,
    },
    "build_says_its_commit": {
        "no URLs": replace(GOOD, http=WHY),
        "no answer": with_answer(GOOD, PROPS, WHY),
    },
    "release_passed_the_gate": {
        "no files": NO_FILES,
        "no note": with_file(GOOD, GATE, WHY),
    },
    "port_is_bound_as_planned": {"no sockets": replace(GOOD, sockets=WHY)},
    "health_is_ok": {
        "no URLs": replace(GOOD, http=WHY),
        "no answer": with_answer(GOOD, HEALTH, WHY),
    },
    "model_answers": {"nobody to ask": Node(GOOD, WHY)},
    "no_stray_configuration": {
        "no files": NO_FILES,
        "no file": with_file(GOOD, STRAY, WHY),
    },
    "process_is_unprivileged": {
        "no users": replace(GOOD, users=WHY),
        "no units": replace(GOOD, units=WHY),
        "no process": with_unit(GOOD, process=WHY),
    },
}

NOT_EXPOSED = (Node(good_look(LOCAL), plan=LOCAL), "serving.expose is local")

APPLIES_TO = dict.fromkeys(
    (
        "router_has_the_planned_models",
        "further_models_answer",
        "further_contexts_are_as_planned",
    ),
    several.node(),
)
ONE_MODEL = (GOOD, "model.also is empty")

SKIPPED: Exceptions = {
    "router_has_the_planned_models": (ONE_MODEL,),
    "further_models_answer": (ONE_MODEL,),
    "further_contexts_are_as_planned": (
        ONE_MODEL,
        (models_say(*ASLEEP), "none of the models is loaded"),
    ),
    "context_is_as_planned": ((several.node(), "further_contexts_are_as_planned"),),
    "memory_is_locked_as_planned": ((several.node(UNLOADED), "none of the models is loaded"),),
    "edge_answers_as_planned": (NOT_EXPOSED,),
    "edge_asks_for_a_key": (NOT_EXPOSED,),
    "edge_tells_its_figures": (NOT_EXPOSED,),
    "edge_is_bound_as_planned": (NOT_EXPOSED,),
    "edge_is_held_by_its_sandbox": (NOT_EXPOSED,),
    "debians_haproxy_is_off": (
        NOT_EXPOSED,
        (
            with_file(GOOD, "/etc/haproxy/haproxy.cfg", plain("frontend shop\n  bind :80\n")),
            "is somebody's own",
        ),
    ),
    "edge_certificate_lasts": (
        NOT_EXPOSED,
        (Node(good_look(LAN), plan=LAN), "serving.expose is lan"),
    ),
    "model_fits": (
        (with_file(GOOD, MODEL.path, None), "there is no"),
        (Node(GOOD, plan=WARNED), "model.fit is warn; it takes"),
    ),
    "memory_is_enough": ((with_file(GOOD, MODEL.path, None), "there is no"),),
}
