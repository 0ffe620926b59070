"""Which nodes are up, as the gateway tells its host, and why others are not."""

from __future__ import annotations

from collections.abc import Mapping

from bramble.edge import findings
from bramble.edge.states import state
from bramble.roles.gateway.wanted import CHECKED, STATES, STATUS
from bramble.snapshot import Snapshot, Unknown
from bramble.system import exposition


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
    return {node: state(status, told[CHECKED].get(node)) for node, status in told[STATUS].items()}
