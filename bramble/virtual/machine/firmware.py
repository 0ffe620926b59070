"""A Pi's firmware for a machine: EEPROM update, device tree and kernel command line."""

from bramble.virtual import devicetree, doubles
from bramble.virtual.boards import board
from bramble.virtual.machine import card, dtb, qemu
from bramble.virtual.machine.bootpart import BootPartition
from bramble.virtual.spec import Spec

SERIAL = "ttyAMA0"
_MEMORY_OFF, _MEMORY_ON = "cgroup_disable=memory", "cgroup_enable=memory"


def power_on(node: Spec) -> str:
    """Do what comes before the kernel; return the command line that the kernel gets."""
    files = qemu.files_of(node)
    boot = BootPartition(files.boot_card)
    _take_eeprom_update(node, boot)
    kind = board(node.board)
    tree = dtb.properties(kind, devicetree.serial_of(node.name), _bootloader_version(node))
    dtb.write(tree, kind, files.device_tree)
    return kernel_cmdline(boot.read("cmdline.txt"))


def kernel_cmdline(text: str) -> str:
    """Return what the firmware makes of cmdline.txt: its own parameters, then the first line alone.

    serial0 becomes the name of the serial port. A Pi's kernel takes `cgroup_enable=memory` for the
    opposite of the firmware's own parameter; Debian's knows only that one, so it is left out here.
    """
    line = (text.splitlines() or [""])[0].strip().replace("console=serial0", f"console={SERIAL}")
    wanted = _MEMORY_ON in line.split()
    own = (word for word in devicetree.BOOTARGS.split() if not (wanted and word == _MEMORY_OFF))
    return " ".join([*own, line]).strip()


def _case(node: Spec) -> str:
    updated = (node.folder / card.UPDATED).exists()
    return doubles.AFTER_UPDATE if updated else node.fault or doubles.HEALTHY


def _bootloader_version(node: Spec) -> str:
    """Return what the node's vcgencmd prints, so that the device tree agrees with it."""
    recorded = doubles.recordings(node.board, _case(node))
    return recorded.get("vcgencmd/bootloader_version", b"").decode()


def _take_eeprom_update(node: Spec, boot: BootPartition) -> None:
    """Take a staged update as recovery.bin does, which then renames itself so that it runs once."""
    if not boot.holds("pieeprom.upd"):
        return
    for name in ("pieeprom.upd", "pieeprom.sig"):
        boot.remove(name)
    boot.rename("recovery.bin", "recovery.000")
    card.update_doubles(node)
