"""Parsers of what Linux reports about itself: text in, frozen values out, ValueError on nonsense."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bramble import strict_json


@dataclass(frozen=True)
class Mount:
    """One mounted file system (proc(5), mountinfo)."""

    target: str
    fstype: str
    source: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Swap:
    """One line of /proc/swaps; sizes in KiB."""

    path: str
    kind: str
    size_kib: int
    used_kib: int
    priority: int


@dataclass(frozen=True)
class SwapMaker:
    """What would make zram or swap at the next boot: a unit, a line of cron or a udev rule.

    `path` is the file that has the line, a script's where a unit runs one.
    """

    name: str
    path: str
    line: str


@dataclass(frozen=True)
class Disk:
    """A block device as lsblk reports it, with its partitions; size in bytes.

    `table` is the kind of its partition table (gpt, dos), which may hold no partition.
    """

    path: str
    kind: str
    transport: str | None
    size_bytes: int
    fstype: str | None
    label: str | None
    uuid: str | None
    mountpoints: tuple[str, ...]
    model: str | None
    serial: str | None
    read_only: bool
    table: str | None = None
    partuuid: str | None = None
    partlabel: str | None = None
    parts: tuple[Disk, ...] = ()


@dataclass(frozen=True)
class Socket:
    """A listening TCP socket, with the processes that hold it, as far as ss shows them."""

    address: str
    port: int
    pids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Cpu:
    """What a build depends on: the part number (Arm only) and the instruction set's features."""

    part: str | None
    features: frozenset[str]


def os_release(text: str) -> Mapping[str, str]:
    """Return the variables of os-release(5)."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name.strip(): "".join(shlex.split(value)) for name, _, value in pairs}


def cpuinfo(text: str) -> Cpu:
    """Return the first processor's part and features (`Features` on Arm, `flags` on x86)."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip(), value.strip())
    features = fields.get("Features") or fields.get("flags")
    if features is None:
        raise ValueError("no features in /proc/cpuinfo")
    part = fields.get("CPU part")
    # It stands in engine.lock, and in what is said of releases.
    if part is not None and not re.fullmatch(r"0x[0-9a-f]{1,4}", part):
        raise ValueError(f"no part number of a processor: {part[:40]!r}")
    return Cpu(part, frozenset(features.split()))


def meminfo(text: str) -> Mapping[str, int]:
    """Return the amounts of /proc/meminfo in KiB by name; lines without a unit (counts) are left out."""
    found = re.findall(r"^(\S+):\s+(\d+) kB$", text, re.MULTILINE)
    if not found:
        raise ValueError("no amount in /proc/meminfo")
    return {name: int(amount) for name, amount in found}


def mountinfo(text: str) -> tuple[Mount, ...]:
    """Return the mounts of /proc/self/mountinfo in the kernel's order: a later one hides an earlier."""
    if not text.strip():
        raise ValueError("no mount in /proc/self/mountinfo")
    return tuple(_mount(line) for line in text.splitlines())


def _mount(line: str) -> Mount:
    left, dash, right = line.partition(" - ")
    fields, (fstype, source, super_options) = left.split(), right.split(" ", 2)
    if not dash or len(fields) < 6:
        raise ValueError(f"not a line of mountinfo: {line!r}")
    # Flags such as noatime are the mount's; errors=, data= and the like are the superblock's.
    options = (*fields[5].split(","), *super_options.split(","))
    return Mount(_unescape(fields[4]), fstype, _unescape(source), tuple(dict.fromkeys(options)))


def swaps(text: str) -> tuple[Swap, ...]:
    """Return the active swaps of /proc/swaps."""
    if not text.startswith("Filename"):
        raise ValueError("no heading in /proc/swaps")
    rows = (line.split() for line in text.splitlines()[1:])
    return tuple(
        Swap(_unescape(path), kind, int(size), int(used), int(priority))
        for path, kind, size, used, priority in rows
    )


def swap_makers(found: Sequence[Mapping[str, str]]) -> tuple[SwapMaker, ...]:
    """Return what `bramble/remote/swap_makers.py` found."""
    if not isinstance(found, list):
        raise ValueError("no list of what makes swap")
    return tuple(SwapMaker(**one) for one in found)


def properties(text: str) -> Mapping[str, str]:
    """Return the properties that `systemctl show` prints."""
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if not found:
        raise ValueError("no property")
    return found


# All that systemd writes (systemd.time(7)); a month is 30.44 days there, and a year 365.25.
_SPAN_UNITS_S = {
    **{"y": 31_557_600, "month": 2_629_800, "w": 604_800, "d": 86400, "h": 3600, "min": 60},
    **{"s": 1, "ms": 1e-3, "us": 1e-6},
}


def timespan_s(text: str) -> float:
    """Return a time span of systemd in seconds: `5min`, `1min 30s`, `0`, `infinity`."""
    if text == "infinity":
        return float("inf")
    if text == "0":
        return 0
    parts = [re.fullmatch(r"([\d.]+)([a-z]+)", word) for word in text.split()]
    if not parts or not all(part and part[2] in _SPAN_UNITS_S for part in parts):
        raise ValueError(f"not a time span: {text!r}")
    return sum(float(part[1]) * _SPAN_UNITS_S[part[2]] for part in parts if part)


def _unescape(word: str) -> str:
    """Replace the octal escapes that the kernel writes for blanks and backslashes in paths."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), word)


def disks(devices: Sequence[Mapping[str, Any]]) -> tuple[Disk, ...]:
    """Return the block devices in lsblk's JSON (`lsblk -J -b`)."""
    if not isinstance(devices, list):
        raise ValueError("no list of block devices")
    return tuple(_disk(device) for device in devices)


def _disk(device: Mapping[str, Any]) -> Disk:
    return Disk(
        path=device["path"],
        kind=device["type"],
        transport=device["tran"],
        size_bytes=int(device["size"]),
        fstype=device["fstype"],
        label=device["label"],
        uuid=device["uuid"],
        mountpoints=tuple(filter(None, device["mountpoints"])),
        model=device["model"],
        serial=device["serial"],
        read_only=bool(device["ro"]),
        table=device.get("pttype"),
        partuuid=device.get("partuuid"),
        partlabel=device.get("partlabel"),
        parts=disks(device.get("children", [])),
    )


def sockets(text: str) -> tuple[Socket, ...]:
    """Return the listening TCP sockets in `ss -Hltnp`; an IPv6 address is without its brackets."""
    return tuple(_sockets(text))


def _sockets(text: str) -> Iterator[Socket]:
    for line in text.splitlines():
        _, _, _, local, *rest = line.split(maxsplit=5)
        address, _, port = local.rpartition(":")
        # An address of one interface: 127.0.0.53%lo, [fe80::1]%eth0.
        pids = tuple(map(int, re.findall(r"\bpid=(\d+)", rest[-1]))) if rest else ()
        yield Socket(address.partition("%")[0].strip("[]"), int(port), pids)


def status(text: str) -> dict[str, str]:
    """Return the fields of /proc/PID/status by name."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, colon, value in pairs if colon}


def default_device(text: str) -> str | None:
    """Return the default route's interface, by the least metric (`ip -json route show default`)."""
    routes = strict_json.loads(text) if text else []
    if not isinstance(routes, list) or not all(isinstance(route, dict) for route in routes):
        raise ValueError("no list of routes")
    found = [
        (int(str(route.get("metric", 0))), str(route.get("dev")))
        for route in routes
        if route.get("dst") == "default"
    ]
    return min(found)[1] if found else None
