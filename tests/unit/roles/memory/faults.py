"""What spoils what memory proves, what hides it from a look, and where its checks do not apply."""

from dataclasses import replace
from typing import Any

from bramble.plan import NodePlan
from bramble.snapshot import Snapshot, Unit, Unknown
from bramble.system.parse import Swap, SwapMaker
from tests.unit.good_node import node_plan
from tests.unit.looks import DETECT, WHY, in_container, plain, with_command, with_file
from tests.unit.roles.memory.good import (
    BLOCK,
    DPHYS,
    FILE,
    MAKERS,
    NO_SIGNATURE,
    SETUP_UNIT,
    SIGNATURE,
    SWAPS,
    ZRAM,
    ZRAMSWAP,
    signature_at,
)
from tests.unit.spoiled import GOOD, Cases, Exceptions, Node, edited

SYSCTL = "/etc/sysctl.d/99-bramble-memory.conf"
SWAP_FILE_UNIT = "/etc/systemd/system/mnt-ssd-swapfile.swap"
ENABLED = Unit("loaded", "inactive", "dead", "enabled", False, 0, "success", None)
# What Trixie's rpi-swap makes: a file that a zram writes back to, behind a loop device.
WRITEBACK = Swap("/dev/loop0", "partition", 2 * 1024 * 1024 - 4, 0, 5)


def swaps(*found: Swap) -> Snapshot:
    """A good look but for the swap in use."""
    return replace(GOOD, swaps=found)


def zram(**changes: Any) -> Snapshot:
    """A good look but for some properties of zram0."""
    return swaps(replace(ZRAM, **changes), FILE)


def file(**changes: Any) -> Snapshot:
    """A good look but for some properties of the swap file in use."""
    return swaps(ZRAM, replace(FILE, **changes))


def unit(name: str, state: Unit | Unknown) -> Snapshot:
    """A good look but for the state of another owner's unit."""
    return replace(GOOD, units={**GOOD.units, name: state})


def maker(name: str, path: str, line: str) -> Snapshot:
    """A good look but for one thing more that makes swap at a boot."""
    return replace(GOOD, swap_makers=(*MAKERS, SwapMaker(name, path, line)))


def no_ssd(look: Snapshot = GOOD) -> Snapshot:
    """A good look but for the SSD's mount."""
    return replace(look, mounts=tuple(m for m in look.mounts if m.target != "/mnt/ssd"))


def another_device(name: str) -> Snapshot:
    """A good look but for one more zram device."""
    look = with_file(GOOD, f"/sys/block/{name}/disksize", plain("1048576\n"))
    look = with_file(look, f"/sys/block/{name}/comp_algorithm", plain("[lzo-rle] lzo\n"))
    return with_file(look, f"/sys/block/{name}/backing_dev", plain("none\n"))


def planned(**changes: Any) -> NodePlan:
    """The plan of a node with another swap file."""
    return node_plan(memory={"swap_file": changes})


def nowhere(path: str) -> Snapshot:
    """A good look but for where the swap file's signature stands."""
    look = with_command(GOOD, signature_at(16384), NO_SIGNATURE)
    return with_command(look, path, SIGNATURE) if path else look


