"""What a gateway wants: HAProxy in a unit of its own, configured by what the inventory has of nodes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from bramble.access.keys import Client
from bramble.board import Board
from bramble.edge import steps as way_in
from bramble.edge import wanted as edges
from bramble.edge.wanted import LOOPBACKS, PATHS, EdgePlan
from bramble.node import sandbox
from bramble.outputs import GatewayOutputs
from bramble.plan import FactsNeeded, File, Inputs, NodePlan, identity, together
from bramble.prepared import Prepared
from bramble.render import render
from bramble.roles.gateway import asking, nodes, questions
from bramble.roles.gateway.clients import Everybody, limited, passed_by
from bramble.roles.gateway.nodes import AUTO, Pool, Server
from bramble.roles.gateway.settings import Settings
from bramble.roles.gateway.wanted import (
    CHECKED,
    KEEPS,
    KEPT,
    KEY_GROUP,
    KEY_MODE,
    MODELS,
    NODE_KEY,
    PLACE,
    PLACES,
    STATES,
    GatewayPlan,
)
from bramble.secret_sources import Missing
from bramble.snapshot import Snapshot
from bramble.steps import Step

# Heads beside the longest body.
BUFFER_BYTES = 1 << 20


def addressed(settings: Settings, host: str) -> EdgePlan:
    """Return the way in by its address alone."""
    return edges.addressed(PLACE, settings.expose, host, settings, settings.listens_at)


def facts_needed(settings: Settings, inputs: Inputs) -> FactsNeeded:
    """Ask for files, the unit and its program, what strangers are answered, and which nodes are up."""
    own = FactsNeeded(
        secret=(NODE_KEY,),
        commands=(STATES,),
        properties=sandbox.PROPERTIES,
    )
    way_in = edges.facts_needed(addressed(settings, inputs.host))
    return together((way_in, own, asking.FACTS))


def plan(settings: Settings, board: Board, inputs: Inputs) -> GatewayPlan:
    """Plan the configuration by what nodes serve now, and the key that this run was given."""
    host, prepared = inputs.host, inputs.prepared
    servers = nodes.servers(settings.nodes, prepared)
    pools = nodes.pools(servers)
    key = prepared.secret(settings.secrets.node_key)
    client = prepared.clients.get(settings.client)
    routes = nodes.routes(pools, settings.aliases, settings.default_model)
    found = addressed(settings, host)
    files = tuple(_files(settings, found, prepared, pools, routes))
    plan_id = identity([[file.text for file in files], client.key.sha256 if client else ""])
    text = _configuration(settings, found, pools, routes, plan_id)
    config = File(path=PLACE.config, text=text)
    secret = () if isinstance(key, Missing) else (_key_file(key),)
    several = questions.asked(pools, prepared)
    asks = asking.files(several, pools, settings.answers, settings.rolling)
    edge = replace(
        found,
        clients=tuple(sorted(_clients(settings, prepared))),
        refusals=tuple(edges.lacking("gateway.expose", settings.expose, host, prepared)),
        plan_id=plan_id,
        files=(config, *files[1:], *secret),
    )
    return GatewayPlan(
        outputs=GatewayOutputs(
            exposed_port=found.port,
            allow=settings.allow,
            figures=PLACE.figures,
            queue=settings.queue,
            pools={pool.name: pool.models for pool in pools},
        ),
        packages=edges.packages(settings.expose),
        files=(*edge.files, *asks),
        edge=edge,
        asking=asks,
        pools=pools,
        is_asked=questions.any_known(several),
        every_s=settings.answers.every_s,
        deadline_s=settings.answers.deadline_s,
        missing=key.why if isinstance(key, Missing) else None,
        problems=tuple(_problems(settings, prepared, servers, key)),
        noted=(
            *_noted(servers, prepared),
            *passed_by(settings.clients, _allowed(servers, prepared)),
        ),
    )


def _files(
    settings: Settings,
    found: EdgePlan,
    prepared: Prepared,
    pools: tuple[Pool, ...],
    routes: Mapping[str, str],
) -> Iterator[File]:
    """Yield all files but that of the key: the configuration first, yet without the identity."""
    tls = settings.expose == "tls"
    certificate = prepared.certificates.get(found.host, "") if tls else None
    addresses = (one.address for pool in pools for one in pool.servers)
    unit = render(
        "gateway/bramble-gateway.service.j2",
        config=PLACE.config,
        allow=edges.networks((*LOOPBACKS, *settings.allow, *addresses)),
        log=settings.log,
        runtime=edges.runtime_folder(PLACE),
        keeps=KEEPS,
        state=PurePosixPath(KEPT).parent.name,
    )
    yield File(path=PLACE.config, text=_configuration(settings, found, pools, routes, ""))
    yield File(path=PLACE.unit_file, text=unit)
    text = render("gateway/models.map.j2", routes=routes.items())
    yield File(path=MODELS, text=text)
    keys = edges.keys_map(_clients(settings, prepared), "gateway")
    yield from edges.common_files(found, keys, certificate, prepared.authority)
    if certificate is None and any(one.tls for pool in pools for one in pool.servers):
        yield File(path=PLACE.authority, text=prepared.authority or "")


def _clients(settings: Settings, prepared: Prepared) -> dict[str, Client]:
    """Return those who may use it: everybody with a key but the gateway itself."""
    return {name: one for name, one in prepared.clients.items() if name != settings.client}


def _key_file(key: str) -> File:
    """Return the file of the key that nodes know the gateway by, as HAProxy's maps have it."""
    text = f"# nodes.map, role gateway: bramble owns this file.\nall {key}\n"
    return File(path=NODE_KEY, text=text, mode=KEY_MODE, group=KEY_GROUP, secret=True)


