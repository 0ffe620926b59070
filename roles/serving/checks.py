"""What serving proves."""

from __future__ import annotations

from typing import Any

from bramble import strict_json
from bramble.checks import Finding, Node, check, expect, skip, unknown
from bramble.fit.verdict import NO_CAPACITY, SERVER_MIB, room_of
from bramble.llama.releases import built_sha256, note
from bramble.node import sandbox
from bramble.owned import REMEDY, as_written
from bramble.roles.serving import running, tasks
from bramble.roles.serving.state import (
    otherwise,
    own_drop_ins,
    rejected,
    stale_model,
    unproven,
)
from bramble.roles.serving.tasks import JOURNAL
from bramble.roles.serving.wanted import (
    LOOPBACK,
    SERVER,
    STRAY_CONFIG,
    UNIT,
    UNIT_FILE,
    USER,
    ServingPlan,
)
from bramble.snapshot import Unknown
from bramble.steps import write_files

# Where models.lock has no dimensions of the model: what a token of context takes in an 8B model (Llama
# 3.1: 32 layers, 8 heads of 128, keys and values, two bytes each), which is more than in smaller ones;
# and the compute buffer with a large vocabulary.
CONTEXT_KIB = 128
COMPUTE_MIB = 300
DEPLOY = "Run the deploy again."
OUT_OF_MEMORY = "It took more memory than it may: choose a smaller model or context (bramble fit)."


@check()
def unit_is_active(plan: ServingPlan, node: Node) -> Finding:
    """The service is active and has a process."""
    unit = node.snapshot.unit(UNIT)
    if isinstance(unit, Unknown):
        return unknown("active (running)", unit)
    got = f"{unit.active} ({unit.sub})"
    if got == "active (running)":
        return expect(got, got, True, "")
    if unit.result not in ("", "success"):
        got = f"{got}, result {unit.result}, restarted {unit.restarts} times"
    remedy = f"{OUT_OF_MEMORY} {JOURNAL}" if unit.result == "oom-kill" else JOURNAL
    return expect("active (running)", got, False, remedy)


@check()
def unit_is_enabled(plan: ServingPlan, node: Node) -> Finding:
    """The service starts at boot."""
    unit = node.snapshot.unit(UNIT)
    if isinstance(unit, Unknown):
        return unknown("enabled", unit)
    got = unit.enabled or unit.load
    return expect("enabled", got, got == "enabled", f"sudo systemctl enable {UNIT}")


@check()
def files_are_as_written(plan: ServingPlan, node: Node) -> Finding:
    """Each file and line that this role writes stands as it was written: text, mode and owner."""
    look = node.snapshot
    remedy = rejected(plan, node.plan.host, look) or REMEDY
    return as_written(plan, [write_files("Files", plan.files, look)], look, remedy=remedy)


@check()
def process_runs_the_plan(plan: ServingPlan, node: Node) -> Finding:
    """The running process has the planned arguments and environment, and was started for this plan."""
    want, process = f"as planned, for plan {plan.plan_id}", node.snapshot.process(UNIT)
    if isinstance(process, Unknown):
        return unknown(want, process)
    remedy = rejected(plan, node.plan.host, node.snapshot) or "Run the deploy again."
    if process is None:
        return expect(want, "no process", False, remedy)
    problem = otherwise(plan, process)
    if stale := stale_model(plan, process, node.snapshot):
        problem = f"{problem}; it has {stale}" if problem else f"it has {stale}"
    return expect(want, problem or want, problem is None, remedy)


