"""The page of the files that each role owns on a node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bramble import registry
from bramble.board import Board
from bramble.outputs import EngineOutputs
from bramble.plan import NodePlan, look_at, make
from bramble.prepared import Prepared
from bramble.settings import Section
from bramble.snapshot import FileState, Output, Snapshot
from bramble.steps import Step
from bramble.system.parse import Disk
from docs.pages.written import WRITTEN

# A node to show files of: settings without a default are set, and those that write files.
HOST = "pi5-a"
BOARD = Board(
    model="Raspberry Pi 5 Model B Rev 1.0",
    kind="pi5",
    architecture="arm64",
    codename="bookworm",
    cpu_part="0xd0b",
    cpu_features=frozenset(),
    cores=4,
    memory_mib=8063,
    page_size=16384,
)
BLANK = Disk(
    path="/dev/sda",
    kind="disk",
    transport="usb",
    size_bytes=500_000_000_000,
    fstype=None,
    label=None,
    uuid=None,
    mountpoints=(),
    model=None,
    serial=None,
    read_only=False,
)
NEEDED: Mapping[str, Mapping[str, Any]] = {
    "ssh": {"address": "192.168.1.41"},
    "boot": {"config": {"NAME": "VALUE"}, "eeprom": {"update": True}},
    "storage": {"log2ram": "on"},
    "gateway": {"secrets": {"node_key": {"environment": "NAME"}}},
    "monitoring": {"secrets": {"ntfy": {"environment": "NAME"}}},
    "model": {"name": "NAME", "url": "https://example.org/model.gguf", "sha256": "0" * 64},
}
RELEASE, SHA = "RELEASE", "SHA256"


def files_page() -> str:
    """Return the page of what every role owns on a node, from the plan of a fresh one."""
    settings = {
        name: model.model_validate(
            NEEDED.get(name, {}), context={"folder": Path("/inventory"), "host": HOST}
        )
        for name, model in registry.sections().items()
    }
    given = Prepared(secret=lambda source: "secret")
    plan = make(HOST, settings, BOARD, registry.roles(), given)
    parts = [
        "# Files on a node\n\n"
        "From the plan of a fresh Raspberry Pi 5 with the default settings, and with `boot.config` and\n"
        "`boot.eeprom.update` set, `storage.log2ram: on`, `monitoring.secrets.ntfy` and\n"
        "`gateway.secrets.node_key` given, and a blank USB disk. RELEASE is the release's identity,\n"
        "SHA256 the first twelve digits of the pinned hash, NAME `model.name` and the disk's name.\n"
        "`bramble plan HOST` shows the same of a real\n"
        "host, with each file's text as a difference.\n\n"
        "bramble owns whole files: it replaces them, and merges with nobody's. The roles base,\n"
        "boot and storage alone edit files that are others': each line below says which part. What is\n"
        "taken back or removed, and when, is on each role's page.\n"
    ]
    fstab, name = "/etc/fstab", "/dev/disk/by-id/usb-NAME"
    fresh = Snapshot(
        # With a blank USB disk, so that the steps for one are shown.
        disks=(BLANK,),
        files={
            **dict.fromkeys(look_at(HOST, settings, registry.roles())["files"]),
            fstab: FileState("file", 0o644, "root", "root", 0, 0, text=""),
            name: FileState("link", 0o777, "root", "root", 0, 0, target="../../sda"),
        },
        commands={"rpi-eeprom-update": Output(1, "BOOTLOADER: update available\n")},
    )
    for role in registry.roles():
        rows = dict.fromkeys(_owned(plan, role, fresh))
        parts.append(f"\n## {role.name}\n")
        if rows:
            parts.append("\n| Path | What |\n|---|---|\n" + "".join(rows))
        else:
            parts.append("\nNo file.\n")
        if plan.roles[role.name].packages:
            parts.append(f"\nDebian packages: {_names(plan.roles[role.name].packages)}.\n")
    return _neutral("".join(parts) + _looked_at(settings), plan)


def _owned(plan: NodePlan, role: registry.AnyRole, fresh: Snapshot) -> Iterator[str]:
    whole = {file.path for file in plan.roles[role.name].files}
    for file in plan.roles[role.name].files:
        what = f"whole file, mode {file.mode:04o}, {file.owner}:{file.group}"
        yield f"| `{file.path}` | {what}{', secret' if file.secret else ''} |\n"
    for step in role.steps(plan.roles[role.name], plan, fresh):
        for one in _written(step):
            if one["path"] in whole:
                continue
            what = f"whole file, mode {one['mode']:04o}, {one['owner']}:{one['group']}"
            yield f"| `{one['path']}` | {what} |\n"
        for key, ending, what in WRITTEN[step.program] if step.why else ():
            yield f"| `{step.query[key]}{ending}` | {what} |\n"
        for upload in step.uploads:
            yield f"| `{upload.remote}` | sent by this computer, removed once it is used |\n"
        if step.stored:
            release = step.stored.query["release"]
            packed = f"{release.rpartition('/')[0]}/.{step.stored.key}.packed"
            yield f"| `{packed}` | packed for the store, removed once it is fetched |\n"
            sent = "sent where it cannot be pulled, removed once it is used"
            yield f"| `{step.stored.remote}` | {sent} |\n"
        if step.detached:
            unit = f"bramble-{step.program.replace('_', '-')}-ID"
            yield f'| `/run/bramble/steps/{unit}` | program, log and exit code of "{step.name}" |\n'


def _written(step: Step) -> Iterator[Mapping[str, Any]]:
    """Yield whole files that a step writes only where a node needs them."""
    if step.program == "write_files":
        yield from step.query["files"]
    if step.program == "apt_source":
        plain = {"mode": 0o644, "owner": "root", "group": "root"}
        yield from ({**plain, **step.query[key]} for key in ("pin", "source"))


def _looked_at(settings: Mapping[str, Section]) -> str:
    """List what the one look reads, besides the general facts."""
    query = look_at(HOST, settings, registry.roles())
    words = {
        "files": "Files",
        "units": "Units",
        "packages": "Packages",
        "users": "Users",
        "http": "URLs on the node itself",
        "free": "Free space below",
        "commands": "Read-only commands that are run",
    }
    rows = "".join(f"| {word} | {_names(query[key])} |\n" for key, word in words.items())
    return (
        "\n## What the look at a node reads\n\n"
        "Besides the board, the system, memory, mounts, swaps, disks and listening sockets:\n\n"
        f"| What | Which |\n|---|---|\n{rows}"
    )


def _names(names: Any) -> str:
    # Bars end the cells of a table, in code too.
    return ", ".join(f"`{name.replace('|', chr(92) + '|')}`" for name in names)


def _neutral(text: str, plan: NodePlan) -> str:
    """Replace identities that change with every setting."""
    for part in plan.roles.values():
        if isinstance(part.outputs, EngineOutputs):
            text = text.replace(part.outputs.release, RELEASE)
    return text.replace("0" * 12, SHA)
