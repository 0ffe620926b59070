"""What the node's own figures say of whatever lets clients of the network in."""

from __future__ import annotations

from bramble.outputs import GatewayOutputs, ServingOutputs
from bramble.plan import NodePlan
from bramble.roles.monitoring.wanted import TEXTFILE
from bramble.snapshot import FileState, Snapshot, Unknown
from bramble.system import exposition

WAY_IN, GATEWAY = "bramble_edge_up", "bramble_gateway_up"


def expected(node: NodePlan) -> tuple[str, ...]:
    """Return the figures that are to be 1."""
    service = node.outputs.find(ServingOutputs)
    own = (WAY_IN,) if service is not None and service.figures is not None else ()
    return own if node.outputs.find(GatewayOutputs) is None else (*own, GATEWAY)


def told(name: str, look: Snapshot) -> float | Unknown | None:
    """Return a figure; None where it is not told. Raise ValueError for a text of another form."""
    seen = look.file(TEXTFILE)
    if isinstance(seen, Unknown):
        return seen
    text = (seen.text or "") if isinstance(seen, FileState) else ""
    return exposition.value(exposition.parse(text), name)


def down(node: NodePlan, look: Snapshot) -> str | None:
    """Return that figures tell of one that is down, which an earlier role of this run has mended."""
    try:
        names = [name for name in expected(node) if told(name, look) == 0]
    except ValueError:
        return None
    return f"it found that {' and '.join(names)} is 0, and is to look again" if names else None
