"""What kind of machine a node is, as far as a plan depends on it, and whether it may be changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bramble.snapshot import Snapshot, System, Unknown
from bramble.system import debian
from bramble.system.devicetree import DeviceTree

SUPPORTED_ARCHITECTURES = ("arm64", "amd64")

# The board type field of the revision code (raspberrypi/documentation, revision-codes.adoc). A CM4S
# has no Wi-Fi and a CM5 Lite no eMMC; both are what the others are.
_TYPES = {
    0x11: "pi4",
    0x13: "pi400",
    0x14: "cm4",
    0x15: "cm4",
    0x17: "pi5",
    0x18: "cm5",
    0x19: "pi500",
    0x1A: "cm5",
}
# Boards before the Pi 4: by that field (0x12 is a Zero 2 W), and those of the codes of old.
_OLDER_TYPES = {*range(0x07), 0x08, 0x09, 0x0A, 0x0C, 0x0D, 0x0E, 0x10, 0x12}
_OLD_STYLE = range(0x02, 0x16)
OTHER, STRANGE = "other", "unknown"


@dataclass(frozen=True)
class Board:
    """A node's hardware and userland.

    `kind` is pi4, pi400, cm4, pi5, cm5 or pi500 by the revision code, `unknown` for a Raspberry Pi
    that is not in the table, `other` for anything else: older ones, and mini-PCs. `cpu_part` is the
    Arm part number (0xd08 is Cortex-A72, 0xd0b Cortex-A76), None elsewhere. `memory_mib` is MemTotal:
    what the kernel has, which `total_mem=` may cap.
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

    @property
    def strange(self) -> str | None:
        """Why nothing is known of this board though it is a Raspberry Pi, None where that is not so."""
        if self.kind != STRANGE:
            return None
        return (
            f"this version of bramble does not know this Raspberry Pi ({self.model}), so its boot "
            "files and its clocks are left alone"
        )


def board(snapshot: Snapshot) -> Board | Unknown:
    """Return the board that a snapshot shows; Unknown when the node did not say enough to plan."""
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
    """Return the model's name and the board's kind, by the device tree."""
    tree = snapshot.device_tree
    if tree is None or isinstance(tree, Unknown) or not tree.model:
        return "not a Raspberry Pi", OTHER
    return tree.model, _kind(tree)


def _kind(tree: DeviceTree) -> str:
    """Return the kind by the revision code; a Raspberry Pi with an unknown code is a strange one."""
    of_type = board_type(tree)
    if of_type in _TYPES:
        return _TYPES[of_type]
    old = of_type in _OLDER_TYPES or tree.revision in _OLD_STYLE
    made_by_them = (tree.model or "").startswith("Raspberry Pi") or any(
        name.startswith("raspberrypi,") for name in tree.compatible
    )
    return STRANGE if made_by_them and not old else OTHER


def board_type(tree: DeviceTree) -> int | None:
    """Return the type field of a new-style revision code; None without one."""
    new_style = tree.revision is not None and tree.revision >> 23 & 1
    return tree.revision >> 4 & 0xFF if new_style and tree.revision else None


def refusals(snapshot: Snapshot) -> tuple[str, ...]:
    """Return why this node must not be provisioned, with what to do; an empty tuple: continue."""
    return tuple(_refusals(snapshot))


def _refusals(snapshot: Snapshot) -> Iterator[str]:
    system = snapshot.system
    if isinstance(system, Unknown):
        yield f"The node could not be looked at: {system.why}."
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
    """Tell whether the root is an overlay whose upper layer is in memory, as overlayroot makes it.

    An overlay as such keeps its changes (containers are based on one): what tells is the kernel's
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
    if system.codename not in debian.RELEASES:
        yield (
            f"The release is {system.os_id} {system.codename}; "
            f"{' or '.join(debian.RELEASES)} is supported. Flash Raspberry Pi OS Lite (64-bit) of "
            "one of them."
        )
    elif left := debian.foreign(system.codename, system.versions):
        yield (
            f"The release is {system.codename}, and {'; '.join(left)}: an upgrade to another release "
            "was begun and not finished, or packages of two releases are mixed. Finish it (`sudo apt "
            "full-upgrade`, then reboot), or flash the card again."
        )
