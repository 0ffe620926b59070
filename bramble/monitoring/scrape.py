"""Where a Prometheus server finds the figures of a fleet's nodes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import yaml

from bramble.inventory.load import Host

JOB = "bramble"
_HEAD = "# Made by `bramble monitoring scrape`; make it again when the inventory has changed.\n"


@dataclass(frozen=True)
class Target:
    """A node whose figures can be read from elsewhere."""

    host: str
    address: str

    @property
    def as_static(self) -> dict[str, Any]:
        """What Prometheus calls a static config: `instance` is the name that people know."""
        return {"targets": [self.address], "labels": {"instance": self.host}}


def targets(hosts: Iterable[Host]) -> tuple[tuple[Target, ...], tuple[str, ...]]:
    """Return the nodes that a server can ask, and why others cannot be asked, a sentence for each."""
    found, others = list[Target](), list[str]()
    for host in hosts:
        settings: Any = host.settings.get("monitoring")
        if settings is None:
            others.append(f"{host.name} has no role monitoring: give it a section `monitoring:`")
        elif ip_address(settings.host).is_loopback:
            others.append(
                f"{host.name} tells its figures on its own loopback alone: set monitoring.host to the "
                "address that Prometheus reaches it by"
            )
        else:
            place = f"[{settings.host}]" if ":" in settings.host else settings.host
            found.append(Target(host.name, f"{place}:{settings.port}"))
    return tuple(found), tuple(others)


def config(found: Iterable[Target]) -> str:
    """Return a `scrape_configs:` for prometheus.yml."""
    job = {"job_name": JOB, "static_configs": [target.as_static for target in found]}
    return _HEAD + yaml.safe_dump({"scrape_configs": [job]}, sort_keys=False)


def targets_file(found: Iterable[Target]) -> str:
    """Return a file for `file_sd_configs:`, which Prometheus reads again when it has changed."""
    return _HEAD + yaml.safe_dump([target.as_static for target in found], sort_keys=False)