@check()
def unit_is_loaded_as_written(plan: ServingPlan, node: Node) -> Finding:
    """systemd has the unit in memory as its file says, sandbox and limits, and no drop-in changes it."""
    want, unit = "as its file says, no drop-in", node.snapshot.unit(UNIT)
    if isinstance(unit, Unknown):
        return unknown(want, unit)
    if unit.load != "loaded":
        return expect(want, f"systemd says {unit.load}", False, DEPLOY)
    drop_ins = [f"{path} changes it" for path in sandbox.drop_ins(unit)]
    problems = (*drop_ins, *sandbox.loaded_otherwise(UNIT_FILE, plan.unit_text, unit))
    remedy = f"{DEPLOY} What is to stay belongs in the inventory."
    if len(drop_ins) > len(own_drop_ins(unit)):
        remedy = "Take the drop-in away that is for more units than this one; then deploy again."
    return expect(want, "; ".join(problems) or want, not problems, remedy)


@check()
def sandbox_holds_the_process(plan: ServingPlan, node: Node) -> Finding:
    """The kernel holds the running process to the unit's sandbox: privileges, calls, files, limits."""
    want, process = "held as its unit says", node.snapshot.process(UNIT)
    if isinstance(process, Unknown):
        return unknown(want, process)
    if process is None:
        return expect(want, "no process", False, JOURNAL)
    problems = sandbox.not_held(plan.unit_text, process)
    return expect(want, "; ".join(problems) or want, not problems, DEPLOY)


@check()
def no_other_server_runs(plan: ServingPlan, node: Node) -> Finding:
    """No other llama-server runs on the node, whoever started it, and takes its memory or a port."""
    want, look = "the service's alone", node.snapshot
    found, sockets = look.programs, look.sockets
    for seen in (found, sockets):
        if isinstance(seen, Unknown):
            return unknown(want, seen)
    assert not isinstance(found, Unknown)
    assert not isinstance(sockets, Unknown)
    others = [one for one in found.get(SERVER, ()) if not one.cgroup.endswith(f"/{UNIT}")]
    words = [running.whose(one, sockets) for one in others]
    remedy = (
        "It is not bramble's: end it, or have whoever started it do so "
        f"(sudo kill {' '.join(str(one.pid) for one in others)})."
    )
    return expect(want, "; ".join(words) or want, not others, remedy)


@check()
def build_is_the_running_one(plan: ServingPlan, node: Node) -> Finding:
    """The process runs the planned release's llama-server, byte for byte as it was built."""
    recorded = built_sha256(node.snapshot, plan.release_folder, "llama-server")
    want = f"{plan.program} sha256 {recorded[:12] or 'unrecorded'}"
    process = node.snapshot.process(UNIT)
    if isinstance(process, Unknown):
        return unknown(want, process)
    if isinstance(node.snapshot.files, Unknown):
        return unknown(want, node.snapshot.files)
    if process is None:
        return expect(want, "no process", False, JOURNAL)
    got = f"{process.exe} sha256 {process.exe_sha256[:12]}"
    ok = (process.exe, process.exe_sha256) == (plan.program, recorded)
    return expect(want, got, ok, "Run the deploy again: it restarts the service.")


@check()
def build_says_its_commit(plan: ServingPlan, node: Node) -> Finding:
    """The running server itself names the planned build number and commit."""
    answer = node.snapshot.answer(f"{plan.url}/props")
    if isinstance(answer, Unknown):
        return unknown(plan.build_info, answer)
    got = str(_props(answer.body, "build_info"))
    return expect(plan.build_info, got, got == plan.build_info, "Run the deploy again.")


@check()
def release_passed_the_gate(plan: ServingPlan, node: Node) -> Finding:
    """The planned release proved itself here with this model: its answer, and its speed unthrottled."""
    want, seen = f"release {plan.release} is the known good one", node.snapshot.file(plan.good)
    if isinstance(seen, Unknown):
        return unknown(want, seen)
    problem = unproven(plan, node.snapshot)
    reported = note(node.snapshot, plan.good)
    got = problem or f"{reported.get('tokens_per_second')} tokens/s on {reported.get('at')}"
    return expect(want, got, problem is None, "Run the deploy again: it takes it through the gate.")


