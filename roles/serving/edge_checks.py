"""What serving proves of the way in from the network, or of its absence."""

from __future__ import annotations

from bramble.checks import Finding, Node, check, expect, skip, unknown
from bramble.roles.serving import edge, sandbox
from bramble.roles.serving.edge_settings import bracketed
from bramble.roles.serving.wanted import ServingPlan
from bramble.snapshot import Output, Unknown
from bramble.steps import lacking

DEPLOY = "Run the deploy again."
JOURNAL = f"sudo journalctl -u {edge.UNIT} says why."
LOCAL = "serving.expose is local: nothing lets clients of the network in"


@check()
def edge_is_as_exposed(plan: ServingPlan, node: Node) -> Finding:
    """The way in from the network runs and starts at boot where the model is exposed, and only there."""
    unit, there = node.snapshot.unit(edge.UNIT), plan.edge.there
    want = "active, enabled" if there else "no way in from the network"
    if isinstance(unit, Unknown):
        return unknown(want, unit)
    if not there:
        ok = unit.active in ("inactive", "") or unit.load == "not-found"
        return expect(want, want if ok else f"{edge.UNIT} is {unit.active}", ok, DEPLOY)
    got = f"{unit.active}, {unit.enabled or unit.load}"
    return expect(want, got, got == want, JOURNAL)


@check()
def edge_answers_as_planned(plan: ServingPlan, node: Node) -> Finding:
    """The way in runs the planned configuration, with the planned keys, and reaches the model."""
    want = f"plan {plan.edge.plan_id}, HTTP 200"
    if not plan.edge.there:
        return skip("an answer", LOCAL)
    said = _said(plan, node, "/health")
    if isinstance(said, Unknown):
        return unknown(want, said)
    if problem := edge.otherwise(plan.edge, node.snapshot):
        return expect(want, problem, False, f"{DEPLOY} {JOURNAL}")
    got = f"plan {plan.edge.plan_id}, HTTP {_status(said)}"
    return expect(want, got, got == want, "llama-server is not ready: see serving.health_is_ok.")


@check()
def edge_asks_for_a_key(plan: ServingPlan, node: Node) -> Finding:
    """Without a key the way in gives nothing of the model, not even its name."""
    want = "HTTP 401"
    if not plan.edge.there:
        return skip(want, LOCAL)
    said = _said(plan, node, "/v1/models")
    if isinstance(said, Unknown):
        return unknown(want, said)
    got = f"HTTP {_status(said)}"
    return expect(want, got, got == want, f"End it now (sudo systemctl stop {edge.UNIT}), deploy.")


@check()
def edge_tells_its_figures(plan: ServingPlan, node: Node) -> Finding:
    """The way in tells the node itself what it is asked and refuses, by a socket of its file system."""
    want = f"HTTP 200 by {edge.FIGURES}"
    if not plan.edge.there:
        return skip(want, LOCAL)
    said = node.snapshot.command(plan.edge.tells)
    if isinstance(said, Unknown):
        return unknown(want, said)
    if said is None:
        return unknown(want, Unknown("there is no curl on the node"))
    got = f"HTTP {_status(said)} by {edge.FIGURES}"
    return expect(want, got, got == want, f"{DEPLOY} {JOURNAL}")


@check()
def edge_is_bound_as_planned(plan: ServingPlan, node: Node) -> Finding:
    """The way in alone listens on its port, on the planned address; its program listens nowhere else."""
    if not plan.edge.there:
        return skip("its port", LOCAL)
    look, place = node.snapshot, plan.edge.address
    want = f"{bracketed(place) if place else 'every address'}:{plan.edge.port}"
    for seen in (look.sockets, look.programs):
        if isinstance(seen, Unknown):
            return unknown(want, seen)
    assert not isinstance(look.sockets, Unknown)
    assert not isinstance(look.programs, Unknown)
    running = look.programs.get(edge.PROGRAM, ())
    own = {one.pid for one in running if one.cgroup.endswith(f"/{edge.UNIT}")}
    held = [one for one in look.sockets if one.port == plan.edge.port or own & {*one.pids}]
    others = sorted({pid for one in held for pid in one.pids} - own)
    bound = {(one.address, one.port) for one in held}
    got = ", ".join(f"{bracketed(address)}:{port}" for address, port in sorted(bound))
    if others:
        remedy = f"It is not bramble's: end it (sudo kill {' '.join(map(str, others))}), deploy."
        return expect(want, f"{got}, held by process {', '.join(map(str, others))}", False, remedy)
    wanted = {(place or "*", plan.edge.port)}
    return expect(want, want if bound == wanted else got or "nothing", bound == wanted, JOURNAL)


@check()
def edge_is_held_by_its_sandbox(plan: ServingPlan, node: Node) -> Finding:
    """The way in has its unit as written in systemd's memory, and the kernel holds it to its sandbox."""
    want = "held as its unit says"
    if not plan.edge.there:
        return skip(want, LOCAL)
    unit = node.snapshot.unit(edge.UNIT)
    if isinstance(unit, Unknown):
        return unknown(want, unit)
    if isinstance(unit.process, Unknown):
        return unknown(want, unit.process)
    if unit.process is None:
        return expect(want, "no process", False, JOURNAL)
    problems = (
        *(f"{path} changes it" for path in sandbox.drop_ins(unit)),
        *sandbox.loaded_otherwise(edge.UNIT_FILE, plan.edge.unit_text, unit),
        *sandbox.not_held(plan.edge.unit_text, unit.process),
    )
    return expect(want, "; ".join(problems) or want, not problems, DEPLOY)


@check(severity="warn")
def debians_haproxy_is_off(plan: ServingPlan, node: Node) -> Finding:
    """Debian's own unit of HAProxy does not run beside the way in, unless somebody configured it."""
    want, look = "off", node.snapshot
    if not plan.edge.there:
        return skip(want, LOCAL)
    if isinstance(look.units, Unknown):
        return unknown(want, look.units)
    if lacking((edge.PROGRAM,), look):
        return expect(want, f"{edge.PROGRAM} is not installed", False, DEPLOY)
    if edge.listening(look):
        return skip(want, f"{edge.DEBIANS_CONFIG} listens, and is somebody's own")
    problem = edge.debians_runs(look)
    return expect(want, problem or want, problem is None, DEPLOY)


@check(severity="warn")
def edge_certificate_lasts(plan: ServingPlan, node: Node) -> Finding:
    """The certificate of the way in is valid for a month more."""
    want = f"valid for {edge.CERTIFICATE_DAYS} days more"
    if plan.edge.expose != "tls":
        return skip(want, f"serving.expose is {plan.edge.expose}: there is no certificate")
    said = node.snapshot.command(plan.edge.lasts)
    if isinstance(said, Unknown):
        return unknown(want, said)
    if said is None or said.code not in (0, 1):
        return unknown(want, Unknown(said.output.strip() if said else "there is no openssl"))
    remedy = f"bramble tls issue {plan.edge.host}, then deploy."
    return expect(want, want if said.code == 0 else said.output.strip(), said.code == 0, remedy)


def _said(plan: ServingPlan, node: Node, path: str) -> Output | Unknown:
    """Return what the way in answered, as the node asked it."""
    said = node.snapshot.command(plan.edge.asks(path))
    if said is None:
        return Unknown("there is no curl on the node")
    return said


def _status(said: Output) -> str:
    """Return the status in the last line that curl printed; 000 where there was no answer."""
    return (said.output.split() or ["000"])[-1]
