"""The way in from the network: HAProxy before llama-server, which itself stays on the node's loopback.

It asks each request for a key and lets only what is offered through. llama-server reads its keys when it
starts, so a new key there would cost every running answer; HAProxy takes one up between two requests.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bramble.edge import wanted
from bramble.edge.wanted import LOOPBACKS, PATHS, EdgePlan, Place
from bramble.outputs import ModelOutputs
from bramble.plan import FactsNeeded, File, identity
from bramble.prepared import Prepared
from bramble.render import render
from bramble.roles.serving import router
from bramble.roles.serving.settings import Settings

PLACE = Place("bramble-edge.service", "/etc/bramble/edge", "way in", "Let clients with a key in")


def addressed(settings: Settings, host: str) -> EdgePlan:
    """Return the way in by its address alone."""
    return wanted.addressed(PLACE, settings.expose, host, settings.edge, settings.edge_port)


def facts_needed(settings: Settings, host: str) -> FactsNeeded:
    """Ask for the files, the unit and its program, and what strangers would be answered."""
    return wanted.facts_needed(addressed(settings, host))


def plan(settings: Settings, host: str, prepared: Prepared, model: ModelOutputs) -> EdgePlan:
    """Plan the configuration, the clients' hashes, the certificate and the unit."""
    if settings.expose == "local":
        return EdgePlan(place=PLACE, expose="local", host=host)
    found = addressed(settings, host)
    keys = wanted.keys_map(prepared.clients, "serving")
    certificate = prepared.certificates.get(host, "") if settings.expose == "tls" else None
    unit = render(
        "serving/bramble-edge.service.j2",
        config=PLACE.config,
        allow=wanted.networks((*LOOPBACKS, *settings.edge.allow)),
        log=settings.log,
        runtime=wanted.runtime_folder(PLACE),
    )
    parts = [keys, certificate, unit, prepared.authority]
    plan_id = identity([*parts, _configuration(settings, found, model, "")])
    files = [
        File(path=PLACE.config, text=_configuration(settings, found, model, plan_id)),
        File(path=PLACE.unit_file, text=unit),
        *wanted.common_files(found, keys, certificate, prepared.authority),
    ]
    return replace(
        found,
        clients=tuple(sorted(prepared.clients)),
        refusals=tuple(_lacking(settings, host, prepared)),
        plan_id=plan_id,
        files=tuple(files),
    )


def _lacking(settings: Settings, host: str, prepared: Prepared) -> Iterator[str]:
    """Find what an exposure lacks on this computer, and a port that would be two programs'."""
    yield from wanted.lacking("serving.expose", settings.expose, host, prepared)
    if settings.edge_port == settings.port:
        said = f"serving.expose is {settings.expose}"
        yield f"{said}, and serving.port and serving.edge.port are both {settings.port}; change one"


def names(model: ModelOutputs) -> str | None:
    """Return the answer to those who ask for the names of several models, in OpenAI's form.

    A router's own answer has the command line of each of them, with paths of the node.
    """
    return wanted.listing(one.name for one in model.every) if model.further else None


def _configuration(settings: Settings, found: EdgePlan, model: ModelOutputs, plan_id: str) -> str:
    edge = settings.edge
    at_once = router.loaded_at_once(model, settings.models_at_once)
    return render(
        "serving/haproxy.cfg.j2",
        tls=settings.expose == "tls",
        bind=found.bind,
        allow=(*LOOPBACKS, *edge.allow),
        connections_per_address=edge.connections_per_address,
        plan_id=plan_id,
        body_bytes=edge.body_bytes,
        requests_per_minute=edge.requests_per_minute,
        at_once=edge.at_once,
        queue=edge.queue,
        figures=PLACE.figures,
        paths=PATHS,
        server_port=settings.port,
        slots=settings.slots * at_once,
        names=names(model),
    )
