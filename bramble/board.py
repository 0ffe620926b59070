"""What kind of machine a node is, as far as a plan depends on it, and whether it may be changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bramble.snapshot import Snapshot, System, Unknown

SUPPORTED_CODENAMES = ("bookworm",)
SUPPORTED_ARCHITECTURES = ("arm64", "amd64")

# The board type field of the revision code (raspberrypi/documentation, revision-codes.adoc).
_TYPES = {0x11: "pi4", 0x13: "pi400", 0x14: "cm4", 0x17: "pi5", 0x18: "cm5", 0x19: "pi500"}


@dataclass(frozen=True)
class Board:
    """A node's hardware and userland.

    `kind` is pi4, pi400, cm4, pi5, cm5 or pi500 by the revision code, `other` for anything else,
    mini-PCs among them. `cpu_part` is the Arm part number (0xd08 is Cortex-A72, 0xd0b Cortex-A76),
    None elsewhere. `memory_mib` is MemTotal: what the kernel has, which `total_mem=` may cap.
    """

    model: str
    kind: str
    architecture: str
    codename: str
    cpu_part: str | None
    cpu_features: frozenset[str]
    cores: int
    memory_mib: int
    page_size: int

    @property
    def repacks(self) -> bool:
        """Whether llama.cpp copies weights into another order there, for which Arm needs dotprod."""
        return self.architecture != "arm64" or "asimddp" in self.cpu_features


def board(snapshot: Snapshot) -> Board | Unknown:
    """The board that a snapshot shows, Unknown when the node did not say enough to plan for it."""
    system, memory = snapshot.system, snapshot.memory_kib
    if isinstance(system, Unknown):
        return system
    if isinstance(memory, Unknown):
        return memory
    if "MemTotal" not in memory:
        return Unknown("there is no MemTotal in /proc/meminfo")
    if isinstance(snapshot.device_tree, Unknown):
        return snapshot.device_tree
    model, kind = _identity(snapshot)
    return Board(
        model=model,
        kind=kind,
        architecture=system.architecture,
        codename=system.codename,
        cpu_part=system.cpu_part,
        cpu_features=system.cpu_features,
        cores=system.cores,
        memory_mib=memory["MemTotal"] // 1024,
        page_size=system.page_size,
    )


def _identity(snapshot: Snapshot) -> tuple[str, str]:
    """The model's name and the board's kind, by the device tree."""
    tree = snapshot.device_tree
    if tree is None or isinstance(tree, Unknown) or not tree.model:
        return "not a Raspberry Pi", "other"
    new_style = tree.revision is not None and tree.revision >> 23 & 1
    kind = (
        _TYPES.get(tree.revision >> 4 & 0xFF, "other") if new_style and tree.revision else "other"
    )
    return tree.model, kind


def refusals(snapshot: Snapshot) -> tuple[str, ...]:
    """Why this node must not be provisioned, each a sentence that says what to do; empty: go on."""
    return tuple(_refusals(snapshot))


def _refusals(snapshot: Snapshot) -> Iterator[str]:
    system = snapshot.system
    if isinstance(system, Unknown):
        yield (
            f"The node did not say which system it runs ({system.why}); "
            "it must be Raspberry Pi OS Lite 64-bit Bookworm with python3, and the user that "
            "logs in needs sudo without a password."
        )
        return
    yield from _userland(system)
    for part in (snapshot.boot, snapshot.mounts):
        if isinstance(part, Unknown):
            yield (
                f"The node did not say how it was booted or what is mounted ({part.why}), so its "
                "root may be an overlay that forgets every change. Mend that and try again."
            )
    if _forgets(snapshot):
        yield (
            "The root file system is an overlay in memory (raspi-config's read-only mode): every "
            "change would be gone at the next boot. Run `sudo raspi-config nonint do_overlayfs 1`, "
            "reboot, and try again."
        )


def _forgets(snapshot: Snapshot) -> bool:
    """Whether the root is an overlay whose upper side is memory, as the package overlayroot makes it.

    An overlay as such keeps its changes (containers stand on one): what tells is the kernel's
    command line (`overlayroot=tmpfs`, formerly `boot=overlay`) or overlayroot's own upper folder.
    """
    if not isinstance(snapshot.boot, Unknown):
        tokens = snapshot.boot.proc_cmdline.split()
        if any(t == "boot=overlay" or t.startswith("overlayroot=tmpfs") for t in tokens):
            return True
    if isinstance(snapshot.mounts, Unknown):
        return False
    roots = [
        mount for mount in snapshot.mounts if mount.target == "/" and mount.fstype == "overlay"
    ]
    return any("upperdir=/media/root-rw" in option for root in roots for option in root.options)


def _userland(system: System) -> Iterator[str]:
    if system.architecture not in SUPPORTED_ARCHITECTURES or system.long_bit != 64:
        kernel = " under a 64-bit kernel" if system.machine == "aarch64" else ""
        yield (
            f"The userland is {system.long_bit}-bit ({system.architecture}){kernel}; "
            f"{' or '.join(SUPPORTED_ARCHITECTURES)} is needed. Flash Raspberry Pi OS Lite (64-bit): "
            "a 32-bit system cannot be converted in place."
        )
    if system.codename not in SUPPORTED_CODENAMES:
        yield (
            f"The release is {system.os_id} {system.codename}; "
            f"{' or '.join(SUPPORTED_CODENAMES)} is supported. Flash Raspberry Pi OS Lite (64-bit) "
            "Bookworm."
        )
