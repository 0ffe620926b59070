"""The way in from the network: HAProxy before llama-server, which itself stays on the node's loopback.

It asks each request for a key and lets only what is offered through. llama-server reads its keys when it
starts, so a new key there would cost every running answer; HAProxy takes one up between two requests.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Literal

from bramble.access.keys import Client
from bramble.outputs import ModelOutputs
from bramble.plan import FactsNeeded, File, identity
from bramble.prepared import Prepared
from bramble.render import render
from bramble.roles.serving import router, sandbox
from bramble.roles.serving.edge_settings import bracketed
from bramble.roles.serving.settings import Settings
from bramble.snapshot import FileState, Snapshot, Unknown
from bramble.steps import Step, lacking, remove_files, sent, systemd, write_files

Expose = Literal["local", "lan", "tls"]
UNIT = "bramble-edge.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
FOLDER = "/etc/bramble/edge"
CONFIG, KEYS, CERTIFICATE, AUTHORITY = (
    f"{FOLDER}/{name}" for name in ("haproxy.cfg", "keys.map", "edge.pem", "ca.crt")
)
FIGURES = "/run/bramble-edge/figures.sock"
"""Where the node itself reads what was asked and refused."""
EVER = (CONFIG, KEYS, CERTIFICATE, AUTHORITY, UNIT_FILE)
"""Every file that any exposure has."""

PROGRAM = "haproxy"
# Debian's package starts its own unit, with a configuration that listens to nothing.
DEBIANS, DEBIANS_CONFIG = "haproxy.service", "/etc/haproxy/haproxy.cfg"
PATHS = (
    *("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/rerank"),
    *("/v1/responses", "/v1/messages"),
)
LOOPBACKS = ("127.0.0.0/8", "::1/128")
SLOWEST_S = 30
CERTIFICATE_DAYS = 30


@dataclass(frozen=True, kw_only=True)
class EdgePlan:
    """What strangers meet; without `files` nothing is there for them.

    `plan_id` is the hash of all that the running program was started or reloaded with, which it tells at
    /health. `url` is its address as the node itself reaches it, by the name in its certificate.
    """

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
        return next(file.text for file in self.files if file.path == UNIT_FILE)

    def asks(self, path: str) -> str:
        """Return the command by which the node asks it for a path: the body, then the status."""
        own = self.address or "127.0.0.1"
        words = ["curl", "--silent", "--show-error", "--max-time 10", "--noproxy '*'"]
        if self.expose == "tls":
            words.append(f"--cacert {AUTHORITY}")
        words.append(f"--connect-to ::{bracketed(own)}:{self.port}")
        words.append(r"--write-out '\n%{http_code}'")
        return " ".join([*words, f"{self.url}{path}"])

    @property
    def tells(self) -> str:
        """The command by which the node asks for its figures: the status alone."""
        words = ["curl", "--silent", "--show-error", "--max-time 10", "--output /dev/null"]
        words += [f"--unix-socket {FIGURES}", r"--write-out '%{http_code}'"]
        return " ".join([*words, "'http://localhost/metrics?scope=frontend'"])

    @property
    def lasts(self) -> str:
        """The command that tells whether its certificate is valid for a month more."""
        return f"openssl x509 -in {CERTIFICATE} -noout -checkend {CERTIFICATE_DAYS * 86400}"


def facts_needed(settings: Settings, host: str) -> FactsNeeded:
    """Ask for the files, the unit and its program, and what strangers would be answered."""
    commands: tuple[str, ...] = ()
    if settings.expose != "local":
        found = _addressed(settings, host)
        commands = (found.asks("/health"), found.asks("/v1/models"), found.tells)
    if settings.expose == "tls":
        commands += (found.lasts,)
    return FactsNeeded(
        files=(*EVER, DEBIANS_CONFIG),
        packages=packages(settings),
        secret=(CERTIFICATE,),
        units=(UNIT, DEBIANS),
        commands=commands,
        programs=(PROGRAM,),
    )


def packages(settings: Settings) -> tuple[str, ...]:
    """Return the Debian packages of the exposure."""
    if settings.expose == "local":
        return ()
    return ("curl", "haproxy", "openssl") if settings.expose == "tls" else ("curl", "haproxy")


def _addressed(settings: Settings, host: str) -> EdgePlan:
    edge = settings.edge
    return EdgePlan(
        expose=settings.expose,
        host=host,
        port=settings.edge_port,
        address=edge.address,
        name=edge.name or host,
    )


def plan(settings: Settings, host: str, prepared: Prepared, model: ModelOutputs) -> EdgePlan:
    """Plan the configuration, the clients' hashes, the certificate and the unit."""
    if settings.expose == "local":
        return EdgePlan(expose="local", host=host)
    found = _addressed(settings, host)
    keys = keys_map(prepared.clients)
    certificate = prepared.certificates.get(host, "") if settings.expose == "tls" else None
    allow = (*LOOPBACKS, *settings.edge.allow)
    unit = render(
        "serving/bramble-edge.service.j2",
        config=CONFIG,
        allow=allow,
        log=settings.log,
        runtime=PurePosixPath(FIGURES).parent.name,
    )
    parts = [keys, certificate, unit, prepared.authority]
    plan_id = identity([*parts, _configuration(settings, found, model, "")])
    texts = ((CONFIG, _configuration(settings, found, model, plan_id)), (UNIT_FILE, unit))
    files = [File(path=path, text=text) for path, text in texts]
    files.append(File(path=KEYS, text=keys, mode=0o640, group="haproxy"))
    if certificate is not None:
        files.append(
            File(path=CERTIFICATE, text=certificate, mode=0o640, group="haproxy", secret=True)
        )
        files.append(
            File(path=AUTHORITY, text=prepared.authority or certificate_alone(certificate))
        )
    return replace(
        found,
        clients=tuple(sorted(prepared.clients)),
        refusals=tuple(_lacking(settings, host, prepared)),
        plan_id=plan_id,
        files=tuple(files),
    )


