"""A gateway as `bramble status` tells it: who waits for which models, and how its nodes are. Values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from bramble.edge.states import NOT_TOLD, UP, state
from bramble.outputs import LedPool
from bramble.sanitize import sanitize, sentence
from bramble.status.said import Said

SERVICE, SOCKET = "bramble-gateway.service", "/run/bramble-gateway/figures.sock"


class Value(BaseModel):
    """A value that stays as it was made."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_serialization_defaults_required=True
    )


class NodeStatus(Value):
    """A node as a gateway sees it."""

    host: str
    state: str = Field(description="`up`, or why it is not.")
    busy: int | None = Field(default=None, description="Its slots that are used; null: not told.")
    slots: int = Field(description="Its slots.")

    @property
    def is_up(self) -> bool:
        """Whether the gateway leads to it."""
        return self.state == UP


class PoolStatus(Value):
    """Nodes that serve the same models, and who waits for them."""

    models: tuple[str, ...]
    waiting: int | None = Field(default=None, description="Requests that wait; null: not told.")
    queue: int = Field(description="How many may.")
    nodes: tuple[NodeStatus, ...]


def query(pools: Sequence[LedPool]) -> dict[str, Any]:
    """Return what the program `live` asks a gateway by."""
    return {"unit": SERVICE, "socket": SOCKET, "pools": [pool.name for pool in pools]}


def pools(planned: Sequence[LedPool], queue: int, said: Said) -> tuple[PoolStatus, ...]:
    """Return the planned pools as the gateway tells of them."""
    waiting, nodes = said.queues or {}, said.nodes or {}
    return tuple(
        PoolStatus(
            models=tuple(map(sentence, pool.models)),
            waiting=waiting.get(pool.name),
            queue=queue,
            nodes=tuple(
                _node(host, slots, nodes.get(f"{pool.name}/{host}"))
                for host, slots in pool.slots.items()
            ),
        )
        for pool in planned
    )


def _node(host: str, slots: int, told: Mapping[str, int | str] | None) -> NodeStatus:
    if told is None:
        return NodeStatus(host=host, state=NOT_TOLD, slots=slots)
    words = [told.get(name) for name in ("state", "check")]
    status, checked = (one if isinstance(one, str) else None for one in words)
    busy, had = told.get("busy"), told.get("slots")
    return NodeStatus(
        host=host,
        state=sanitize(state(status or "", checked))[:100],
        busy=busy if isinstance(busy, int) else None,
        slots=had if isinstance(had, int) else slots,
    )


def problem(several: Sequence[PoolStatus], said: Said) -> tuple[bool, str]:
    """Return whether the gateway's service runs, and what is wrong with it; nothing where it is well.

    A node that is down is no problem as long as another one serves the same models.
    """
    runs = said.gateway == "active"
    if said.nodes is None:
        return runs, f"{SERVICE} is {said.gateway or 'not known to systemd'}, and tells no figures"
    without = [
        model
        for pool in several
        if not any(node.is_up for node in pool.nodes)
        for model in pool.models
    ]
    return runs, f"no node is up for {', '.join(without)}" if without else ""


def together(several: Sequence[PoolStatus]) -> tuple[int | None, int, int | None]:
    """Return the slots that are used, all slots, and who waits; None for what is not known whole.

    A node of several pools has its slots in each: they are counted once.
    """
    slots = {node.host: node.slots for pool in several for node in pool.nodes}
    nodes = [node for pool in several for node in pool.nodes if node.is_up]
    busy = [node.busy for node in nodes]
    waiting = [pool.waiting for pool in several]
    return _sum(busy), sum(slots.values()), _sum(waiting)


def _sum(several: Sequence[int | None]) -> int | None:
    known = [one for one in several if one is not None]
    return sum(known) if len(known) == len(several) else None


HEAD = ("GATEWAY", "MODELS", "NODE", "STATE", "SLOTS", "WAITING")


def rows(host: str, several: Sequence[PoolStatus]) -> list[tuple[str, ...]]:
    """Return a row for each node of a gateway, with who waits in the first one of its models."""
    found = list[tuple[str, ...]]()
    for pool in several:
        waiting = "?" if pool.waiting is None else f"{pool.waiting}/{pool.queue}"
        for node in pool.nodes:
            busy = "?" if node.busy is None else str(node.busy)
            models = ", ".join(pool.models) if node is pool.nodes[0] else ""
            first = waiting if node is pool.nodes[0] else ""
            found.append((host, models, node.host, node.state, f"{busy}/{node.slots}", first))
    return found


def short(several: Sequence[PoolStatus]) -> list[str]:
    """Return each node with its slots, or that it is down, and who waits, in a few words."""
    found = []
    for pool in several:
        for node in pool.nodes:
            busy = "?" if node.busy is None else str(node.busy)
            found.append(f"{node.host} {f'{busy}/{node.slots}' if node.is_up else 'down'}")
        if pool.waiting:
            found.append(f"{pool.waiting} wait")
    return found


def counted(several: Sequence[PoolStatus]) -> tuple[int, int]:
    """Return how many nodes are up, and how many there are."""
    ups = {node.host: node.is_up for pool in several for node in pool.nodes}
    return sum(ups.values()), len(ups)


def down(several: Sequence[PoolStatus]) -> list[str]:
    """Return the nodes that are not up, each once, with why."""
    said = {node.host: node.state for pool in several for node in pool.nodes if not node.is_up}
    return [f"{host} {why}" for host, why in said.items()]
