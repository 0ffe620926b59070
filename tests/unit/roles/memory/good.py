"""What a good node shows of memory: zram, a swap file on the SSD, and the kernel's values."""

from bramble.plan import NodePlan
from bramble.snapshot import FileState, Output, Snapshot, Unit
from bramble.system import parse
from bramble.testing.roles import unit
from tests.unit.looks import plain

PATH = "/mnt/ssd/swapfile"
SWAP_UNIT = "mnt-ssd-swapfile.swap"
SETUP_UNIT = "systemd-zram-setup@zram0.service"
DPHYS, ZRAMSWAP = "dphys-swapfile.service", "zramswap.service"
ZRAM = parse.Swap("/dev/zram0", "partition", 4031 * 1024 - 16, 0, 100)
FILE = parse.Swap(PATH, "file", 2048 * 1024 - 16, 0, 10)
SWAPS = (ZRAM, FILE)
BLOCK = "/sys/block/zram0"
SIGNATURE = Output(0, " 53 57 41 50 53 50 41 43 45 32\n")
NO_SIGNATURE = Output(0, " 00 00 00 00 00 00 00 00 00 00\n")
MAKERS = (
    parse.SwapMaker("dev-zram0.swap", "/etc/systemd/zram-generator.conf", "What=/dev/zram0"),
    parse.SwapMaker(SWAP_UNIT, f"/etc/systemd/system/{SWAP_UNIT}", f"What={PATH}"),
)
NOT_FOUND = Unit("not-found", "inactive", "dead", "", False, 0, "success", None)
ABSENT = (
    "/etc/dphys-swapfile",
    "/var/swap",
    "/etc/log2ram.conf",
    "/etc/rpi/swap.conf.d/99-bramble-memory.conf",
    "/mnt/ssd/.swapfile.bramble",
    f"/var/lib/bramble/memory/{DPHYS}",
    f"/var/lib/bramble/memory/{ZRAMSWAP}",
)


def signature_at(page_size: int) -> str:
    """The command that shows the signature of a swap file for this page size."""
    return f"od -An -v -tx1 -j{page_size - 10} -N10 {PATH}"


def look(plan: NodePlan) -> Snapshot:
    """What this role's plan left on a node."""
    return Snapshot(
        swaps=SWAPS,
        swap_makers=MAKERS,
        units={
            DPHYS: NOT_FOUND,
            ZRAMSWAP: NOT_FOUND,
            SWAP_UNIT: unit(sub="active"),
            SETUP_UNIT: unit(sub="exited", enabled="static"),
        },
        files={
            **dict.fromkeys(ABSENT),
            PATH: FileState("file", 0o600, "root", "root", 2048 * 1024 * 1024, 7),
            f"{BLOCK}/disksize": plain(f"{4031 * 1024 * 1024}\n"),
            f"{BLOCK}/comp_algorithm": plain(
                f"[{plan.roles['memory'].algorithm}] lzo lz4 deflate\n"
            ),
            f"{BLOCK}/backing_dev": plain("none\n"),
            "/proc/sys/vm/swappiness": plain("133\n"),
            "/proc/sys/vm/page-cluster": plain("0\n"),
            "/proc/sys/vm/watermark_boost_factor": plain("15000\n"),
            "/proc/sys/vm/watermark_scale_factor": plain("10\n"),
        },
        commands={
            signature_at(4096): NO_SIGNATURE,
            signature_at(16384): SIGNATURE,
            signature_at(65536): NO_SIGNATURE,
        },
    )
