"""What gateway proves: that it runs as planned, lets nobody in without a key, and sees its nodes."""

from __future__ import annotations

from bramble.checks import Finding, Node, check, expect, skip, unknown
from bramble.edge import findings
from bramble.edge.states import NOT_TOLD, UP
from bramble.edge.wanted import CERTIFICATE_DAYS
from bramble.owned import as_written
from bramble.roles.gateway import answers, asking
from bramble.roles.gateway.states import states
from bramble.roles.gateway.wanted import (
    ASK,
    KEY_GROUP,
    KEY_MODE,
    NODE_KEY,
    PLACE,
    TIMER,
    GatewayPlan,
)
from bramble.snapshot import Unknown
from bramble.steps import write_files

NO_NODE = "No node is up for it: see gateway.nodes_are_up."
WHY_DOWN = (
    f"`sudo journalctl -u {PLACE.unit}` says why it is down for the gateway, and `bramble verify` of "
    "the node what that lacks. After a change of its model, port or keys: deploy it, then the gateway."
)


@check()
def runs(plan: GatewayPlan, node: Node) -> Finding:
    """The gateway runs, and starts at boot."""
    return findings.runs(plan.edge, node.snapshot)


@check()
def files_are_as_written(plan: GatewayPlan, node: Node) -> Finding:
    """Each file that this role writes stands as it was written: text, mode and owner."""
    return as_written(plan, [write_files("Files", plan.files, node.snapshot)], node.snapshot)


@check()
def answers_as_planned(plan: GatewayPlan, node: Node) -> Finding:
    """The gateway runs the planned configuration, with the planned keys, and reaches a node."""
    return findings.answers(plan.edge, node.snapshot, NO_NODE)


@check()
def asks_for_a_key(plan: GatewayPlan, node: Node) -> Finding:
    """Without a key the gateway gives nothing, not even the names of models."""
    return findings.asks_for_a_key(plan.edge, node.snapshot)


@check()
def tells_its_figures(plan: GatewayPlan, node: Node) -> Finding:
    """The gateway tells its host what it is asked and refuses, by a socket of its file system."""
    return findings.tells_its_figures(plan.edge, node.snapshot)


@check()
def is_bound_as_planned(plan: GatewayPlan, node: Node) -> Finding:
    """The gateway alone listens on its port, at the planned address; its program nowhere else."""
    return findings.bound(plan.edge, node.snapshot)


@check()
def is_held_by_its_sandbox(plan: GatewayPlan, node: Node) -> Finding:
    """The gateway has its unit in systemd's memory as written, and the kernel holds it to that."""
    return findings.held(plan.edge, node.snapshot)


@check()
def key_is_the_services_alone(plan: GatewayPlan, node: Node) -> Finding:
    """The key that nodes know the gateway by is there, and nobody but root and the service reads it."""
    want, seen = f"mode {KEY_MODE:04o}, root:{KEY_GROUP}", node.snapshot.file(NODE_KEY)
    if isinstance(seen, Unknown):
        return unknown(want, seen)
    remedy = "Deploy again, with the key of gateway.secrets.node_key given in that run."
    if seen is None:
        return expect(want, f"there is no {NODE_KEY}", False, remedy)
    got = f"mode {seen.mode:04o}, {seen.owner}:{seen.group}"
    got = got if seen.kind == "file" else f"a {seen.kind}, {got}"
    return expect(want, got, got == want, remedy)


@check()
def models_have_a_node(plan: GatewayPlan, node: Node) -> Finding:
    """For each model of the fleet a node is up, as the gateway sees it."""
    want, seen = "a node for each model", states(node.snapshot)
    if isinstance(seen, Unknown):
        return unknown(want, seen)
    without = [
        model
        for pool in plan.pools
        for model in pool.models
        if not any(seen.get((pool.name, one.host)) == UP for one in pool.servers)
    ]
    return expect(
        want, f"none for {', '.join(without)}" if without else want, not without, WHY_DOWN
    )


@check(severity="warn")
def nodes_are_up(plan: GatewayPlan, node: Node) -> Finding:
    """Each node is up as the gateway sees it: it took its key, and named the planned models."""
    want, seen = ", ".join(plan.hosts), states(node.snapshot)
    if isinstance(seen, Unknown):
        return unknown(want, seen)
    found = {
        one.host: seen.get((pool.name, one.host), NOT_TOLD)
        for pool in plan.pools
        for one in pool.servers
    }
    down = [f"{host}: {state}" for host, state in found.items() if state != UP]
    return expect(want, "; ".join(down) or want, not down, WHY_DOWN)


@check()
def asks_for_known_answers(plan: GatewayPlan, node: Node) -> Finding:
    """The nodes are asked for a known answer again and again, and will be after the next boot."""
    want = f"{TIMER} active and enabled, as it is written"
    for name in (ASK, TIMER):
        if isinstance(unit := node.snapshot.unit(name), Unknown):
            return unknown(want, unit)
    problem = asking.not_asking(node.snapshot)
    return expect(want, problem or want, problem is None, "Deploy again.")


@check(severity="warn")
def nodes_answer(plan: GatewayPlan, node: Node) -> Finding:
    """No node is drained: each says what is expected of it, and none is taken out."""
    return answers.judged(plan, node.snapshot)


@check(severity="warn")
def debians_haproxy_is_off(plan: GatewayPlan, node: Node) -> Finding:
    """Debian's own unit of HAProxy does not run beside the gateway, unless somebody configured it."""
    return findings.debians_is_off(node.snapshot)


@check(severity="warn")
def certificate_lasts(plan: GatewayPlan, node: Node) -> Finding:
    """The certificate of the gateway is valid for a month more."""
    if plan.edge.expose != "tls":
        want = f"valid for {CERTIFICATE_DAYS} days more"
        return skip(want, f"gateway.expose is {plan.edge.expose}: there is no certificate")
    return findings.certificate_lasts(plan.edge, node.snapshot)
