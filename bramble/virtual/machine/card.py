"""The root file system of a machine's boot card, mounted on this machine while the machine is off.

Only a supervisor mounts it: its mount namespace is private, so a mount ends with it, however it ends.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bramble.virtual import doubles, faults, identity
from bramble.virtual.commands import run
from bramble.virtual.layers import Upper
from bramble.virtual.machine import disk, qemu
from bramble.virtual.spec import Spec

PERSONALIZED = "personalized"
UPDATED = "eeprom-updated"


@contextmanager
def mounted(node: Spec) -> Iterator[Path]:
    """Mount the root file system; yield its folder."""
    place = node.folder / "card"
    place.mkdir(exist_ok=True)
    where = f"loop,offset={disk.ROOT.offset_bytes},sizelimit={disk.ROOT.size_kib * 1024}"
    run("mount", "-t", "ext4", "-o", where, str(qemu.files_of(node).boot_card), str(place))
    try:
        yield place
    finally:
        run("umount", str(place))


def personalize(node: Spec) -> None:
    """Give a new machine its identity and its doubles, once; one that was half done begins again."""
    done = node.folder / PERSONALIZED
    if done.exists():
        return
    with mounted(node) as root:
        upper = Upper(root, [])
        identity.write(node, upper, qemu.PROXY_URL)
        faults.install(upper, node.board, node.fault)
    done.touch()


def update_doubles(node: Spec) -> None:
    """Switch the doubles to a board whose EEPROM was updated."""
    with mounted(node) as root:
        Upper(root, []).link(f"{doubles.PLACE}/current", f"{node.board}-{doubles.AFTER_UPDATE}")
    (node.folder / UPDATED).touch()
