"""How tests say what a look at a node shows, and a look that differs from another in one thing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from bramble.node import container
from bramble.plan import File
from bramble.snapshot import Answer, Boot, FileState, Output, Snapshot, Unit, Unknown
from bramble.system import parse

RECORDED = Path(__file__).parent / "recorded"
DETECT = container.COMMAND
WHY = Unknown("permission denied")
"""Why a node does not say something."""
FOLDER = FileState("directory", 0o755, "root", "root", 4096, 1)


def recorded(name: str) -> str:
    """The text of a recorded output."""
    return (RECORDED / name).read_text(encoding="utf-8")


def recorded_look() -> dict[str, Any]:
    """What the probe printed on a virtual Pi before its first deploy."""
    look: dict[str, Any] = json.loads(recorded("probe.container-bookworm-amd64.json"))
    return look


def plain(text: str, mode: int = 0o644, group: str = "root") -> FileState:
    """The state of a plain file of root's."""
    size, sha256 = len(text.encode()), File(path="", text=text).sha256
    return FileState("file", mode, "root", group, size, 1, sha256=sha256, text=text)


def link(target: str) -> FileState:
    """The state of a symbolic link."""
    return FileState("link", 0o777, "root", "root", len(target), 1, target=target)


def disk(path: str, **changes: Any) -> parse.Disk:
    """A blank USB disk of 500 GB, but for some of it."""
    blank = {
        "kind": "disk",
        "transport": "usb",
        "size_bytes": 500_107_862_016,
        "fstype": None,
        "label": None,
        "uuid": None,
        "mountpoints": (),
        "model": "PSSD T7",
        "serial": "S5TANS0R123456A",
        "read_only": False,
    }
    return parse.Disk(path=path, **{**blank, **changes})


def card() -> parse.Disk:
    """The SD card that the node is booted from."""
    shape = {"kind": "part", "transport": None, "model": None, "serial": None}
    boot = disk("/dev/mmcblk0p1", fstype="vfat", mountpoints=("/boot/firmware",), **shape)
    root = disk("/dev/mmcblk0p2", fstype="ext4", mountpoints=("/",), **shape)
    return disk("/dev/mmcblk0", **{**shape, "kind": "disk"}, table="dos", parts=(boot, root))


def together(looks: Iterable[Snapshot]) -> Snapshot:
    """One look that shows what each of them does; what one shows is there, whoever misses it."""
    whole: dict[str, Any] = {}
    nothing = Snapshot()
    for look in looks:
        for name in (field.name for field in fields(Snapshot)):
            seen = getattr(look, name)
            if seen == getattr(nothing, name):
                continue
            before = whole.get(name)
            if isinstance(before, Mapping):
                seen = {**before, **_added(before, seen)}
            elif isinstance(before, tuple):
                seen = (*before, *seen)
            whole[name] = seen
    return replace(nothing, **whole)


def _added(before: Mapping[str, Any], seen: Mapping[str, Any]) -> dict[str, Any]:
    """What a look adds to one before it: lists of the same thing become one."""
    there = {k: v for k, v in seen.items() if v is not None or k not in before}
    lists = {k: v for k, v in there.items() if isinstance(v, tuple)}
    return there | {k: (*(before.get(k) or ()), *v) for k, v in lists.items()}


def with_disks(look: Snapshot, *disks: parse.Disk) -> Snapshot:
    """The same look, but for the disks besides the card."""
    return replace(look, disks=(card(), *disks))


def with_file(look: Snapshot, path: str, seen: FileState | Unknown | None) -> Snapshot:
    """The same look, but for what stands at one path."""
    assert isinstance(look.files, Mapping)
    return replace(look, files={**look.files, path: seen})


def without(look: Snapshot, *paths: str) -> Snapshot:
    """The same look with nothing at these paths."""
    return replace(look, files={**look.files, **dict.fromkeys(paths)})


def with_boot(look: Snapshot, **changes: Any) -> Snapshot:
    """The same look, but for some of what the firmware and the kernel were told."""
    assert isinstance(look.boot, Boot)
    return replace(look, boot=replace(look.boot, **changes))


def with_command(look: Snapshot, line: str, said: Output | Unknown | None) -> Snapshot:
    """The same look, but for what one command said."""
    assert isinstance(look.commands, Mapping)
    return replace(look, commands={**look.commands, line: said})


def with_unit_named(look: Snapshot, name: str, **changes: Any) -> Snapshot:
    """The same look, but for some properties of a unit."""
    seen = look.unit(name)
    assert isinstance(seen, Unit)
    assert isinstance(look.units, Mapping)
    return replace(look, units={**look.units, name: replace(seen, **changes)})


def with_answer(look: Snapshot, url: str, answer: Answer | Unknown) -> Snapshot:
    """The same look, but for the answer of one URL."""
    assert isinstance(look.http, Mapping)
    return replace(look, http={**look.http, url: answer})


def in_container(look: Snapshot) -> Snapshot:
    """The same look from inside of a container, which sees its host's hardware."""
    return with_command(look, DETECT, Output(0, "systemd-nspawn\n"))
