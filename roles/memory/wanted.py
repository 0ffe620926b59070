"""What memory's plan holds, and the names of what it sets on a node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bramble.plan import RolePlan
from bramble.roles.memory.rpi_swap import RpiSwap
from bramble.system import fstab

PACKAGE = "systemd-zram-generator"
ZRAM_CONF = "/etc/systemd/zram-generator.conf.d/99-bramble-memory.conf"
SYSCTL_CONF = "/etc/sysctl.d/99-bramble-memory.conf"
ZRAM = "/dev/zram0"
ZRAM_UNIT, SETUP_UNIT = "dev-zram0.swap", "systemd-zram-setup@zram0.service"
# What was stopped by us and not by a person: `revert` starts it again.
NOTES = "/var/lib/bramble/memory"
MIB = 1024 * 1024
# What Linux has by default (Documentation/admin-guide/sysctl/vm.rst).
KERNEL_DEFAULTS = {
    "vm.swappiness": "60",
    "vm.page-cluster": "3",
    "vm.watermark_boost_factor": "15000",
    "vm.watermark_scale_factor": "10",
}


@dataclass(frozen=True, kw_only=True)
class SwapFile:
    """The swap file; `mount` is where storage mounts the SSD, None where it is switched off."""

    path: str
    unit: str
    mount: str | None
    size_mib: int
    priority: int
    required: bool

    @property
    def is_on_ssd(self) -> bool:
        """Whether the path is below the mount point of the SSD."""
        return self.mount is not None and self.path.startswith(f"{self.mount}/")


@dataclass(frozen=True, kw_only=True)
class MemoryPlan(RolePlan):
    """zram's share of the RAM, algorithm and priority, the swap file (None: never one), kernel values.

    zram-generator takes the share of the RAM that a boot has, which the next one may have otherwise.
    """

    zram_percent: int
    rpi_swap: RpiSwap
    algorithm: str
    priority: int
    swap_file: SwapFile | None
    values: Mapping[str, str]
    path: str


def unit_of(path: str) -> str:
    """Return the name that systemd requires for the swap unit of a path."""
    return f"{fstab.unit_of(path).removesuffix('.mount')}.swap"


def unit_file(path: str) -> str:
    """Return the path of the swap file's unit."""
    return f"/etc/systemd/system/{unit_of(path)}"


def unfinished(path: str) -> str:
    """Return the path of the swap file while it is being made."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/.{name}.bramble"


def note(unit: str) -> str:
    """Return the path of the note that bramble retired a unit."""
    return f"{NOTES}/{unit}"