@check()
def port_is_bound_as_planned(plan: ServingPlan, node: Node) -> Finding:
    """The planned port is listened on by the service alone, on the planned address and on no other."""
    want, sockets = f"{LOOPBACK}:{plan.port}", node.snapshot.sockets
    if isinstance(sockets, Unknown):
        return unknown(want, sockets)
    there, unit = [one for one in sockets if one.port == plan.port], node.snapshot.unit(UNIT)
    bound = sorted({f"{one.address}:{one.port}" for one in there})
    got = ", ".join(bound) or "nothing listens there"
    main = "" if isinstance(unit, Unknown) else unit.properties.get("MainPID", "")
    others = {str(pid) for one in there for pid in one.pids} - {main}
    if others:
        remedy = f"It is not bramble's: end it (sudo kill {' '.join(sorted(others))}), then deploy."
        return expect(want, f"{got}, held by process {', '.join(sorted(others))}", False, remedy)
    return expect(want, got, bound == [want], JOURNAL)


@check()
def health_is_ok(plan: ServingPlan, node: Node) -> Finding:
    """The server answers /health with 200: the model is loaded."""
    answer = node.snapshot.answer(f"{plan.url}/health")
    if isinstance(answer, Unknown):
        return unknown("HTTP 200", answer)
    got = f"HTTP {answer.status}" if answer.status else "nothing listens"
    return expect("HTTP 200", got, answer.status == 200, JOURNAL)


@check()
def model_answers(plan: ServingPlan, node: Node) -> Finding:
    """The model answers the inventory's question with what its task and the inventory expect."""
    reply = node.ask(plan.url, plan.question, plan.task, plan.model_name)
    return tasks.judged(plan.task, plan.question, reply, "serving.expect", node.plan.host)


@check(severity="warn")
def no_stray_configuration(plan: ServingPlan, node: Node) -> Finding:
    """No file of llama.cpp's own adds arguments behind the plan's back."""
    seen = node.snapshot.file(STRAY_CONFIG)
    if isinstance(seen, Unknown):
        return unknown("absent", seen)
    got = "absent" if seen is None else f"{STRAY_CONFIG} is there"
    return expect("absent", got, seen is None, f"Move {STRAY_CONFIG} away.")


@check()
def process_is_unprivileged(plan: ServingPlan, node: Node) -> Finding:
    """The process runs as a system user that is not root and cannot log in."""
    users, process = node.snapshot.users, node.snapshot.process(UNIT)
    want = f"the user {USER}, a system user without a login shell"
    if isinstance(users, Unknown):
        return unknown(want, users)
    if isinstance(process, Unknown):
        return unknown(want, process)
    user = users.get(USER)
    if user is None or process is None:
        return expect(want, "no process" if user else f"no user {USER}", False, JOURNAL)
    got = f"uid {process.uid}; {USER} is uid {user['uid']} with {user['shell']}"
    locked = 0 < user["uid"] < 1000 and user["shell"].endswith("nologin")
    return expect(
        want, got, locked and process.uid == user["uid"], f"userdel {USER}; deploy again."
    )


def _props(body: str, *keys: str) -> Any:
    """Return the value below these keys of /props."""
    try:
        found = strict_json.loads(body)
        for key in keys:
            found = found[key]
    except (ValueError, KeyError, TypeError):
        return "nothing readable"
    return found


@check()
def model_fits(plan: ServingPlan, node: Node) -> Finding:
    """The model, with its context as planned, fits into the memory that the node has for it."""
    room = room_of(node.plan.board, plan.reserve_mib)
    want = f"at most {room.available_mib} MiB, {room.reserve_mib} being for the rest"
    if plan.fit:
        answer = plan.fit.answer
        if answer.verdict == "no" and plan.fit.refusal is None:
            return skip(want, f"model.fit is warn; it takes {answer.total_mib} MiB")
        if answer.verdict == "unknown":
            return Finding("unknown", want, f"at most {answer.total_mib} MiB", answer.sentence)
        got, ok = f"{answer.total_mib} MiB ({answer.verdict})", answer.verdict != "no"
        return expect(want, got, ok, plan.fit.refusal or "")
    weights_mib = _weights_mib(plan, node)
    if isinstance(weights_mib, Unknown):
        return unknown(want, weights_mib)
    if isinstance(weights_mib, str):
        return skip(want, f"there is no {weights_mib} yet, and models.lock does not know it")
    got = f"{weights_mib} MiB of weights, and more that models.lock does not tell"
    remedy = f"Take a smaller model or quantization. {NO_CAPACITY}."
    return expect(want, got, weights_mib <= room.available_mib, remedy)


