"""Finds what is wrong with a gateway's settings by those of all hosts, before any is connected to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bramble.documents.problems import found as seen
from bramble.documents.problems import unknown
from bramble.outputs import ListeningSettings
from bramble.prepared import Amiss, Prepared
from bramble.roles.gateway import clients, nodes
from bramble.roles.gateway.clients import ClientSettings
from bramble.roles.gateway.nodes import AUTO, Pool, Server
from bramble.settings import Section, SshSettings


@dataclass(frozen=True)
class Asked:
    """What of a gateway's settings other hosts bear on."""

    host: str
    port: int
    address: str | None
    nodes: tuple[str, ...] | None
    aliases: Mapping[str, str]
    default_model: str | None
    client: str
    clients: Mapping[str, ClientSettings]


def found(asked: Asked, sections: Mapping[str, Section], prepared: Prepared) -> Iterator[Amiss]:
    """Find what is wrong with the nodes, the models' names and the port."""
    named = nodes.as_named(prepared)
    yield from _nodes(asked, named)
    servers = nodes.servers(asked.nodes, named)
    pools = nodes.pools(servers)
    yield from _one_file_for_a_name(servers)
    yield from _shares(pools, prepared)
    if servers:
        yield from _names(asked, pools)
    known = None if prepared.clients_error else prepared.clients
    models = nodes.further_names(asked.aliases, asked.default_model)
    yield from clients.amiss(asked.clients, asked.client, known, pools, models)
    yield from _port(asked, sections, servers)


def _nodes(asked: Asked, prepared: Prepared) -> Iterator[Amiss]:
    """Find hosts that cannot be behind it."""
    for at, name in enumerate(asked.nodes or ()):
        said = seen((), name)
        if name not in prepared.hosts:
            yield Amiss(("nodes", at), f"{said}: no such host; {unknown(name, prepared.hosts)}")
        elif name in (asked.nodes or ())[:at]:
            yield Amiss(("nodes", at), f"{said} twice; name each node once")
        elif why := _not_reached(name, prepared):
            yield Amiss(("nodes", at), why)
    if asked.nodes is None:
        for name in nodes.hosts_of(None, prepared):
            if why := _not_reached(name, prepared):
                yield Amiss(("nodes",), why)
    if not asked.nodes and not nodes.hosts_of(asked.nodes, prepared):
        yield Amiss(
            ("nodes",),
            "no node is behind the gateway: set serving.expose of those that are to answer to lan "
            "or tls",
        )


def _not_reached(name: str, prepared: Prepared) -> str | None:
    """Return why a host cannot be behind it."""
    sections = prepared.hosts[name]
    serves = nodes.serving(sections)
    if serves is None:
        return f"{name} does not get the role serving, so it has no model; take it out"
    if serves.expose == "local":
        return (
            f"{name} lets nobody in (its serving.expose is local); set that to lan or tls, or take "
            f"{name} out"
        )
    if nodes.address_of(sections) is None:
        ssh = sections.get("ssh")
        known = ssh.address if isinstance(ssh, SshSettings) else name
        return (
            f"{name} is known by the name {known} alone, and HAProxy asks for addresses at its start "
            f"only: set ssh.address or serving.edge.address of {name} to an address that it keeps"
        )
    return None


def _one_file_for_a_name(servers: Sequence[Server]) -> Iterator[Amiss]:
    """Find models of one name that are different files."""
    first: dict[str, Server] = {}
    for one in servers:
        for model, sha256 in one.models.items():
            other = first.setdefault(model, one)
            if other.models[model] != sha256:
                yield Amiss(
                    ("nodes",),
                    f"{other.host} and {one.host} serve different files as {model} (sha256 "
                    f"{other.models[model][:12]} and {sha256[:12]}): give one of them another name "
                    "(model.name), or name the nodes that are to answer",
                )


def _shares(pools: Sequence[Pool], prepared: Prepared) -> Iterator[Amiss]:
    """Find nodes whose own limits of one client would refuse the gateway."""
    for host in dict.fromkeys(one.host for pool in pools for one in pool.servers):
        serves = nodes.serving(prepared.hosts[host])
        assert serves is not None
        counted = [one.slots for pool in pools for one in pool.servers if one.host == host]
        # Another pool's requests wait at the node's own way in, and the names are asked for besides.
        wanted = {"at_once": sum(counted) + 1, "queue": sum(counted[1:])}
        for name, least in wanted.items():
            had = int(getattr(serves.edge, name))
            if had < least:
                yield Amiss(
                    ("nodes",),
                    f"serving.edge.{name} of {host} is {had}, and the gateway is one client that asks "
                    f"for all of its slots: set it to {least} or more",
                )


def _names(asked: Asked, pools: Sequence[Pool]) -> Iterator[Amiss]:
    """Find aliases that shadow a model or lead nowhere, and a default that is none."""
    models = {model: pool for pool in pools for model in pool.models}
    for alias, model in asked.aliases.items():
        keys = ("aliases", alias)
        if alias == AUTO:
            yield Amiss(keys, f"{AUTO} leads to gateway.default_model; set that, and take this out")
        elif alias in models:
            yield Amiss(keys, "that is the name of a model itself; give the alias another one")
        elif why := _not_named(model, models):
            yield Amiss(keys, why)
    if asked.default_model is not None and (why := _not_named(asked.default_model, models)):
        yield Amiss(("default_model",), why)


def _not_named(model: str, models: Mapping[str, Pool]) -> str | None:
    """Return why requests under another name cannot be led to a model."""
    if model not in models:
        return f"{seen((), model)}: no node serves it; {unknown(model, models)}"
    for one in models[model].servers:
        if len(one.models) > 1:
            return (
                f"{one.host} serves {len(one.models)} models and answers to their own names alone, so "
                f"clients must ask for {model} by its name; take this out, or have {one.host} serve one"
            )
    return None


def _port(
    asked: Asked, sections: Mapping[str, Section], servers: Sequence[Server]
) -> Iterator[Amiss]:
    """Find another program of ours that has the port; the worst would be the gateway's own node."""
    own = {asked.address or nodes.address_of(sections)}
    for one in servers:
        if one.port == asked.port and (one.host == asked.host or one.address in own):
            yield Amiss(
                ("port",),
                f"{one.host} is one of its nodes and is met at port {one.port} as well, so the gateway "
                "would ask itself; choose another one",
            )
            return
    taken = {
        setting: port
        for part in sections.values()
        if isinstance(part, ListeningSettings)
        for setting, port in part.own_ports.items()
        if setting != "gateway.port"
    }
    ssh = sections.get("ssh")
    if isinstance(ssh, SshSettings) and ssh.port:
        taken["ssh.port"] = ssh.port
    for setting, port in taken.items():
        if port == asked.port:
            yield Amiss(("port",), f"{setting} is {port} too; choose another one")
