"""The plan of monitoring, its paths on a node, and what the node is to watch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from bramble.outputs import FurtherModel, GatewayOutputs, ModelOutputs, Served, ServingOutputs
from bramble.plan import File, Listener, NodePlan, RolePlan
from bramble.remote.hold_node import LOCK

PACKAGE = "prometheus-node-exporter"
EXPORTER = f"{PACKAGE}.service"
METRICS, TIMER, PUSH = "bramble-metrics.service", "bramble-metrics.timer", "bramble-push.service"
SYSTEM = "/etc/systemd/system"
DROP_IN = f"{SYSTEM}/{EXPORTER}.d/99-bramble.conf"
METRICS_FILE, TIMER_FILE, PUSH_FILE = (f"{SYSTEM}/{unit}" for unit in (METRICS, TIMER, PUSH))
PROGRAMS = "/usr/local/lib/bramble"
WATCH, TELL = f"{PROGRAMS}/node_watch.py", f"{PROGRAMS}/push.py"
WATCHED = "/etc/bramble/watched.json"
SECRETS = "/etc/bramble/secrets/push"
FOLDER = "/run/bramble-metrics"
TEXTFILE, STATUS = f"{FOLDER}/bramble.prom", f"{FOLDER}/status.json"
# Where systemd has the state of a unit with a user of its own.
TOLD = "/var/lib/private/bramble-push/state.json"
KINDS = ("heartbeat", "kuma", "ntfy", "webhook", "telegram")
ANSWER_TOKENS = 64
READABLE = 0o004


@dataclass(frozen=True, kw_only=True)
class MonitoringPlan(RolePlan):
    """Where the figures are, and how the node watches itself.

    `kinds` are the ways by which people are told, and `missing` says of those whose secret this run was
    not given why: the node's own then stays.
    """

    argv: tuple[str, ...]
    host: str
    port: int
    every_s: int
    question_every_s: int
    question_deadline_s: int
    kinds: tuple[str, ...]
    missing: Mapping[str, str]
    telegram_chat: str | None

    def warnings(self) -> tuple[str, ...]:
        """Tell which secrets this run was not given."""
        return tuple(
            f"monitoring.secrets.{kind}: {why}; the node keeps the one that it has"
            for kind, why in self.missing.items()
        )

    def listeners(self) -> tuple[Listener, ...]:
        """Tell of the exporter."""
        return (Listener(EXPORTER, self.port),)

    @property
    def url(self) -> str:
        """The address of the figures."""
        return url_of(self.host, self.port)

    @property
    def units(self) -> tuple[str, ...]:
        """The services that a timer runs."""
        return (METRICS, PUSH) if self.kinds else (METRICS,)


def place(host: str, port: int) -> str:
    """Return an address with its port, an IPv6 one in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def url_of(host: str, port: int) -> str:
    """Return the address of the figures."""
    return f"http://{place(host, port)}/metrics"


def secret_path(kind: str) -> str:
    """Return where the node has the secret of a channel."""
    return f"{SECRETS}/{kind}"


def watched(plan: MonitoringPlan, node: NodePlan) -> File:
    """Return the file that tells the node what to watch, made of the whole of its plan."""
    channels: list[dict[str, Any]] = [{"kind": kind} for kind in plan.kinds]
    for channel in channels:
        if channel["kind"] == "telegram":
            channel["chat"] = plan.telegram_chat
    value = {
        "host": node.host,
        "interval_s": plan.every_s,
        "folder": FOLDER,
        "files": _files(node, everywhere=True),
        "perhaps": _files(node, everywhere=False),
        "marks": _marks(node),
        "server": _server(plan, node),
        "edge": _edge(node),
        "gateway": _gateway(node),
        "channels": channels,
    }
    return File(path=WATCHED, text=json.dumps(value, indent=1) + "\n")


def _files(node: NodePlan, *, everywhere: bool) -> dict[str, str]:
    """Return the sha256 of each planned file that everybody may read, as the one who watches is nobody.

    A secret's would be a way to guess it.
    """
    return {
        file.path: file.sha256
        for part in node.roles.values()
        for file in part.files
        if file.mode & READABLE and not file.secret and file.everywhere == everywhere
    }


def _marks(node: NodePlan) -> list[str]:
    """Return the files whose times tell when a run last changed something."""
    model = node.outputs.find(ModelOutputs)
    home = model.engine_home if model else None
    return [LOCK, *((str(PurePosixPath(home, "good.json")),) if home else ())]


def _edge(node: NodePlan) -> dict[str, Any] | None:
    """Return where the way in from the network tells its figures; None where nobody is let in."""
    service = node.outputs.find(ServingOutputs)
    if service is None or service.figures is None:
        return None
    return {"socket": service.figures, "queue": service.queue}


def _gateway(node: NodePlan) -> dict[str, Any] | None:
    """Return where a gateway tells its figures, and whom they are of; None where the host is none."""
    gateway = node.outputs.find(GatewayOutputs)
    if gateway is None:
        return None
    pools = {name: [*models] for name, models in gateway.pools.items()}
    return {"socket": gateway.figures, "queue": gateway.queue, "pools": pools}


def _server(plan: MonitoringPlan, node: NodePlan) -> dict[str, Any] | None:
    service, model = node.outputs.find(ServingOutputs), node.outputs.find(ModelOutputs)
    served = next((part for part in node.roles.values() if isinstance(part, Served)), None)
    if service is None or model is None or served is None:
        return None
    return {
        "unit": service.unit,
        "url": served.url,
        "build": served.build_info,
        "model_name": model.name,
        "model_path": model.path,
        "model_sha256": model.sha256,
        "further": [_pinned(one) for one in model.further],
        "helpers": [_pinned(one) for one in model.helpers],
        "planned_bytes": served.fit.answer.total_mib << 20 if served.fit else None,
        "question": served.question,
        "expect": served.expect,
        "max_tokens": ANSWER_TOKENS,
        "answer_every_s": plan.question_every_s,
        "deadline_s": plan.question_deadline_s,
    }


def _pinned(one: FurtherModel) -> dict[str, str]:
    return {"name": one.name, "path": one.path, "sha256": one.sha256}
