"""The qemu-system-aarch64 call of a machine."""

from dataclasses import dataclass
from pathlib import Path

from bramble.virtual import devicetree
from bramble.virtual.boards import Board
from bramble.virtual.boards import board as board_of
from bramble.virtual.machine import image
from bramble.virtual.model import LOOPBACK, port_of
from bramble.virtual.proxy import Listener
from bramble.virtual.spec import SSD_BYTES, Spec

PROGRAM = "qemu-system-aarch64"
CPUS = 2
MEMORY_MIB = 2048
PROXY = Listener("proxy-of-machines", LOOPBACK, 3143, LOOPBACK)
PROXY_URL = f"http://10.0.2.100:{PROXY.port}"
"""The proxy as a machine sees it; its network is QEMU's, 10.0.2.0/24, and has no other route out."""

PROCESSORS = {"pi4": "cortex-a72", "pi5": "cortex-a76"}

BOOT_CARD = "boot-card.img"
SSD = "ssd.qcow2"
DEVICE_TREE = "device-tree.dtb"


@dataclass(frozen=True)
class Files:
    """The files of one machine, and the folder of the image that it was made from."""

    folder: Path
    image: Path

    @property
    def boot_card(self) -> Path:
        return self.folder / BOOT_CARD

    @property
    def ssd(self) -> Path:
        return self.folder / SSD

    @property
    def device_tree(self) -> Path:
        return self.folder / DEVICE_TREE


def files_of(node: Spec) -> Files:
    return Files(node.folder, Path(node.layers[0]))


def dump_command(board: Board, target: Path) -> list[str]:
    """Return the call that writes the device tree of such a machine and ends."""
    return [PROGRAM, *_hardware(board, f",dumpdtb={escaped(target)}")]


def command(node: Spec, cmdline: str) -> list[str]:
    """Return the call that boots a machine; QMP runs over its standard input and output."""
    files = files_of(node)
    return [
        # The machine ends with its supervisor, even with one that was killed.
        *("setpriv", "--pdeathsig", "KILL"),
        PROGRAM,
        *("-qmp", "stdio"),
        *_hardware(board_of(node.board)),
        *("-accel", "tcg,thread=multi,tb-size=512"),
        *_boot(files, cmdline),
        *_disks(files, node.name),
        *_network(port_of(node.name)),
        *("-device", "virtio-rng-pci"),
        *_watchdog(),
        *("-chardev", f"file,id=console,append=on,path={escaped(node.console)}"),
        *("-serial", "chardev:console"),
    ]


def _hardware(board: Board, more: str = "") -> list[str]:
    cpu = PROCESSORS[board.name]
    size = ["-cpu", cpu, "-smp", str(CPUS), "-m", str(MEMORY_MIB)]
    return ["-nodefaults", "-display", "none", "-M", f"virt{more}", *size]


def _boot(files: Files, cmdline: str) -> list[str]:
    kernel, initrd = files.image / image.KERNEL, files.image / image.INITRD
    loaded = ["-kernel", str(kernel), "-initrd", str(initrd), "-dtb", str(files.device_tree)]
    return [*loaded, "-append", cmdline]


def _disks(files: Files, name: str) -> list[str]:
    """Return the boot card, and an SSD on USB; both unsafe, as a virtual Pi may lose a write."""
    card = f"if=none,id=card,format=raw,cache=unsafe,discard=unmap,file={escaped(files.boot_card)}"
    disk = f"if=none,id=ssd,format=qcow2,cache=unsafe,file={escaped(files.ssd)}"
    serial = f"{devicetree.serial_of(name):016x}"
    return [
        *("-drive", card, "-device", "virtio-blk-pci,drive=card"),
        *("-drive", disk, "-device", "qemu-xhci,id=usb"),
        *("-device", f"usb-storage,bus=usb.0,drive=ssd,serial={serial}"),
    ]


def _network(port: int) -> list[str]:
    """Return a network where SSH comes in from the loopback and apt goes out to the proxy; no more."""
    # A command for each connection: with the other form of guestfwd all would share one.
    out = f"guestfwd=tcp:10.0.2.100:{PROXY.port}-cmd:{_to_proxy()}"
    forwards = f"hostfwd=tcp:{LOOPBACK}:{port}-:22,{out}"
    # Without a romfile the device does not want the file of a package that is not needed.
    return [
        *("-netdev", f"user,id=net,restrict=on,{forwards}"),
        *("-device", "virtio-net-pci,netdev=net,romfile="),
    ]


def _to_proxy() -> str:
    return f"socat - TCP:{PROXY.address}:{PROXY.port}"


def _watchdog() -> list[str]:
    """Return options by which a reset of any cause ends QEMU, so that the next boot reads cmdline.txt.

    `watchdog=reset` asks for the same reset as a reboot does, and `reboot=shutdown` makes both end
    QEMU; events.py distinguishes them by QEMU's events.
    """
    return ["-device", "i6300esb", "-action", "watchdog=reset", "-action", "reboot=shutdown"]


def ssd_command(target: Path) -> list[str]:
    """Return the call that makes the blank disk; it takes no space until it is written."""
    return ["qemu-img", "create", "-q", "-f", "qcow2", str(target), str(SSD_BYTES)]


def escaped(path: Path) -> str:
    """Return a path as part of a list of options, where a comma ends an option and two are one."""
    return str(path).replace(",", ",,")