FAULTS: Cases = {
    "zram_is_swap": {
        "none": swaps(FILE),
        "the package's default": zram(size_kib=4096 * 1024 - 16),
        "256 MiB, as zram-tools makes it": zram(size_kib=256 * 1024 - 16),
        "another priority": zram(priority=5),
    },
    "zram_has_its_algorithm": {
        "another": with_file(GOOD, f"{BLOCK}/comp_algorithm", plain("lzo-rle [lzo] lz4\n")),
        "the only one": with_file(GOOD, f"{BLOCK}/comp_algorithm", plain("lzo\n")),
        "no device": with_file(GOOD, f"{BLOCK}/disksize", plain("0\n")),
    },
    "zram_comes_first": {
        "the file first": file(priority=200),
        "both at once": file(priority=100),
        "another swap first": swaps(*SWAPS, Swap("/dev/sda2", "partition", 1000, 0, 32767)),
        "no zram": swaps(FILE),
    },
    "zram_is_alone": {
        "one more": another_device("zram1"),
        "none": with_file(GOOD, f"{BLOCK}/disksize", plain("0\n")),
        "a size that is none": with_file(GOOD, f"{BLOCK}/disksize", plain("-1\n")),
        "a writeback file": with_file(GOOD, f"{BLOCK}/backing_dev", plain("/dev/loop0\n")),
    },
    "swap_has_no_other_owner": {
        "dphys-swapfile at the next boot": unit(DPHYS, ENABLED),
        "dphys-swapfile now": unit(DPHYS, replace(ENABLED, active="active", enabled="disabled")),
        "zram-tools": unit(ZRAMSWAP, replace(ENABLED, active="failed")),
        "rpi-swap's zram": maker("dev-zram0.swap", "/etc/rpi/swap.conf", "What=/dev/zram0"),
        "rpi-swap's file": maker("var-swap.swap", "/etc/rpi/swap.conf", "What=/var/swap"),
        "zram-config": maker("zram-config.service", "/usr/bin/init-zram-swapping", "modprobe zram"),
        "a unit of one's own": maker("service", "/opt/memory.sh", "mkswap /dev/sda2"),
        "rc.local": maker("rc-local.service", "/etc/rc.local", "modprobe zram"),
        "a line of cron": maker("/etc/crontab", "/etc/crontab", "@reboot root swapon /swap"),
        "a rule of udev": maker("/etc/udev/rules.d/9.rules", "/etc/udev/rules.d/9.rules", "zram0"),
        "a device that nobody reported": unit(SETUP_UNIT, replace(ENABLED, enabled="static")),
    },
    "swap_file_is_in_use": {
        "none": swaps(ZRAM),
        "too small": file(size_kib=1024 * 1024 - 16),
        "another priority": file(priority=-2),
        "another file": file(path="/var/swap"),
        "no SSD where one must be": Node(no_ssd(), plan=planned(on_ssd="required")),
        "a folder of the card": Node(
            file(path="/srv/swapfile"), plan=planned(path="/srv/swapfile")
        ),
    },
    "ssd_has_two_gb_of_swap": {
        "none": swaps(ZRAM),
        "512 MiB": file(size_kib=512 * 1024 - 16),
        "a writeback file": swaps(ZRAM, WRITEBACK),
        "on the card": file(path="/var/swap"),
    },
    "swap_file_fits_the_page_size": {
        "made by a Pi 4": nowhere(signature_at(4096)),
        "made by another machine": nowhere(signature_at(65536)),
        "no swap file": nowhere(""),
        "a kernel with other pages since the reboot": replace(
            GOOD, system=replace(GOOD.system, page_size=4096)
        ),
    },
    "kernel_values_are_in_force": {
        "another's": with_file(GOOD, "/proc/sys/vm/swappiness", plain("60\n")),
        "the default": with_file(GOOD, "/proc/sys/vm/page-cluster", plain("3\n")),
        "not there": with_file(GOOD, "/proc/sys/vm/page-cluster", None),
    },
    "files_are_as_written": {
        "values for the next boot": edited(SYSCTL, "vm.swappiness", "#vm.swappiness"),
        "the swap file's unit": edited(SWAP_FILE_UNIT, "Priority=10", "Priority=200"),
    },
}
PERHAPS = {"perhaps a container": with_command(GOOD, DETECT, WHY)}
NO_SWAPS = {"no swaps": replace(GOOD, swaps=WHY)}
NO_MOUNTS = {"no mounts": replace(GOOD, mounts=WHY)}
NO_FILES = {"no files": replace(GOOD, files=WHY)}

BLIND: Cases = {
    "zram_is_swap": PERHAPS | NO_SWAPS | {"no memory": replace(GOOD, memory_kib=WHY)},
    "zram_has_its_algorithm": PERHAPS
    | NO_FILES
    | {"no algorithm": with_file(GOOD, f"{BLOCK}/comp_algorithm", WHY)},
    "zram_comes_first": PERHAPS | NO_SWAPS,
    "zram_is_alone": PERHAPS
    | NO_FILES
    | {"no backing": with_file(GOOD, f"{BLOCK}/backing_dev", WHY)},
    "swap_has_no_other_owner": PERHAPS
    | {
        "no units": replace(GOOD, units=WHY),
        "no packages": replace(GOOD, packages=WHY),
        "one unit": unit(DPHYS, WHY),
        "no makers": replace(GOOD, swap_makers=WHY),
        "no setup": unit(SETUP_UNIT, WHY),
    },
    "swap_file_is_in_use": PERHAPS | NO_SWAPS | NO_MOUNTS,
    "ssd_has_two_gb_of_swap": PERHAPS | NO_SWAPS | NO_MOUNTS,
    "swap_file_fits_the_page_size": PERHAPS
    | NO_MOUNTS
    | {
        "no commands": replace(GOOD, commands=WHY),
        "no system": replace(GOOD, system=WHY),
        "no od": with_command(GOOD, signature_at(4096), WHY),
    },
    "kernel_values_are_in_force": PERHAPS
    | NO_FILES
    | {"one value": with_file(GOOD, "/proc/sys/vm/swappiness", WHY)},
    "files_are_as_written": PERHAPS | NO_FILES | NO_MOUNTS,
}
ELSEWHERE = ((in_container(GOOD), "a container (systemd-nspawn): swap and kernel are its host's"),)
NO_FILE = (
    *ELSEWHERE,
    (no_ssd(), "nothing is mounted at /mnt/ssd"),
    (Node(GOOD, plan=planned(on_ssd="never")), "on_ssd is never"),
    (
        Node(GOOD, plan=node_plan(storage={"ssd": {"device": "off"}})),
        "storage.ssd.device is off",
    ),
)

SKIPPED: Exceptions = {
    "zram_is_swap": ELSEWHERE,
    "zram_has_its_algorithm": ELSEWHERE,
    "zram_comes_first": ELSEWHERE,
    "zram_is_alone": ELSEWHERE,
    "swap_has_no_other_owner": ELSEWHERE,
    "swap_file_is_in_use": NO_FILE,
    "ssd_has_two_gb_of_swap": NO_FILE,
    "swap_file_fits_the_page_size": NO_FILE,
    "kernel_values_are_in_force": ELSEWHERE,
    "files_are_as_written": ((in_container(GOOD), "a container (systemd-nspawn)"),),
}
