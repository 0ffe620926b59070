"""What single clients of a gateway may use: which models, how much of them, and who goes first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Literal

from bramble.access.keys import Client
from bramble.documents.problems import found as seen
from bramble.documents.problems import unknown
from bramble.edge.wanted import listing
from bramble.prepared import Amiss
from bramble.roles.gateway.nodes import AUTO, Pool
from bramble.settings import Section, option


class ClientSettings(Section):
    """What one client may use, by its name in keys.lock; who is not named has the gateway's own."""

    models: tuple[str, ...] | None = option(
        None,
        help="Models that it may ask for, under every name that leads to them; not set: all.",
        example=["qwen2.5-1.5b-instruct-q4_k_m"],
    )
    requests_per_minute: int | None = option(
        None,
        help="Its requests in a minute; not set: gateway.requests_per_minute.",
        ge=1,
        le=1_000_000,
    )
    at_once: int | None = option(
        None,
        help="Its requests at the same time, waiting ones too; not set: gateway.at_once.",
        ge=1,
        le=1000,
    )
    queue: int | None = option(
        None,
        help="How many of its requests may wait for a slot; not set, and for who is not named: half of "
        "gateway.queue, so that nobody fills it alone.",
        ge=1,
        le=1000,
    )
    priority: Literal["interactive", "batch"] = option(
        "interactive",
        help="`batch`: its requests let those go first that come in the next half of gateway.queue_s.",
    )


@dataclass(frozen=True)
class Everybody:
    """What of a gateway clients can be given: its pools, its names, and its own limits."""

    pools: tuple[Pool, ...]
    routes: Mapping[str, str]
    models: Mapping[str, str]
    """The model that each further name leads to."""
    requests_per_minute: int
    at_once: int
    queue: int
    queue_s: int

    @property
    def share(self) -> int:
        """How many requests of a client may wait where nothing is said of it."""
        return max(self.queue // 2, 1)

    @property
    def batch_ms(self) -> int:
        """By how much a request of a batch counts as later than it came."""
        return self.queue_s * 1000 // 2


@dataclass(frozen=True)
class Limited:
    """A client as the configuration has it; `pools` and `names` are None where it may ask for all."""

    name: str
    requests_per_minute: int
    at_once: int
    queue: int
    batch: bool
    pools: tuple[str, ...] | None
    names: str | None


def limited(clients: Mapping[str, ClientSettings], of: Everybody) -> tuple[Limited, ...]:
    """Return the clients that are named, each with what it has of its own and what all have."""
    return tuple(_limited(name, one, of) for name, one in clients.items())


def _limited(name: str, own: ClientSettings, of: Everybody) -> Limited:
    pools = None if own.models is None else open_to(own.models, of.pools, of.models)
    names = (one for one, pool in of.routes.items() if one != AUTO and pool in (pools or ()))
    return Limited(
        name=name,
        requests_per_minute=own.requests_per_minute or of.requests_per_minute,
        at_once=own.at_once or of.at_once,
        queue=own.queue or of.share,
        batch=own.priority == "batch",
        pools=pools,
        names=None if pools is None else listing(names),
    )


def open_to(
    names: Sequence[str], pools: Sequence[Pool], models: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the pools whose nodes serve nothing but the models of these names.

    A request can name two models, of which HAProxy reads the first and llama-server the last.
    """
    allowed = {models.get(name, name) for name in names}
    return tuple(
        pool.name for pool in pools if all({*one.models} <= allowed for one in pool.servers)
    )


def passed_by(
    clients: Mapping[str, ClientSettings], allowed: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """Tell of nodes that clients can ask past the gateway, by the networks that each node allows."""
    several = [
        host for host, nets in allowed.items() if any(ip_network(n).num_addresses > 1 for n in nets)
    ]
    if clients and several:
        yield (
            f"gateway.clients holds only who asks the gateway, and the same keys open "
            f"{', '.join(several)} to whole networks: set serving.edge.allow there to the gateway's "
            "address alone"
        )


def amiss(
    clients: Mapping[str, ClientSettings],
    own: str,
    known: Mapping[str, Client] | None,
    pools: Sequence[Pool],
    models: Mapping[str, str],
) -> Iterator[Amiss]:
    """Find clients without a key, and models that there are not or that cannot be told apart.

    `own` is the gateway's name as a client of its nodes; `known` is None where keys.lock cannot be read.
    """
    for name, one in clients.items():
        if name == own:
            yield Amiss(
                ("clients", name),
                f"{name} is the gateway itself, as its nodes know it (gateway.client): it is no client "
                "of its own; take it out",
            )
        elif known is not None and name not in known:
            others = [other for other in known if other != own]
            yield Amiss(
                ("clients", name),
                f"no client {name} is in keys.lock (`bramble key create {name}` gives it a key); "
                f"{unknown(name, others)}",
            )
        yield from _models(name, one.models, pools, models)


def _models(
    client: str, named: tuple[str, ...] | None, pools: Sequence[Pool], models: Mapping[str, str]
) -> Iterator[Amiss]:
    """Find what is wrong with the models that a client may ask for."""
    if named is None or not pools:
        return
    place = ("clients", client, "models")
    if not named:
        yield Amiss(place, f"{client} may ask for no model: name one, or run `bramble key revoke`")
    by_model = {model: pool for pool in pools for model in pool.models}
    allowed = {models.get(name, name) for name in named}
    for at, name in enumerate(named):
        pool = by_model.get(models.get(name, name))
        if pool is None:
            known = [*by_model, *models]
            yield Amiss(
                (*place, at), f"{seen((), name)}: no node serves it; {unknown(name, known)}"
            )
            continue
        for node in pool.servers:
            if beside := sorted({*node.models} - allowed):
                yield Amiss(
                    (*place, at),
                    f"{node.host} serves {', '.join(beside)} besides, and a request can name both, so "
                    f"{client} cannot be held to {name} there: allow all of them, or have a node of "
                    "its own serve each",
                )
                break
