"""What a kind of virtual Pi must offer: containers and machines each have a backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bramble.virtual import releases
from bramble.virtual.apt import AptHost
from bramble.virtual.spec import Spec

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Desired:
    """What new nodes are to be."""

    board: str
    fault: str | None
    clone_of: str | None
    ccache: bool
    release: str = releases.DEFAULT


@dataclass(frozen=True)
class Needs:
    """What this machine must have: Debian packages, the tools in them, the kernel's file systems."""

    packages: tuple[str, ...]
    tools: Mapping[str, str]
    """The Debian package of each tool."""
    file_systems: Mapping[str, str]
    """What to do where the kernel does not offer one."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for a node before it counts as hung."""

    boot_s: float
    banner_s: float
    ssh_silence_s: int


class End(Protocol):
    """How one boot of a node ended."""

    @property
    def reboots(self) -> bool:
        """Return whether the node asked for a reboot, and was not switched off."""

    @property
    def summary(self) -> str:
        """Return in words how the node ended, for the console log."""


class Hardware(Protocol):
    """What a node runs on, owned by its supervisor."""

    def ready(self) -> AbstractContextManager[None]:
        """Provide what the node needs from its first boot to its last; release it at the end."""

    def power_on(self) -> str:
        """Do what a Pi's firmware does before the kernel; return the kernel command line."""

    def run(self, cmdline: str) -> End:
        """Boot the node and wait for its end."""


class Backend(Protocol):
    """One kind of virtual Pi."""

    needs: Needs
    patience: Patience

    def check(self, desired: Desired) -> None:
        """Refuse what a node of this kind cannot be."""

    def ensure_image(self, host: AptHost, release: str, on_progress: Progress) -> Path:
        """Ensure the cache has what new nodes start from; return its place."""

    def make(self, names: Sequence[str], desired: Desired, base: Path) -> None:
        """Make the files of new nodes."""

    def refuse_foreign(self, name: str) -> None:
        """Refuse a name whose place is taken by a node of another state folder."""

    def ensure_services(self, host: AptHost, on_progress: Progress) -> None:
        """Ensure that what the nodes share on this machine is there, such as their proxy."""

    def hardware(self, node: Spec) -> Hardware:
        """Return what the node runs on."""

    def release(self, node_name: str) -> None:
        """Wait until an ended node's network and disks are free; clear what a killed one left."""

    def tidy(self) -> None:
        """Remove what no node of this kind needs any more."""