def _lacking(settings: Settings, host: str, prepared: Prepared) -> Iterator[str]:
    """Find what an exposure lacks on this computer: keys of clients, or a certificate."""
    said = f"serving.expose is {settings.expose}"
    if prepared.clients_error:
        yield f"{said}, and the keys of clients cannot be read: {prepared.clients_error}"
    elif not prepared.clients:
        yield f"{said}, and no client has a key; run `bramble key create NAME`"
    if settings.expose == "tls" and host not in prepared.certificates:
        yield (
            f"{said}, and there is no tls/{host}.pem in the inventory that can be read; run "
            f"`bramble tls issue {host}`"
        )
    if settings.edge_port == settings.port:
        yield f"{said}, and serving.port and serving.edge.port are both {settings.port}; change one"


def certificate_alone(pem: str) -> str:
    """Return the certificates of a PEM file, without the key."""
    end, begin = "-----END CERTIFICATE-----", "-----BEGIN CERTIFICATE-----"
    parts = [part.partition(begin)[2] for part in pem.split(end) if begin in part]
    return "".join(f"{begin}{part}{end}\n" for part in parts)


def keys_map(clients: Mapping[str, Client]) -> str:
    """Return the hash of each valid key with its client's name, as HAProxy's maps have it."""
    lines = [f"{one.sha256} {name}" for name in sorted(clients) for one in clients[name].valid]
    head = "# keys.map, role serving: bramble owns this file."
    return "\n".join([head, *lines, ""])


def names(model: ModelOutputs) -> str | None:
    """Return the answer to those who ask for the names of several models, in OpenAI's form.

    A router's own answer has the command line of each of them, with paths of the node.
    """
    if not model.further:
        return None
    several = [
        {"id": one.name, "object": "model", "created": 0, "owned_by": "llamacpp"}
        for one in model.every
    ]
    return json.dumps({"object": "list", "data": several}, separators=(",", ":"))


def _configuration(settings: Settings, found: EdgePlan, model: ModelOutputs, plan_id: str) -> str:
    edge = settings.edge
    at_once = router.loaded_at_once(model, settings.models_at_once)
    everywhere = found.address is None
    return render(
        "serving/haproxy.cfg.j2",
        tls=settings.expose == "tls",
        bind=f"[::]:{found.port} v4v6"
        if everywhere
        else f"{bracketed(found.address or '')}:{found.port}",
        allow=(*LOOPBACKS, *edge.allow),
        connections_per_address=edge.connections_per_address,
        plan_id=plan_id,
        body_bytes=edge.body_bytes,
        requests_per_minute=edge.requests_per_minute,
        at_once=edge.at_once,
        queue=edge.queue,
        figures=FIGURES,
        paths=PATHS,
        server_port=settings.port,
        slots=settings.slots * at_once,
        names=names(model),
    )


