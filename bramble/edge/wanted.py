"""A way in as it is planned: where its files are, and how the node itself asks it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import PurePosixPath
from typing import Literal

from bramble.access.keys import Client
from bramble.edge.settings import Limits, bracketed
from bramble.plan import FactsNeeded, File
from bramble.prepared import Prepared

Expose = Literal["local", "lan", "tls"]
Network = IPv4Network | IPv6Network
PROGRAM = "haproxy"
# Debian's package starts its own unit, with a configuration that listens to nothing.
DEBIANS, DEBIANS_CONFIG = "haproxy.service", "/etc/haproxy/haproxy.cfg"
PATHS = (
    *("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/rerank"),
    *("/v1/responses", "/v1/messages"),
)
LOOPBACKS = ("127.0.0.0/8", "::1/128")
CERTIFICATE_DAYS = 30


@dataclass(frozen=True)
class Place:
    """A way in's unit and folder, its name for people, and that of the step which runs it."""

    unit: str
    folder: str
    called: str
    run: str
    further: tuple[str, ...] = ()
    """Names of files in the folder besides those that every way in has."""

    @property
    def unit_file(self) -> str:
        """The unit's file."""
        return f"/etc/systemd/system/{self.unit}"

    @property
    def config(self) -> str:
        """HAProxy's configuration."""
        return f"{self.folder}/haproxy.cfg"

    @property
    def keys(self) -> str:
        """The hashes of clients' keys."""
        return f"{self.folder}/keys.map"

    @property
    def certificate(self) -> str:
        """The certificate with its key."""
        return f"{self.folder}/edge.pem"

    @property
    def authority(self) -> str:
        """Whom certificates are from."""
        return f"{self.folder}/ca.crt"

    @property
    def figures(self) -> str:
        """Where the node itself reads what was asked and refused."""
        return f"/run/{self.unit.removesuffix('.service')}/figures.sock"

    @property
    def ever(self) -> tuple[str, ...]:
        """Every file that it may have."""
        more = (f"{self.folder}/{name}" for name in self.further)
        own = (self.config, self.keys, self.certificate, self.authority, self.unit_file)
        return (*own, *more)


@dataclass(frozen=True, kw_only=True)
class EdgePlan:
    """What strangers meet; without `files` nothing is there for them.

    `plan_id` is the hash of all that the running program was started or reloaded with, which it tells at
    /health. `url` is its address as the node itself reaches it, by the name in its certificate.
    """

    place: Place
    expose: Expose
    host: str
    port: int = 0
    address: str | None = None
    name: str = ""
    clients: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    plan_id: str = ""
    files: tuple[File, ...] = field(default=(), repr=False)

    @property
    def there(self) -> bool:
        """Whether anything is exposed."""
        return self.expose != "local"

    @property
    def url(self) -> str:
        """Its address for clients."""
        scheme = "https" if self.expose == "tls" else "http"
        return f"{scheme}://{bracketed(self.name)}:{self.port}"

    @property
    def unit_text(self) -> str:
        """What the unit's file is to hold."""
        return next(file.text for file in self.files if file.path == self.place.unit_file)

    @property
    def bind(self) -> str:
        """The addresses and the port to listen on, in HAProxy's words."""
        if self.address is None:
            return f"[::]:{self.port} v4v6"
        return f"{bracketed(self.address)}:{self.port}"

    def asks(self, path: str) -> str:
        """Return the command by which the node asks it for a path: the body, then the status."""
        own = self.address or "127.0.0.1"
        words = ["curl", "--silent", "--show-error", "--max-time 10", "--noproxy '*'"]
        if self.expose == "tls":
            words.append(f"--cacert {self.place.authority}")
        words.append(f"--connect-to ::{bracketed(own)}:{self.port}")
        words.append(r"--write-out '\n%{http_code}'")
        return " ".join([*words, f"{self.url}{path}"])

    @property
    def tells(self) -> str:
        """The command by which the node asks for its figures: the status alone."""
        words = ["curl", "--silent", "--show-error", "--max-time 10", "--output /dev/null"]
        words += [f"--unix-socket {self.place.figures}", r"--write-out '%{http_code}'"]
        return " ".join([*words, "'http://localhost/metrics?scope=frontend'"])

    @property
    def lasts(self) -> str:
        """The command that tells whether its certificate is valid for a month more."""
        seconds = CERTIFICATE_DAYS * 86400
        return f"openssl x509 -in {self.place.certificate} -noout -checkend {seconds}"