def _configuration(
    settings: Settings,
    found: EdgePlan,
    pools: tuple[Pool, ...],
    routes: Mapping[str, str],
    plan_id: str,
) -> str:
    everybody = Everybody(
        pools=pools,
        routes=routes,
        models=nodes.further_names(settings.aliases, settings.default_model),
        requests_per_minute=settings.requests_per_minute,
        at_once=settings.at_once,
        queue=settings.queue,
        queue_s=settings.queue_s,
    )
    return render(
        "gateway/haproxy.cfg.j2",
        tls=settings.expose == "tls",
        bind=found.bind,
        buffer_bytes=BUFFER_BYTES,
        allow=(*LOOPBACKS, *settings.allow),
        connections_per_address=settings.connections_per_address,
        plan_id=plan_id,
        body_bytes=settings.body_bytes,
        requests_per_minute=settings.requests_per_minute,
        at_once=settings.at_once,
        queue=settings.queue,
        queue_s=settings.queue_s,
        figures=PLACE.figures,
        admin=PLACES["admin"],
        questions=PLACES["socket"],
        kept=KEPT,
        paths=PATHS,
        names=edges.listing(name for name in routes if name != AUTO),
        pools=pools,
        everybody=everybody,
        clients=limited(settings.clients, everybody),
    )


def _problems(
    settings: Settings, prepared: Prepared, servers: tuple[Server, ...], key: str | Missing
) -> Iterator[str]:
    """Find what keeps the nodes from being asked: none of them, no key, or one that is not theirs."""
    if not servers:
        yield "gateway.nodes: no host of the inventory lets the gateway in; set its serving.expose"
    if any(one.tls for one in servers) and prepared.authority is None:
        several = ", ".join(one.host for one in servers if one.tls)
        yield (
            f"gateway.nodes: {several} is met by TLS, and there is no tls/ca.crt in the inventory to "
            "verify it by; run `bramble tls issue` for it"
        )
    client = prepared.clients.get(settings.client)
    if client is None:
        if not prepared.clients_error:
            yield (
                f"gateway.client: no client {settings.client} is in keys.lock, so no node would let the "
                f"gateway in; run `bramble key create {settings.client}`, and keep what it shows where "
                "gateway.secrets.node_key says"
            )
        return
    hashes = {one.sha256 for one in client.valid}
    if isinstance(key, str) and hashlib.sha256(key.encode()).hexdigest() not in hashes:
        yield (
            f"gateway.secrets.node_key: what is kept there is not the key that keys.lock has of "
            f"{settings.client}; `bramble key rotate {settings.client}` shows a new one"
        )


def _allowed(servers: tuple[Server, ...], prepared: Prepared) -> dict[str, tuple[str, ...]]:
    """Return the networks that each node lets in."""
    several = {one.host: nodes.serving(prepared.hosts[one.host]) for one in servers}
    return {host: part.edge.allow for host, part in several.items() if part is not None}


def _noted(servers: tuple[Server, ...], prepared: Prepared) -> Iterator[str]:
    """Tell of nodes that are held to another file than the inventory names under the same name."""
    named = nodes.as_named(prepared)
    for one in servers:
        before = nodes.server(one.host, named)
        for model, sha256 in one.models.items():
            meant = before.models.get(model) if before else None
            if meant != sha256:
                yield (
                    f"{one.host} serves {model} (sha256 {sha256[:12]}) by engine.lock, and not what the "
                    "inventory names: the gateway leads to it by that name"
                )


def steps(plan: GatewayPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """See that there is a key for the nodes, then have HAProxy run what is planned."""
    servers = sum(len(pool.servers) for pool in plan.pools)
    # Until it has asked each node once, it takes all of them for up.
    awaited = {"command": STATES, "text": f"{CHECKED}{{", "times": servers}
    written = asking.written(plan.asking, snapshot)
    ran = way_in.steps(plan.edge, snapshot, plan.kept, awaited)
    return (_key(plan, snapshot), written, *ran, asking.run(written, plan.deadline_s, snapshot))


def _key(plan: GatewayPlan, snapshot: Snapshot) -> Step:
    """Refuse to go on without a key, as HAProxy would not start without it."""
    name = "See that the gateway has the key that its nodes know"
    if plan.missing is None or snapshot.file(NODE_KEY) is not None:
        return Step(name, None)
    why = (
        f"gateway.secrets.node_key: {plan.missing}, and {plan.edge.host} has none yet: give it in "
        "this run"
    )
    return Step(name, why, "refuse", {"why": why})


def revert(plan: GatewayPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """End it and all that asks its nodes, and remove its files, its keys among them; HAProxy stays."""
    return (*asking.revert(snapshot), *way_in.revert(PLACE, snapshot))