def steps(plan: EdgePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Leave Debian's unit off, then have ours run what is planned, or none where nothing is exposed."""
    planned = {file.path for file in plan.files}
    left = [path for path in EVER if path not in planned]
    gone = remove_files("Remove what the way in has no more", left, snapshot)
    return (
        _rest(plan, snapshot),
        _run(plan, snapshot),
        _ended(plan.there, snapshot),
        gone,
        _forget("Forget the way in", None if plan.there else gone.why),
    )


def revert(snapshot: Snapshot) -> tuple[Step, ...]:
    """End the unit and remove all of its files, the certificate's key among them."""
    gone = remove_files("Remove the way in's files", EVER, snapshot)
    return (_ended(False, snapshot), gone, _forget("Forget the way in", gone.why))


def _forget(name: str, why: str | None) -> Step:
    return systemd(name, why, reload=True)


def _ended(there: bool, snapshot: Snapshot) -> Step:
    """End the unit where nothing is exposed any more."""
    name, unit = "End the way in", snapshot.unit(UNIT)
    if there:
        return Step(name, None)
    if isinstance(unit, Unknown):
        return systemd(name, unit.why, stop=(UNIT,), disable=(UNIT,))
    if unit.load == "not-found" or (unit.active, unit.enabled) == ("inactive", "disabled"):
        return Step(name, None)
    return systemd(name, f"{UNIT} is {unit.active}", stop=(UNIT,), disable=(UNIT,))


def _rest(plan: EdgePlan, snapshot: Snapshot) -> Step:
    """Stop Debian's unit where its configuration listens to nothing: somebody's own may stay."""
    name = "Leave Debian's HAProxy off"
    if not plan.there:
        return Step(name, None)
    if lacking((PROGRAM,), snapshot):
        # The role base has just installed it, after the look.
        why: str | None = "its package starts it when it is installed"
    elif listening(snapshot):
        return Step(name, None, note=f"{DEBIANS_CONFIG} listens: it is left to whoever wrote it")
    else:
        why = debians_runs(snapshot)
    return systemd(name, why, stop=(DEBIANS,), disable=(DEBIANS,))


def listening(snapshot: Snapshot) -> bool:
    """Tell whether Debian's configuration listens to something, which then is somebody's."""
    config = snapshot.file(DEBIANS_CONFIG)
    text = (config.text or "") if isinstance(config, FileState) else ""
    words = {line.split()[0] for line in text.splitlines() if line.split()}
    return bool(words & {"frontend", "listen", "bind"})


def debians_runs(snapshot: Snapshot) -> str | None:
    """Return that Debian's own unit runs or will; None where it is off, or not known."""
    unit = snapshot.unit(DEBIANS)
    if isinstance(unit, Unknown) or unit.load == "not-found":
        return None
    off = (unit.active, unit.enabled) == ("inactive", "disabled")
    return None if off else f"{DEBIANS} is {unit.active} and {unit.enabled}"


def _run(plan: EdgePlan, snapshot: Snapshot) -> Step:
    """Have the files judged by HAProxy itself, write them, and have the unit take them up."""
    name = "Let clients with a key in"
    if not plan.there:
        return Step(name, None)
    written = write_files(name, plan.files, snapshot)
    why = written.why or not_running(plan, snapshot)
    if why is None:
        return Step(name, None)
    query = {
        "files": [sent(file) for file in plan.files],
        "changed": list(written.writes),
        "folder": FOLDER,
        "unit": UNIT,
        "restart": UNIT_FILE in written.writes or untold(plan, snapshot) is not None,
        "ask": plan.asks("/health"),
        "plan_id": plan.plan_id,
        "deadline_s": SLOWEST_S,
    }
    return replace(written, why=why, program="serve_edge", query=query)


def not_running(plan: EdgePlan, snapshot: Snapshot) -> str | None:
    """Return why the program does not run what is planned; None when it does."""
    unit = snapshot.unit(UNIT)
    if isinstance(unit, Unknown):
        return unit.why
    if (unit.active, unit.enabled) != ("active", "enabled"):
        return f"{UNIT} is {unit.active} and {unit.enabled or unit.load}"
    if loose := sandbox.loaded_otherwise(UNIT_FILE, plan.unit_text, unit):
        return "; ".join(loose)
    return otherwise(plan, snapshot) or untold(plan, snapshot)


def otherwise(plan: EdgePlan, snapshot: Snapshot) -> str | None:
    """Return how what it tells at /health differs from the plan; None when it does not."""
    said = snapshot.command(plan.asks("/health"))
    if isinstance(said, Unknown):
        return said.why
    if said is None or said.code:
        return f"it does not answer: {said.output.strip() if said else 'there is no curl'}"
    if said.output.split()[:1] != [plan.plan_id]:
        return f"it has another configuration than the planned one ({plan.plan_id})"
    return None


def untold(plan: EdgePlan, snapshot: Snapshot) -> str | None:
    """Return that it does not tell the node its figures; None when it does."""
    said = snapshot.command(plan.tells)
    if isinstance(said, Unknown):
        return said.why
    told = said is not None and said.output.split()[-1:] == ["200"]
    return None if told else f"it does not tell its figures by {FIGURES}"