def _weights_mib(plan: ServingPlan, node: Node) -> int | Unknown | str:
    """Return the size of what is loaded, of several models the largest; or a file that is missing."""
    sizes = {}
    for path in (*plan.models.values(), *plan.helpers):
        file = node.snapshot.file(path)
        if isinstance(file, Unknown):
            return file
        if file is None:
            return path
        sizes[path] = file.size_bytes >> 20
    models = sorted(sizes[path] for path in plan.models.values())
    return sum(models[-plan.at_once :]) + sum(sizes[path] for path in plan.helpers)


@check(severity="warn")
def context_is_as_planned(plan: ServingPlan, node: Node) -> Finding:
    """A conversation gets the planned context, and not the less that the model was trained for."""
    planned = plan.ctx_tokens // plan.slots
    want, answer = f"{planned} tokens", node.snapshot.answer(f"{plan.url}/props")
    if plan.further:
        return skip(want, "there are several models: see further_contexts_are_as_planned")
    if isinstance(answer, Unknown):
        return unknown(want, answer)
    got = _props(answer.body, "default_generation_settings", "n_ctx")
    if not isinstance(got, int):
        return expect(want, str(got), False, JOURNAL)
    remedy = (
        "llama-server gives no more than the model was trained for, and takes memory for all of it: set "
        f"serving.ctx_tokens to at most {plan.slots} x {got}."
    )
    return expect(want, f"{got} tokens", got >= planned, remedy)


@check(severity="warn")
def memory_is_enough(plan: ServingPlan, node: Node) -> Finding:
    """The memory that is available holds the model's weights, and its context until that is taken."""
    # The server's own share is taken once it runs; the weights are pages of a file, which count as
    # available all the time.
    running, memory = node.snapshot.process(UNIT), node.snapshot.memory_kib
    weights, want = _weights_mib(plan, node), "as much available as the model needs"
    for seen in (running, memory, weights):
        if isinstance(seen, Unknown):
            return unknown(want, seen)
    if isinstance(weights, str):
        return skip(want, f"there is no {weights} yet")
    assert not isinstance(weights, Unknown)
    assert not isinstance(memory, Unknown)
    if "MemAvailable" not in memory:
        return unknown(want, Unknown("there is no MemAvailable in /proc/meminfo"))
    weights_mib, context_mib = _needs(plan, weights)
    needed_mib = weights_mib + (0 if running else context_mib)
    available_mib = memory["MemAvailable"] // 1024
    want = f"at least {needed_mib} MiB available ({weights_mib} of them weights)"
    remedy = (
        "The kernel would read weights from the disk again for each token. Take a smaller model or "
        "quantization, a shorter serving.ctx_tokens, or end what else runs there."
    )
    got = f"{available_mib} MiB {'with' if running else 'without'} the server"
    return expect(want, got, available_mib >= needed_mib, remedy)


def _needs(plan: ServingPlan, weights_mib: int) -> tuple[int, int]:
    """Return the weights, and what the server needs besides: as planned, or as larger models need."""
    if plan.fit is None:
        each_mib = COMPUTE_MIB + plan.ctx_tokens * CONTEXT_KIB // 1024
        return weights_mib, plan.at_once * each_mib
    answer = plan.fit.answer
    return answer.weights_mib, answer.total_mib - answer.weights_mib + SERVER_MIB
