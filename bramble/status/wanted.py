"""What the inventory says of a host, as far as its state is put beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bramble.fit.together import Models
from bramble.inventory.load import Host
from bramble.outputs import (
    EngineSettings,
    GatewaySettings,
    LedPool,
    ModelSettings,
    ServingOutputs,
)
from bramble.registry import giving
from bramble.settings import SshSettings
from bramble.status import gateway

_UNIT = "llama-server.service"
_OWN_LOOK = "/run/bramble-metrics/status.json"
"""Where a node with the role monitoring says what it found."""


@dataclass(frozen=True)
class Wanted:
    """A host: how it is reached, and what it is to serve; without a server it has no models.

    `pools` are the nodes of a gateway; None where the host is none.
    """

    host: str
    ssh: SshSettings
    models: tuple[str, ...] = ()
    commit: str | None = None
    slots: int = 0
    planned_mib: int | None = None
    server: Mapping[str, Any] | None = None
    own_look: str | None = None
    pools: tuple[LedPool, ...] | None = None
    queue: int = 0

    def query(self, *, once: bool) -> dict[str, Any]:
        """Return the query of the program `live`."""
        led = None if self.pools is None else gateway.query(self.pools)
        return {"server": self.server, "gateway": led, "status": self.own_look, "once": once}


def wanted(host: Host) -> Wanted:
    """Return what a host's settings say."""
    found, parts = _of_node(host), host.settings.values()
    leads = next((part for part in parts if isinstance(part, GatewaySettings)), None)
    if leads is None:
        return found
    return replace(found, pools=leads.led(host.prepared), queue=leads.queue)


def _of_node(host: Host) -> Wanted:
    ssh, serving = host.settings["ssh"], host.settings.get(giving(ServingOutputs).name)
    assert isinstance(ssh, SshSettings)
    model = next((one for one in host.settings.values() if isinstance(one, ModelSettings)), None)
    own_look = _OWN_LOOK if "monitoring" in host.settings else None
    if serving is None or model is None:
        return Wanted(host.name, ssh, own_look=own_look)
    return _serving(host, ssh, serving, model, own_look)


def _serving(
    host: Host, ssh: SshSettings, serving: Any, model: ModelSettings, own_look: str | None
) -> Wanted:
    files = (model.chosen(host.name, host.prepared), *model.further(host.name, host.prepared))
    engines = (part for part in host.settings.values() if isinstance(part, EngineSettings))
    at_once = min(serving.models_at_once, len(files))
    return Wanted(
        host.name,
        ssh,
        models=tuple(file.name for file in files),
        commit=next((engine.commit(host.name, host.prepared) for engine in engines), None),
        slots=serving.slots * at_once,
        planned_mib=_planned_mib(files, at_once, serving),
        server={
            "unit": _UNIT,
            "url": f"http://127.0.0.1:{serving.port}",
            "model_name": files[0].name,
            "further": [file.name for file in files[1:]],
            "slots": serving.slots,
            "guesses": serving.speculation.type != "none",
        },
        own_look=own_look,
    )


def _planned_mib(files: Any, at_once: int, serving: Any) -> int | None:
    """Return what the models take that may be loaded at once; None where that is not known."""
    geometries = {file.name: file.fit.geometry for file in files if file.fit}
    if len(geometries) < len(files):
        return None
    return Models(geometries, at_once).total(serving.request)
