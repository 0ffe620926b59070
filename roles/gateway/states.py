"""Which nodes are up, as the gateway tells its host, and why others are not."""

from __future__ import annotations

from collections.abc import Mapping

from bramble.edge import findings
from bramble.roles.gateway.wanted import CHECKED, STATES, STATUS
from bramble.snapshot import Snapshot, Unknown
from bramble.system import exposition

DRAINED = "it is drained: see gateway.nodes_answer"
UP, NOT_TOLD = "up", "the gateway does not tell of it"
# What HAProxy calls the ends of its checks.
REASONS = {
    "L4CON": "nothing listens there",
    "L4TOUT": "nobody answers there",
    "L6RSP": "its certificate is not believed",
    "L6TOUT": "it begins no TLS",
    "L7OK": "a connection failed since it was asked",
    "L7RSP": "it serves another model",
    "L7STS": "it does not take the gateway's key, or its model is not ready",
    "L7TOUT": "it does not name its models in time",
}


def states(look: Snapshot) -> Mapping[tuple[str, str], str] | Unknown:
    """Return the state of each node by its pool and name; none where the gateway told nothing."""
    said = findings.told(look, STATES)
    if isinstance(said, Unknown):
        return said
    try:
        samples = exposition.parse(said.output)
    except ValueError:
        return {}
    told: dict[str, dict[tuple[str, str], str]] = {STATUS: {}, CHECKED: {}}
    for one in samples:
        if one.name in told and {"proxy", "server", "state"} <= one.labels.keys():
            told[one.name][one.labels["proxy"], one.labels["server"]] = one.labels["state"]
    return {node: _state(status, told[CHECKED].get(node)) for node, status in told[STATUS].items()}


def _state(status: str, checked: str | None) -> str:
    """Return a node's state: HAProxy takes one for up that it has not asked yet."""
    if checked is None:
        return "it has not been asked yet"
    if status == "DRAIN":
        return DRAINED
    return UP if (status, checked) == ("UP", "L7OK") else REASONS.get(checked, checked)
