"""What is found of a way in that is to be there, for the checks of whoever has one."""

from __future__ import annotations

from bramble.checks import Finding, expect, skip, unknown
from bramble.edge import steps
from bramble.edge.settings import bracketed
from bramble.edge.wanted import CERTIFICATE_DAYS, DEBIANS_CONFIG, PROGRAM, EdgePlan
from bramble.node import sandbox
from bramble.snapshot import Output, Snapshot, Unknown
from bramble.steps import lacking

DEPLOY = "Run the deploy again."


def journal(plan: EdgePlan) -> str:
    """Return where to read why its unit does not do what it is to do."""
    return f"sudo journalctl -u {plan.place.unit} says why."


def runs(plan: EdgePlan, look: Snapshot) -> Finding:
    """Tell whether its unit runs, and starts at boot."""
    want, unit = "active, enabled", look.unit(plan.place.unit)
    if isinstance(unit, Unknown):
        return unknown(want, unit)
    got = f"{unit.active}, {unit.enabled or unit.load}"
    return expect(want, got, got == want, journal(plan))


def answers(plan: EdgePlan, look: Snapshot, otherwise: str) -> Finding:
    """Tell whether it runs what is planned; `otherwise` is the remedy where no model is ready."""
    want = f"plan {plan.plan_id}, HTTP 200"
    said = _said(plan, look, "/health")
    if isinstance(said, Unknown):
        return unknown(want, said)
    if problem := steps.otherwise(plan, look):
        return expect(want, problem, False, f"{DEPLOY} {journal(plan)}")
    got = f"plan {plan.plan_id}, HTTP {_status(said)}"
    return expect(want, got, got == want, otherwise)


def asks_for_a_key(plan: EdgePlan, look: Snapshot) -> Finding:
    """Tell whether somebody without a key is refused."""
    want = "HTTP 401"
    said = _said(plan, look, "/v1/models")
    if isinstance(said, Unknown):
        return unknown(want, said)
    got = f"HTTP {_status(said)}"
    end = f"End it now (sudo systemctl stop {plan.place.unit}), deploy."
    return expect(want, got, got == want, end)


def tells_its_figures(plan: EdgePlan, look: Snapshot) -> Finding:
    """Tell whether the node itself can read what is asked and refused."""
    want = f"HTTP 200 by {plan.place.figures}"
    said = told(look, plan.tells)
    if isinstance(said, Unknown):
        return unknown(want, said)
    got = f"HTTP {_status(said)} by {plan.place.figures}"
    return expect(want, got, got == want, f"{DEPLOY} {journal(plan)}")


def bound(plan: EdgePlan, look: Snapshot) -> Finding:
    """Tell whether it alone listens on its port, and its program nowhere else."""
    want = f"{bracketed(plan.address) if plan.address else 'every address'}:{plan.port}"
    for seen in (look.sockets, look.programs):
        if isinstance(seen, Unknown):
            return unknown(want, seen)
    assert not isinstance(look.sockets, Unknown)
    assert not isinstance(look.programs, Unknown)
    running = look.programs.get(PROGRAM, ())
    own = {one.pid for one in running if one.cgroup.endswith(f"/{plan.place.unit}")}
    held = [one for one in look.sockets if one.port == plan.port or own & {*one.pids}]
    # Who has the same socket as ours got it from there: a process that a reload ended, and that is
    # gone by the time when programs are looked at.
    others = sorted({pid for one in held if not own & {*one.pids} for pid in one.pids})
    found = {(one.address, one.port) for one in held}
    got = ", ".join(f"{bracketed(address)}:{port}" for address, port in sorted(found))
    if others:
        remedy = f"It is not bramble's: end it (sudo kill {' '.join(map(str, others))}), deploy."
        return expect(want, f"{got}, held by process {', '.join(map(str, others))}", False, remedy)
    wanted = {(plan.address or "*", plan.port)}
    return expect(
        want, want if found == wanted else got or "nothing", found == wanted, journal(plan)
    )


def held(plan: EdgePlan, look: Snapshot) -> Finding:
    """Tell whether its unit is in force as written, by systemd and by the kernel."""
    want = "held as its unit says"
    unit = look.unit(plan.place.unit)
    if isinstance(unit, Unknown):
        return unknown(want, unit)
    if isinstance(unit.process, Unknown):
        return unknown(want, unit.process)
    if unit.process is None:
        return expect(want, "no process", False, journal(plan))
    problems = (
        *(f"{path} changes it" for path in sandbox.drop_ins(unit)),
        *sandbox.loaded_otherwise(plan.place.unit_file, plan.unit_text, unit),
        *sandbox.not_held(plan.unit_text, unit.process),
    )
    return expect(want, "; ".join(problems) or want, not problems, DEPLOY)


def debians_is_off(look: Snapshot) -> Finding:
    """Tell whether Debian's own unit is off, unless somebody configured it."""
    want = "off"
    if isinstance(look.units, Unknown):
        return unknown(want, look.units)
    if lacking((PROGRAM,), look):
        return expect(want, f"{PROGRAM} is not installed", False, DEPLOY)
    if steps.listening(look):
        return skip(want, f"{DEBIANS_CONFIG} listens, and is somebody's own")
    problem = steps.debians_runs(look)
    return expect(want, problem or want, problem is None, DEPLOY)


def certificate_lasts(plan: EdgePlan, look: Snapshot) -> Finding:
    """Tell whether its certificate is valid for a month more."""
    want = f"valid for {CERTIFICATE_DAYS} days more"
    said = look.command(plan.lasts)
    if isinstance(said, Unknown):
        return unknown(want, said)
    if said is None or said.code not in (0, 1):
        return unknown(want, Unknown(said.output.strip() if said else "there is no openssl"))
    remedy = f"bramble tls issue {plan.host}, then deploy."
    return expect(want, want if said.code == 0 else said.output.strip(), said.code == 0, remedy)


def told(look: Snapshot, command: str) -> Output | Unknown:
    """Return what curl was answered."""
    said = look.command(command)
    return Unknown("there is no curl on the node") if said is None else said


def _said(plan: EdgePlan, look: Snapshot, path: str) -> Output | Unknown:
    """Return what the way in answered, as the node asked it."""
    return told(look, plan.asks(path))


def _status(said: Output) -> str:
    """Return the status in the last line that curl printed; 000 where there was no answer."""
    return (said.output.split() or ["000"])[-1]
