"""What monitoring proves: that figures are told, where they are told, and that they are new."""

from __future__ import annotations

from bramble.checks import Finding, Node, check, expect, skip, unknown
from bramble.owned import as_written
from bramble.roles.monitoring.plan import lacking, not_exporting, not_watching, steps
from bramble.roles.monitoring.wanted import (
    EXPORTER,
    METRICS,
    PUSH,
    TEXTFILE,
    TIMER,
    WATCHED,
    MonitoringPlan,
    secret_path,
)
from bramble.roles.monitoring.ways_in import GATEWAY, WAY_IN, expected, told
from bramble.snapshot import FileState, Unknown
from bramble.system import exposition

RUN = "bramble_run_timestamp_seconds"
RAN = "it ran and succeeded"
PATIENCE_RUNS = 3
DEPLOY = "Deploy again."
JOURNAL = "See `journalctl -u bramble-metrics -u bramble-push`, and deploy again."


@check()
def exporter_runs_as_planned(plan: MonitoringPlan, node: Node) -> Finding:
    """The exporter runs with the planned collectors, and will after the next boot."""
    want, look = "active and enabled, with the planned arguments", node.snapshot
    for seen in (look.packages, look.unit(EXPORTER), look.process(EXPORTER)):
        if isinstance(seen, Unknown):
            return unknown(want, seen)
    problem = not_exporting(plan, look)
    remedy = f"See `journalctl -u {EXPORTER}`, and deploy again."
    return expect(want, problem or want, problem is None, remedy)


@check()
def exporter_is_bound_as_planned(plan: MonitoringPlan, node: Node) -> Finding:
    """The exporter listens on the planned address, and on no other."""
    want, sockets = f"{plan.host}:{plan.port}", node.snapshot.sockets
    unit = node.snapshot.unit(EXPORTER)
    for seen in (sockets, unit):
        if isinstance(seen, Unknown):
            return unknown(want, seen)
    assert not isinstance(sockets, Unknown)
    assert not isinstance(unit, Unknown)
    main = unit.properties.get("MainPID", "")
    held = [one for one in sockets if one.port == plan.port or main in map(str, one.pids)]
    bound = sorted({f"{one.address}:{one.port}" for one in held})
    others = sorted({str(pid) for one in held for pid in one.pids} - {main})
    if others:
        got = f"{', '.join(bound)}, held by process {', '.join(others)}"
        remedy = f"It is not bramble's: end it (sudo kill {' '.join(others)}), then deploy."
        return expect(want, got, False, remedy)
    return expect(want, ", ".join(bound) or "nothing listens there", bound == [want], DEPLOY)


@check()
def figures_are_told(plan: MonitoringPlan, node: Node) -> Finding:
    """Whoever asks the exporter gets the node's own figures, of a look that is not old."""
    want, answer = _new(plan), node.snapshot.answer(plan.url)
    if isinstance(answer, Unknown):
        return unknown(want, answer)
    if answer.status != 200:
        got = f"HTTP {answer.status}" if answer.status else "nothing listens"
        return expect(want, got, False, f"See `journalctl -u {EXPORTER}`, and deploy again.")
    # Ours come first in an answer of which the look has the beginning alone.
    whole = answer.body[: answer.body.rfind("\n") + 1]
    return _told(plan, node, whole, want)


@check()
def textfile_is_new_and_readable(plan: MonitoringPlan, node: Node) -> Finding:
    """The node's own figures follow the rules of Prometheus' format, and are not old."""
    want, seen = _new(plan), node.snapshot.file(TEXTFILE)
    if isinstance(seen, Unknown):
        return unknown(want, seen)
    if not isinstance(seen, FileState) or seen.text is None:
        return expect(want, f"{TEXTFILE} is no file of text, or not there", False, JOURNAL)
    return _told(plan, node, seen.text, want)


@check()
def way_in_is_watched(plan: MonitoringPlan, node: Node) -> Finding:
    """Where clients of the network are let in, the node's own figures say what becomes of them."""
    return _watched(WAY_IN, "bramble-edge", "nothing lets clients of the network in", node)


@check()
def gateway_is_watched(plan: MonitoringPlan, node: Node) -> Finding:
    """On a gateway the host's own figures say what becomes of requests, of queues and of nodes."""
    return _watched(GATEWAY, "bramble-gateway", "this host is no gateway", node)


