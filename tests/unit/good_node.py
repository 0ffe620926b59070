"""A planned node, and a look at it that shows everything as planned: tests spoil one thing each.

What each role wants and shows of it stands in its folder, `roles/NAME/good.py`: `look(plan)`, what a
good node of this plan shows of the role besides its files and packages, and `SETTINGS`, where it is
to have others than its own. A role without that file is none of this node's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from bramble import registry
from bramble.access.keys import Client, Hash
from bramble.board import Board
from bramble.fleet import prepare
from bramble.models.lock import Locked
from bramble.plan import NodePlan, make
from bramble.snapshot import Output, Snapshot, System
from bramble.system import parse
from bramble.system.debian import RELEASES
from bramble.system.devicetree import DeviceTree
from tests.unit.looks import DETECT, card, plain, together
from tests.unit.roles.gateway.good import KEY, others

FOLDERS = Path(__file__).parent / "roles"
A76 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm asimddp"
PI5 = Board(
    model="Raspberry Pi 5 Model B Rev 1.0",
    kind="pi5",
    architecture="arm64",
    codename="bookworm",
    cpu_part="0xd0b",
    cpu_features=frozenset(A76.split()),
    cores=4,
    memory_mib=8063,
    page_size=16384,
)


def of_roles(part: str) -> dict[str, ModuleType]:
    """The modules of this name in the roles' folders, by the roles' names."""
    found = sorted(path.parent.name for path in FOLDERS.glob(f"*/{part}.py"))
    return {name: import_module(f"tests.unit.roles.{name}.{part}") for name in found}


GOOD_PARTS = of_roles("good")
ROLES = tuple(role for role in registry.roles() if role.name in GOOD_PARTS)
"""The roles that the good node has."""
ALONE = tuple(role for role in ROLES if role.name != "gateway")
"""Those of a node that has nothing to do with other hosts."""


def settings(**changes: Mapping[str, Any]) -> dict[str, Any]:
    """The sections of these roles, with some values changed; local paths are below /inventory."""
    return {
        role.name: role.settings.model_validate(
            {**getattr(GOOD_PARTS[role.name], "SETTINGS", {}), **changes.get(role.name, {})},
            context={"folder": Path("/inventory"), "host": "pi5-a"},
        )
        for role in ROLES
    }


CLIENTS = {
    "laptop": Client(key=Hash(sha256="a" * 64, created="2026-11-30")),
    "gateway": Client(key=Hash(sha256=sha256(KEY.encode()).hexdigest(), created="2026-11-30")),
}
PEM = (
    "-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n"
    "-----BEGIN PRIVATE KEY-----\nbm9uZQ==\n-----END PRIVATE KEY-----\n"
)


def node_plan(
    board: Board = PI5, locked: Mapping[str, Locked] | None = None, **changes: Mapping[str, Any]
) -> NodePlan:
    """The plan of a node with these settings, which clients with a key use by TLS.

    `locked` is what models.lock has.
    """
    sections = settings(**changes | {"serving": {"expose": "tls", **changes.get("serving", {})}})
    beside = prepare(Path("/inventory"), (sections,))
    beside = replace(
        beside,
        clients=CLIENTS,
        certificates={"pi5-a": PEM},
        authority="ca",
        models=locked or {},
        hosts={"pi5-a": sections, **others()},
    )
    return make("pi5-a", sections, board, ROLES, beside)


def good_look(plan: NodePlan) -> Snapshot:
    """A look at a node of this plan that has nothing left to do."""
    parts = (GOOD_PARTS[name].look(plan) for name in plan.roles)
    return together([_machine(plan), *parts])


def _machine(plan: NodePlan) -> Snapshot:
    """What is no role's: the board, its system, and the files and packages of all plans."""
    board = plan.board
    return Snapshot(
        taken_at_s=1_795_225_725,
        asked_at_s=1_795_225_724.5,
        answered_at_s=1_795_225_727.2,
        device_tree=DeviceTree(
            board.model, ("raspberrypi,5-model-b", "brcm,bcm2712"), 0xD04170, 5000
        ),
        system=_system(board),
        memory_kib={
            "MemTotal": board.memory_mib * 1024,
            "MemAvailable": board.memory_mib * 900,
        },
        mounts=(parse.Mount("/", "ext4", "/dev/mmcblk0p2", ("rw", "noatime")),),
        disks=(card(),),
        packages=dict.fromkeys(plan.packages, "1.0-1"),
        files={
            file.path: plain(file.text, file.mode, group=file.group)
            for role in plan.roles.values()
            for file in role.files
        },
        commands={DETECT: Output(1, "none\n")},
    )


def _system(board: Board) -> System:
    return System(
        os_id="debian",
        codename=board.codename,
        versions=RELEASES[board.codename].versions,
        rpi_issue="Raspberry Pi reference 2025-05-13",
        architecture=board.architecture,
        long_bit=64,
        page_size=board.page_size,
        machine="aarch64",
        kernel="6.12.25+rpt-rpi-2712",
        cores=board.cores,
        cpu_part=board.cpu_part,
        cpu_features=board.cpu_features,
        boot_id="6b229fa2-d2fb-4f1c-a460-931ee6b6ce3a",
        hostname="pi5-a",
    )