def addressed(place: Place, expose: Expose, host: str, limits: Limits, port: int) -> EdgePlan:
    """Return a way in that is known by its address alone."""
    return EdgePlan(
        place=place,
        expose=expose,
        host=host,
        port=port,
        address=limits.address,
        name=limits.name or host,
    )


def facts_needed(edge: EdgePlan) -> FactsNeeded:
    """Ask for the files, the unit and its program, and what strangers would be answered."""
    commands: tuple[str, ...] = ()
    if edge.there:
        commands = (edge.asks("/health"), edge.asks("/v1/models"), edge.tells)
    if edge.expose == "tls":
        commands += (edge.lasts,)
    return FactsNeeded(
        files=(*edge.place.ever, DEBIANS_CONFIG),
        packages=packages(edge.expose),
        secret=(edge.place.certificate,),
        units=(edge.place.unit, DEBIANS),
        commands=commands,
        programs=(PROGRAM,),
    )


def packages(expose: Expose) -> tuple[str, ...]:
    """Return the Debian packages of an exposure."""
    if expose == "local":
        return ()
    return ("curl", "haproxy", "openssl") if expose == "tls" else ("curl", "haproxy")


def common_files(
    edge: EdgePlan, keys: str, certificate: str | None, authority: str | None
) -> Iterator[File]:
    """Yield the files that strangers are judged and met by, as HAProxy's own user alone reads them."""
    place = edge.place
    yield File(path=place.keys, text=keys, mode=0o640, group="haproxy")
    if certificate is not None:
        yield File(
            path=place.certificate, text=certificate, mode=0o640, group="haproxy", secret=True
        )
        yield File(path=place.authority, text=authority or certificate_alone(certificate))


def lacking(setting: str, expose: Expose, host: str, prepared: Prepared) -> Iterator[str]:
    """Find what an exposure lacks on this computer: keys of clients, or a certificate."""
    said = f"{setting} is {expose}"
    if prepared.clients_error:
        yield f"{said}, and the keys of clients cannot be read: {prepared.clients_error}"
    elif not prepared.clients:
        yield f"{said}, and no client has a key; run `bramble key create NAME`"
    if expose == "tls" and host not in prepared.certificates:
        yield (
            f"{said}, and there is no tls/{host}.pem in the inventory that can be read; run "
            f"`bramble tls issue {host}`"
        )


def certificate_alone(pem: str) -> str:
    """Return the certificates of a PEM file, without the key."""
    end, begin = "-----END CERTIFICATE-----", "-----BEGIN CERTIFICATE-----"
    parts = [part.partition(begin)[2] for part in pem.split(end) if begin in part]
    return "".join(f"{begin}{part}{end}\n" for part in parts)


def keys_map(clients: Mapping[str, Client], role: str) -> str:
    """Return the hash of each valid key with its client's name, as HAProxy's maps have it."""
    lines = [f"{one.sha256} {name}" for name in sorted(clients) for one in clients[name].valid]
    head = f"# keys.map, role {role}: bramble owns this file."
    return "\n".join([head, *lines, ""])


def networks(several: Iterable[str]) -> tuple[str, ...]:
    """Return networks and addresses as systemd tells of them: without what lies within another one."""
    every = tuple(dict.fromkeys(ip_network(one) for one in several))
    return tuple(
        str(one)
        for one in every
        if not any(one != other and _within(one, other) for other in every)
    )


def _within(one: Network, other: Network) -> bool:
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.subnet_of(other)
    return isinstance(other, IPv6Network) and one.subnet_of(other)


def listing(names: Iterable[str]) -> str:
    """Return the answer to those who ask for the names of several models, in OpenAI's form."""
    several = [
        {"id": name, "object": "model", "created": 0, "owned_by": "llamacpp"} for name in names
    ]
    return json.dumps({"object": "list", "data": several}, separators=(",", ":"))


def runtime_folder(place: Place) -> str:
    """Return the name of the folder below /run that the unit is given."""
    return PurePosixPath(place.figures).parent.name