def _watched(name: str, unit: str, otherwise: str, node: Node) -> Finding:
    """Judge whether the node's own figures say that a way in tells its own; `otherwise`: no way in."""
    want = f"{name} is 1"
    if name not in expected(node.plan):
        return skip(want, otherwise)
    try:
        found = told(name, node.snapshot)
    except ValueError as error:
        return expect(want, f"they cannot be read: {error}", False, JOURNAL)
    if isinstance(found, Unknown):
        return unknown(want, found)
    got = "it is not told" if found is None else f"{name} is {found:.0f}"
    remedy = f"{DEPLOY} `journalctl -u {unit}` says why, if it is not told then."
    return expect(want, got, found == 1, remedy)


def _new(plan: MonitoringPlan) -> str:
    return f"figures of the last {_patience_s(plan)} s"


def _patience_s(plan: MonitoringPlan) -> int:
    """Return how old figures may be: a run may be under way, and wait for an answer."""
    return PATIENCE_RUNS * plan.every_s + plan.question_deadline_s


def _told(plan: MonitoringPlan, node: Node, text: str, want: str) -> Finding:
    try:
        samples = exposition.parse(text)
    except ValueError as error:
        return expect(want, f"they cannot be read: {error}", False, JOURNAL)
    at_s = exposition.value(samples, RUN)
    if at_s is None:
        return expect(want, f"no {RUN}", False, JOURNAL)
    age_s = node.snapshot.taken_at_s - at_s
    got = f"{len(samples)} figures, {age_s:.0f} s old"
    return expect(want, got, -60 <= age_s <= _patience_s(plan), JOURNAL)


@check()
def timer_is_active(plan: MonitoringPlan, node: Node) -> Finding:
    """The node watches itself again and again, and will after the next boot."""
    want = f"{TIMER} active and enabled, as it is written"
    for name in (TIMER, *plan.units):
        if isinstance(unit := node.snapshot.unit(name), Unknown):
            return unknown(want, unit)
    problem = not_watching(plan, node.snapshot)
    return expect(want, problem or want, problem is None, DEPLOY)


@check()
def last_run_succeeded(plan: MonitoringPlan, node: Node) -> Finding:
    """The node could watch itself the last time that it tried."""
    return _ran(METRICS, node)


@check(severity="warn")
def people_were_told(plan: MonitoringPlan, node: Node) -> Finding:
    """All who are to be told of changes could be told the last time."""
    if not plan.kinds:
        return skip(RAN, "monitoring.secrets is not set: nobody is told")
    return _ran(PUSH, node)


def _ran(name: str, node: Node) -> Finding:
    """Judge the last run of a service, of which systemd forgets the result when the next one begins."""
    unit = node.snapshot.unit(name)
    if isinstance(unit, Unknown):
        return unknown(RAN, unit)
    if unit.active in ("activating", "deactivating"):
        return skip(RAN, f"{name} runs at this moment")
    if unit.result == "success" and unit.properties.get("ExecMainExitTimestamp"):
        return expect(RAN, RAN, True, JOURNAL)
    got = "it has not run since the boot" if unit.result == "success" else unit.result
    return expect(RAN, f"{name}: {got or 'no result'}", False, JOURNAL)


@check()
def secrets_are_roots_alone(plan: MonitoringPlan, node: Node) -> Finding:
    """The node has a secret for each way to tell people, which root alone can read."""
    want, said = "a file of root's for each, mode 0600", []
    if not plan.kinds:
        return skip(want, "monitoring.secrets is not set: nobody is told")
    for kind in plan.kinds:
        seen = node.snapshot.file(secret_path(kind))
        if isinstance(seen, Unknown):
            return unknown(want, seen)
        if seen is None:
            said.append(f"{kind} has none")
        elif (seen.kind, seen.mode, seen.owner) != ("file", 0o600, "root"):
            said.append(f"{kind}: a {seen.kind}, mode {seen.mode:04o}, of {seen.owner}")
    given = ", ".join(f"monitoring.secrets.{kind}" for kind in lacking(plan, node.snapshot))
    remedy = f"Deploy again, and give {given or 'the secrets'} in that run."
    return expect(want, "; ".join(said) or want, not said, remedy)


@check()
def files_are_as_written(plan: MonitoringPlan, node: Node) -> Finding:
    """Each file and line that this role writes stands as it was written: text, mode and owner."""
    look = node.snapshot
    return as_written(plan, steps(plan, node.plan, look), look, look.file(WATCHED))
