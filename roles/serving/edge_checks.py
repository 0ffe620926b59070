"""What serving proves of the way in from the network, or of its absence."""

from __future__ import annotations

from bramble.checks import Finding, Node, check, expect, skip, unknown
from bramble.edge import findings
from bramble.edge.wanted import CERTIFICATE_DAYS
from bramble.roles.serving.wanted import ServingPlan
from bramble.snapshot import Unknown

LOCAL = "serving.expose is local: nothing lets clients of the network in"
NO_MODEL = "llama-server is not ready: see serving.health_is_ok."


@check()
def edge_is_as_exposed(plan: ServingPlan, node: Node) -> Finding:
    """The way in from the network runs and starts at boot where the model is exposed, and only there."""
    if plan.edge.there:
        return findings.runs(plan.edge, node.snapshot)
    want, name = "no way in from the network", plan.edge.place.unit
    unit = node.snapshot.unit(name)
    if isinstance(unit, Unknown):
        return unknown(want, unit)
    ok = unit.active in ("inactive", "") or unit.load == "not-found"
    return expect(want, want if ok else f"{name} is {unit.active}", ok, findings.DEPLOY)


@check()
def edge_answers_as_planned(plan: ServingPlan, node: Node) -> Finding:
    """The way in runs the planned configuration, with the planned keys, and reaches the model."""
    if not plan.edge.there:
        return skip("an answer", LOCAL)
    return findings.answers(plan.edge, node.snapshot, NO_MODEL)


@check()
def edge_asks_for_a_key(plan: ServingPlan, node: Node) -> Finding:
    """Without a key the way in gives nothing of the model, not even its name."""
    if not plan.edge.there:
        return skip("HTTP 401", LOCAL)
    return findings.asks_for_a_key(plan.edge, node.snapshot)


@check()
def edge_tells_its_figures(plan: ServingPlan, node: Node) -> Finding:
    """The way in tells the node itself what it is asked and refuses, by a socket of its file system."""
    if not plan.edge.there:
        return skip(f"HTTP 200 by {plan.edge.place.figures}", LOCAL)
    return findings.tells_its_figures(plan.edge, node.snapshot)


@check()
def edge_is_bound_as_planned(plan: ServingPlan, node: Node) -> Finding:
    """The way in alone listens on its port, on the planned address; its program listens nowhere else."""
    if not plan.edge.there:
        return skip("its port", LOCAL)
    return findings.bound(plan.edge, node.snapshot)


@check()
def edge_is_held_by_its_sandbox(plan: ServingPlan, node: Node) -> Finding:
    """The way in has its unit as written in systemd's memory, and the kernel holds it to its sandbox."""
    if not plan.edge.there:
        return skip("held as its unit says", LOCAL)
    return findings.held(plan.edge, node.snapshot)


@check(severity="warn")
def debians_haproxy_is_off(plan: ServingPlan, node: Node) -> Finding:
    """Debian's own unit of HAProxy does not run beside the way in, unless somebody configured it."""
    return findings.debians_is_off(node.snapshot) if plan.edge.there else skip("off", LOCAL)


@check(severity="warn")
def edge_certificate_lasts(plan: ServingPlan, node: Node) -> Finding:
    """The certificate of the way in is valid for a month more."""
    if plan.edge.expose != "tls":
        want = f"valid for {CERTIFICATE_DAYS} days more"
        return skip(want, f"serving.expose is {plan.edge.expose}: there is no certificate")
    return findings.certificate_lasts(plan.edge, node.snapshot)
