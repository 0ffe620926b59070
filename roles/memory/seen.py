"""What a look shows of zram, swap and their owners: pure readings, no decision."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from bramble.roles.memory import rpi_swap
from bramble.roles.memory.wanted import ZRAM_UNIT, MemoryPlan
from bramble.sanitize import number
from bramble.snapshot import FileState, Snapshot, Unknown
from bramble.system import parse

BLOCKS = "/sys/block/zram*"
DISKSIZES, ALGORITHMS, BACKINGS = (
    f"{BLOCKS}/{name}" for name in ("disksize", "comp_algorithm", "backing_dev")
)
DPHYS, ZRAMSWAP = "dphys-swapfile.service", "zramswap.service"
OWNERS = (DPHYS, ZRAMSWAP)
LOG2RAM = "log2ram.service"
DPHYS_CONF, LOG2RAM_CONF = "/etc/dphys-swapfile", "/etc/log2ram.conf"
DPHYS_DEFAULT = "/var/swap"
PAGE_SIZES = (4096, 16384, 65536)
SIGNATURE = b"SWAPSPACE2"


@dataclass(frozen=True)
class Zram:
    """A zram device that has a size: its compression and where it writes back to, None for nowhere."""

    name: str
    size_bytes: int
    algorithm: str
    backing: str | None


def zrams(snapshot: Snapshot) -> dict[str, Zram] | Unknown:
    """Return the zram devices that have a size, by name."""
    files = snapshot.files
    if isinstance(files, Unknown):
        return files
    found = {}
    for path in [path for path in files if fnmatchcase(path, DISKSIZES)]:
        folder = path.rsplit("/", 1)[0]
        texts = {}
        for name in ("disksize", "comp_algorithm", "backing_dev"):
            seen = files.get(f"{folder}/{name}")
            if isinstance(seen, Unknown):
                return seen
            texts[name] = _text(seen)
        if (size := number(texts["disksize"])) and size > 0:
            name = folder.rsplit("/", 1)[1]
            found[name] = Zram(
                name,
                size,
                chosen(texts["comp_algorithm"]),
                None if texts["backing_dev"] in ("", "none") else texts["backing_dev"],
            )
    return found


def chosen(algorithms: str) -> str:
    """Return the algorithm in use: the kernel puts it in brackets, unless it is the only one."""
    bracketed = re.search(r"\[([^\[\]]+)\]", algorithms)
    return bracketed[1] if bracketed else algorithms


def swap_at(snapshot: Snapshot, path: str) -> parse.Swap | Unknown | None:
    """Return the active swap of this path; None where there is none."""
    if isinstance(snapshot.swaps, Unknown):
        return snapshot.swaps
    return next((swap for swap in snapshot.swaps if swap.path == path), None)


def mounted(snapshot: Snapshot, target: str) -> parse.Mount | Unknown | None:
    """Return what is mounted there, None for nothing; the last mount hides earlier ones."""
    if isinstance(snapshot.mounts, Unknown):
        return snapshot.mounts
    return next((m for m in reversed(snapshot.mounts) if m.target == target), None)


def signature_command(path: str, page_size: int) -> str:
    """Return the command that reads a swap file's signature for this page size."""
    return f"od -An -v -tx1 -j{page_size - len(SIGNATURE)} -N{len(SIGNATURE)} {path}"


def made_for(snapshot: Snapshot, path: str) -> int | Unknown | None:
    """Return the page size that the swap file at `path` was made for; None where there is none."""
    for size in PAGE_SIZES:
        said = snapshot.command(signature_command(path, size))
        if isinstance(said, Unknown):
            return said
        if said is None:
            return Unknown("there is no od")
        if said.code == 0 and said.output.split() == [f"{byte:02x}" for byte in SIGNATURE]:
            return size
    return None


def is_in_the_way(snapshot: Snapshot, path: str) -> bool:
    """Tell whether something other than a swap file is at a swap file's path."""
    return isinstance(snapshot.file(path), FileState) and made_for(snapshot, path) is None


