"""The nodes behind a gateway, as the inventory has them: addresses, slots, and what they serve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address

from bramble.edge.settings import ExposedSettings, bracketed
from bramble.llama.lock import Lock
from bramble.outputs import ModelFile, ModelSettings
from bramble.prepared import Prepared
from bramble.settings import Section, SshSettings

Sections = Mapping[str, Section]
AUTO = "auto"
"""The name by which clients leave the choice of the model to the gateway."""


@dataclass(frozen=True)
class Server:
    """A node as a gateway reaches it, and its models' sha256 by the names that clients use."""

    host: str
    address: str
    port: int
    tls: bool
    slots: int
    models: Mapping[str, str]

    @property
    def place(self) -> str:
        """Its address with the port."""
        return f"{bracketed(self.address)}:{self.port}"


@dataclass(frozen=True)
class Pool:
    """Nodes that serve the same models, under the name that HAProxy has for them."""

    name: str
    models: tuple[str, ...]
    servers: tuple[Server, ...]


def serving(sections: Sections) -> ExposedSettings | None:
    """Return how a host serves; None where it does not."""
    found = (part for part in sections.values() if isinstance(part, ExposedSettings))
    return next(found, None)


def served(host: str, sections: Sections, prepared: Prepared) -> tuple[ModelFile, ...]:
    """Return the files that a host serves, the first one first; none where they are not known.

    Why they are not is told of that host itself.
    """
    part = next((one for one in sections.values() if isinstance(one, ModelSettings)), None)
    if part is None:
        return ()
    try:
        return (part.chosen(host, prepared), *part.further(host, prepared))
    except LookupError:
        return ()


def address_of(sections: Sections) -> str | None:
    """Return the address that a host is reached at; None where the inventory has only a name."""
    serves, ssh = serving(sections), sections.get("ssh")
    if serves is not None and serves.edge.address:
        return serves.edge.address
    try:
        return str(ip_address(ssh.address)) if isinstance(ssh, SshSettings) else None
    except ValueError:
        return None


def hosts_of(named: tuple[str, ...] | None, prepared: Prepared) -> tuple[str, ...]:
    """Return the hosts that a gateway's settings name, or else all that let clients in."""
    if named is not None:
        return tuple(dict.fromkeys(name for name in named if name in prepared.hosts))
    return tuple(name for name, sections in prepared.hosts.items() if is_open(sections))


def is_open(sections: Sections) -> bool:
    """Tell whether a host lets clients of the network in."""
    part = serving(sections)
    return part is not None and part.expose != "local"


def server(host: str, prepared: Prepared) -> Server | None:
    """Return a host as a gateway reaches it; None where it cannot."""
    sections = prepared.hosts[host]
    part, address = serving(sections), address_of(sections)
    models = {one.name: one.sha256 for one in served(host, sections, prepared)}
    if part is None or part.expose == "local" or address is None or not models:
        return None
    return Server(
        host=host,
        address=address,
        port=part.edge_port,
        tls=part.expose == "tls",
        # As the node's own way in counts them.
        slots=part.slots * min(part.models_at_once, len(models)),
        models=models,
    )


def servers(named: tuple[str, ...] | None, prepared: Prepared) -> tuple[Server, ...]:
    """Return the nodes that can be reached, in the order in which they are named."""
    found = (server(host, prepared) for host in hosts_of(named, prepared))
    return tuple(one for one in found if one is not None)


def pools(several: Iterable[Server]) -> tuple[Pool, ...]:
    """Put together what the same nodes serve, so that one count of slots holds for all of it."""
    by_model: dict[str, tuple[Server, ...]] = {}
    for one in several:
        for model in one.models:
            by_model[model] = (*by_model.get(model, ()), one)
    together: dict[tuple[str, ...], list[str]] = {}
    for model, ones in by_model.items():
        together.setdefault(tuple(one.host for one in ones), []).append(model)
    return tuple(
        Pool(f"pool{number}", tuple(models), by_model[models[0]])
        for number, models in enumerate(together.values(), 1)
    )


def routes(
    several: Iterable[Pool], aliases: Mapping[str, str], default: str | None
) -> dict[str, str]:
    """Return the pool of each name that a client may ask for."""
    by_model = {model: pool.name for pool in several for model in pool.models}
    further = further_names(aliases, default).items()
    return {**by_model, **{name: by_model[model] for name, model in further if model in by_model}}


def further_names(aliases: Mapping[str, str], default: str | None) -> dict[str, str]:
    """Return the models' names besides their own, each with the model that it leads to."""
    return {**aliases, **({AUTO: default} if default is not None else {})}


def as_named(prepared: Prepared) -> Prepared:
    """Return the same without what engine.lock holds hosts to: what the inventory itself names."""
    return replace(prepared, engine=Lock())
