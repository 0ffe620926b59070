"""Settings of the role gateway."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import StringConstraints

from bramble.access.keys import NAME
from bramble.edge.log import Log
from bramble.edge.settings import Limits, bracketed
from bramble.outputs import LedPool
from bramble.prepared import Amiss, Prepared, PreparedSection
from bramble.roles.gateway import amiss, nodes
from bramble.roles.gateway.clients import ClientSettings
from bramble.roles.gateway.health import Answers, Rolling
from bramble.roles.gateway.nodes import AUTO
from bramble.secret_sources import Source
from bramble.settings import Section, option

PORTS = {"lan": 8082, "tls": 8444}
# A body that is longer would not be whole in HAProxy's buffer, and its model not be seen.
MOST_BODY_BYTES = 1_000_000
ALIAS = r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,99}$"


class Secrets(Section):
    """The key by which nodes know the gateway, kept on this computer, sent to the gateway alone."""

    node_key: Source = option(
        ...,
        help="Where the key is that `bramble key create` showed for gateway.client.",
        example={"environment": "GATEWAY_KEY"},
    )


class Settings(Limits, PreparedSection):
    """One address for the models of all nodes; only on hosts with this section."""

    on_request: ClassVar[bool] = True
    of_fleet: ClassVar[bool] = True

    expose: Literal["lan", "tls"] = option(
        "lan",
        help="How clients of gateway.allow reach it, with a key (bramble key create): in clear text, or "
        "by TLS (bramble tls issue).",
    )
    port: int | None = option(
        None, help="TCP port; not set: 8082, and 8444 with TLS.", ge=1024, le=65535
    )
    body_bytes: int = option(
        MOST_BODY_BYTES,
        help="Largest request, which is read whole before it may take a slot.",
        unit="bytes",
        ge=1000,
        le=MOST_BODY_BYTES,
    )
    queue: int = option(
        32,
        help="Requests that wait for a slot of the nodes with their model; one more is told to come "
        "again later.",
        ge=0,
        le=1000,
    )
    queue_s: int = option(
        120,
        help="How long a request may wait for a slot before it is told to come again later. Clients of "
        "openai's give up after 600 s, answer included.",
        unit="s",
        ge=1,
        le=600,
    )
    nodes: tuple[str, ...] | None = option(
        None,
        help="Hosts of the inventory that answer; not set: all whose serving.expose is lan or tls.",
        example=["pi5-a", "pi5-b"],
    )
    client: str = option(
        "gateway",
        help="Its name in keys.lock, as nodes tell it from other clients.",
        pattern=rf"^{NAME.pattern}$",
    )
    default_model: str | None = option(
        None,
        help="The model of requests that name none, or `auto`; not set: they are refused.",
        example="qwen2.5-1.5b-instruct-q4_k_m",
    )
    aliases: dict[Annotated[str, StringConstraints(pattern=ALIAS)], str] = option(
        {},
        help="Further names of models, each with the model that answers to it.",
        example={"gpt-4o-mini": "qwen2.5-1.5b-instruct-q4_k_m"},
    )
    clients: dict[
        Annotated[str, StringConstraints(pattern=rf"^{NAME.pattern}$")], ClientSettings
    ] = option(
        {},
        help="What single clients may use, by their names in keys.lock.",
        example={"laptop": {"models": ["qwen2.5-1.5b-instruct-q4_k_m"], "at_once": 2}},
    )
    answers: Answers = option(Answers(), help="How nodes are asked for a known answer.")
    rolling: Rolling = option(Rolling(), help="How deploys take nodes out.")
    log: Log = option(Log(), help="How much of what it says the journal keeps.")
    secrets: Secrets = option(..., help="The key by which nodes know it.")

    @property
    def listens_at(self) -> int:
        """The port that clients connect to."""
        return self.port or PORTS[self.expose]

    @property
    def own_ports(self) -> Mapping[str, int]:
        """Its port, by its setting."""
        return {"gateway.port": self.listens_at}

    def url(self, name: str) -> str:
        """Return the address by which clients reach it, on a host that is reached by `name`."""
        scheme, place = ("https" if self.expose == "tls" else "http"), self.name or self.address
        return f"{scheme}://{bracketed(place or name)}:{self.listens_at}"

    def behind(self, prepared: Prepared) -> tuple[str, ...]:
        """Return the hosts that answer."""
        return nodes.hosts_of(self.nodes, prepared)

    def names(self, prepared: Prepared) -> tuple[str, ...]:
        """Return the names that clients may ask for, the default model first."""
        pools = nodes.pools(nodes.servers(self.nodes, prepared))
        routes = nodes.routes(pools, self.aliases, self.default_model)
        first = (self.default_model,) if self.default_model in routes else ()
        return tuple(dict.fromkeys(name for name in (*first, *routes) if name and name != AUTO))

    def led(self, prepared: Prepared) -> tuple[LedPool, ...]:
        """Return the nodes that it leads to, by what they serve."""
        return tuple(
            LedPool(pool.name, pool.models, {one.host: one.slots for one in pool.servers})
            for pool in nodes.pools(nodes.servers(self.nodes, prepared))
        )

    def faults(
        self, sections: Mapping[str, Section], host: str, prepared: Prepared
    ) -> Iterator[Amiss]:
        """Find what is wrong with these settings by those of the hosts that they mean."""
        asked = amiss.Asked(
            host=host,
            port=self.listens_at,
            address=self.address,
            nodes=self.nodes,
            aliases=self.aliases,
            default_model=self.default_model,
            client=self.client,
            clients=self.clients,
        )
        yield from amiss.found(asked, sections, prepared)