def dphys_file(snapshot: Snapshot) -> str | None:
    """Return dphys-swapfile's swap file by its configuration; None where that cannot be read."""
    seen = snapshot.file(DPHYS_CONF)
    if isinstance(seen, Unknown):
        return None
    lines = re.findall(r"(?m)^[ \t]*CONF_SWAPFILE=(.*)$", _text(seen))
    if not lines:
        return DPHYS_DEFAULT
    found = re.fullmatch(r"([\"']?)(/[A-Za-z0-9._/-]+)\1\s*(?:#.*)?", lines[-1])
    return found[2] if found else None


def log2ram_has_zram(snapshot: Snapshot) -> bool:
    """Tell whether log2ram is configured to use a zram device of its own."""
    seen = snapshot.file(LOG2RAM_CONF)
    return bool(re.search(r"(?m)^[ \t]*ZL2R[ \t]*=[ \t]*[\"']?true", _text(seen)))


def owners(snapshot: Snapshot) -> tuple[str, ...] | Unknown:
    """Return the units of other owners of swap that run, or would at the next boot."""
    found = []
    for name in OWNERS:
        unit = snapshot.unit(name)
        if isinstance(unit, Unknown):
            return unit
        # One that failed and is disabled neither runs nor will.
        if unit.enabled == "enabled" or unit.active not in ("inactive", "failed"):
            found.append(name)
    return tuple(found)


def others(snapshot: Snapshot, ours: Collection[str]) -> tuple[parse.SwapMaker, ...] | Unknown:
    """Return what else would make zram or swap at the next boot, besides ours and what is retired.

    Swap that is only used, by a line of fstab or a unit of its own, is a person's and no rival.
    """
    makers = snapshot.swap_makers
    if isinstance(makers, Unknown):
        return makers
    known = {*ours, *OWNERS, *(() if log2ram_has_zram(snapshot) else (LOG2RAM,))}
    return tuple(
        maker
        for maker in makers
        if maker.name not in known
        and not maker.name.endswith(".swap")
        and not rpi_swap.makes(maker)
    )


def makes_too_much(plan: MemoryPlan, snapshot: Snapshot) -> str | None:
    """Return what rpi-swap makes that it is not to make; None for nothing, or where that is unknown."""
    makers = () if isinstance(snapshot.swap_makers, Unknown) else snapshot.swap_makers
    units = rpi_swap.too_much(plan.rpi_swap, makers, ZRAM_UNIT)
    return f"rpi-swap makes {', '.join(units)}" if units else None


def is_made_by(snapshot: Snapshot, unit: str) -> bool | Unknown:
    """Tell whether a unit has made its device, or is about to: another's device leaves it inactive."""
    state = snapshot.unit(unit)
    return state if isinstance(state, Unknown) else state.active != "inactive"


def left_alone(snapshot: Snapshot, ours: Collection[str]) -> tuple[str, ...]:
    """Describe swap in use that is not ours, with the file that configures it."""
    swaps = () if isinstance(snapshot.swaps, Unknown) else snapshot.swaps
    makers = () if isinstance(snapshot.swap_makers, Unknown) else snapshot.swap_makers
    by_device = {maker.line.removeprefix("What="): maker.path for maker in makers}
    return tuple(
        f"{swap.path} ({by_device.get(swap.path, 'nothing says by whom')})"
        for swap in swaps
        if swap.path not in ours
    )


def values(snapshot: Snapshot, wanted: Mapping[str, str]) -> dict[str, str] | Unknown:
    """Return the current values of these names of /proc/sys."""
    found = {}
    for name in wanted:
        seen = snapshot.file(proc_sys(name))
        if isinstance(seen, Unknown):
            return seen
        found[name] = _text(seen) or "not there"
    return found


def proc_sys(name: str) -> str:
    """Return the file of a value of /proc/sys."""
    return f"/proc/sys/{name.replace('.', '/')}"


def _text(seen: FileState | Unknown | None) -> str:
    return (seen.text or "").strip() if isinstance(seen, FileState) else ""
