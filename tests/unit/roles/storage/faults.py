"""What spoils what storage proves, what hides it from a look, and where its checks do not apply."""

from dataclasses import replace

from bramble.snapshot import Output, Snapshot
from tests.unit.good_node import node_plan
from tests.unit.looks import (
    DETECT,
    WHY,
    disk,
    in_container,
    link,
    plain,
    with_command,
    with_disks,
    with_file,
    with_unit_named,
)
from tests.unit.roles.storage import log_faults
from tests.unit.roles.storage.good import (
    BEGINNING,
    FSTAB,
    KERNEL_LOG,
    OURS,
    SSD_LINES,
    SSD_LINK,
    SSD_UUID,
    VERIFY,
)
from tests.unit.spoiled import GOOD, NO_FILES, Cases, Exceptions, Node, edited

PIN = "/etc/apt/preferences.d/bramble-log2ram"
JOURNAL = "/etc/systemd/journald.conf.d/99-bramble.conf"


def mounted_with(options: str, target: str = "/mnt/ssd") -> Snapshot:
    """A good look but for the options of one mount."""
    changed = tuple(
        replace(mount, options=tuple(options.split(","))) if mount.target == target else mount
        for mount in GOOD.mounts
    )
    return replace(GOOD, mounts=changed)


NVME = replace(
    with_file(GOOD, "/dev/disk/by-id/nvme-WD_SN740_1", link("../../nvme0n1")),
    disks=(disk("/dev/nvme0n1", transport="nvme", mountpoints=("/mnt/ssd",), **OURS),),
)


def logged(*lines: str) -> Snapshot:
    """A good look but for what the kernel's log says of disks."""
    text = BEGINNING + "".join(f"{line}\n" for line in lines)
    return with_command(GOOD, KERNEL_LOG, Output(0, text))


def with_fstab(lines: str) -> Snapshot:
    """A good look but for what fstab has instead of the SSD."""
    return with_file(GOOD, "/etc/fstab", plain(f"{FSTAB}{lines}\n"))


def verified(said: str, text: str = FSTAB + SSD_LINES) -> Snapshot:
    """A good look but for an fstab and what findmnt has against it."""
    return with_command(with_file(GOOD, "/etc/fstab", plain(text)), VERIFY, Output(1, said))


def blind_ssd(**more: Snapshot) -> dict[str, Snapshot | Node]:
    """No way to the disks."""
    return {
        "no disks": replace(GOOD, disks=WHY),
        "no files": NO_FILES,
        "no fstab": with_file(GOOD, "/etc/fstab", WHY),
    } | more


BLIND_LOG = {
    "log": with_command(GOOD, KERNEL_LOG, WHY),
    "container": with_command(GOOD, DETECT, WHY),
}
NO_SSD = replace(with_file(with_disks(GOOD), SSD_LINK, None), free_bytes={})
NO_SSD = with_file(NO_SSD, "/etc/fstab", plain(FSTAB))
SSD_OFF = Node(GOOD, plan=node_plan(storage={"ssd": {"device": "off"}}))
WITHOUT_SSD = ((NO_SSD, "no USB or NVMe disk"), (SSD_OFF, "storage.ssd.device is off"))


FAULTS: Cases = {
    "ssd_is_there": {
        "pulled out": with_file(with_disks(GOOD), SSD_LINK, None),
        "another disk in its place": with_disks(GOOD, disk("/dev/sda")),
        "not formatted": with_file(with_disks(GOOD, disk("/dev/sda")), "/etc/fstab", plain(FSTAB)),
        "read-only, and needed": Node(
            with_disks(GOOD, disk("/dev/sda", read_only=True, **OURS)),
            plan=node_plan(storage={"ssd": {"required": True}}),
        ),
        "a network's file system in its place, and needed": Node(
            with_fstab("nas:/models /mnt/ssd nfs4 _netdev 0 0"),
            plan=node_plan(storage={"ssd": {"required": True}}),
        ),
        "a disk in fstab that is away": with_file(
            with_disks(GOOD),
            "/etc/fstab",
            plain(f'{FSTAB}UUID="{SSD_UUID}" /mnt/ssd ext4 nofail\n'),
        ),
    },
    "ssd_is_mounted_by_its_uuid": {
        "not mounted": with_disks(GOOD, disk("/dev/sda", **OURS)),
        "by its name": with_file(
            GOOD, "/etc/fstab", plain(f"{FSTAB}/dev/sda /mnt/ssd ext4 nofail 0 2\n")
        ),
        "not in fstab": with_file(GOOD, "/etc/fstab", plain(FSTAB)),
    },
    "ssd_options_are_in_force": {
        "an older fstab": with_unit_named(GOOD, "mnt-ssd.mount", needs_reload=True),
        "access times": mounted_with("rw,relatime"),
        "a boot needs it": with_unit_named(
            GOOD, "mnt-ssd.mount", properties={"RequiredBy": "local-fs.target"}
        ),
        "not mounted": with_disks(GOOD, disk("/dev/sda", **OURS)),
    },
    "ssd_is_writable": {
        "read-only": mounted_with("ro,noatime"),
        "errors that ext4 counted": with_file(GOOD, "/sys/fs/ext4/sda/errors_count", plain("3\n")),
        "not mounted": with_disks(GOOD, disk("/dev/sda", **OURS)),
    },
    "ssd_had_no_errors": {
        "an error of ext4": logged("EXT4-fs error (device sda): ext4_find_entry:1683: inode #2"),
        "a read that failed": logged("blk_update_request: I/O error, dev sda, sector 2048 op 0x0"),
        "a write that failed": logged(
            "Buffer I/O error on dev sda, logical block 2129920, lost sync page write"
        ),
        "an NVMe that resets": with_command(
            NVME,
            KERNEL_LOG,
            Output(0, "nvme nvme0: controller is down; will reset: CSTS=0xffffffff\n"),
        ),
        "a journal that was aborted": logged("Aborting journal on device sda-8."),
        "a file system that was remounted": logged(
            "EXT4-fs (sda): Remounting filesystem read-only"
        ),
    },
    "other_disks_had_no_errors": {
        "a card that fails": logged("mmcblk0: error -110 sending status command, retrying"),
        "a disk that is gone": logged("I/O error, dev sdb, sector 0 op 0x0:(READ) flags 0x0"),
        "errors that ext4 counted on the card": with_file(
            GOOD, "/sys/fs/ext4/mmcblk0p2/errors_count", plain("2\n")
        ),
    },
    "ssd_has_free_space": {
        "nearly full": replace(GOOD, free_bytes={"/mnt/ssd": 1 << 30}),
        "full": replace(GOOD, free_bytes={"/mnt/ssd": 0}),
    },
    "fstab_is_sound": {
        "a broken line": with_fstab("UUID=1-2 /mnt/x"),
        "a line without its type": with_fstab("UUID=1-2 /mnt/x rw,noatime,nofail 0 2"),
        "a blank in the options": with_fstab("UUID=1-2 /mnt/x ext4 nofail, noatime 0 2"),
        "two lines for one folder": with_fstab("tmpfs /tmp tmpfs rw\ntmpfs /tmp/ tmpfs ro"),
        "one swap in two lines": with_fstab("UUID=1 none swap sw\nUUID=1 none swap pri=5"),
        "a disk that is not there": verified(
            "/srv\n   [E] unreachable on boot required source: UUID=1-2\n",
            f"{FSTAB}UUID=1-2 /srv ext4 defaults 0 2\n",
        ),
        "no fstab": with_file(GOOD, "/etc/fstab", None),
    },
    "root_has_no_access_times": {"access times": mounted_with("rw,relatime", "/")},
    "usb_disk_is_not_reset": {
        "a reset": logged("usb 2-1: reset SuperSpeed USB device number 2 using xhci_hcd"),
        "an aborted command": logged(
            "sd 0:0:0:0: [sda] tag#5 uas_eh_abort_handler 0 uas-tag 6 inflight: CMD OUT"
        ),
        "a reset at high speed": logged(
            "usb 2-1: reset high-speed USB device number 2 using xhci_hcd"
        ),
        "a bridge that was gone": logged("usb 2-1: USB disconnect, device number 2"),
        "a reset of the bridge": logged("scsi host0: uas_eh_device_reset_handler start"),
    },
    "files_are_as_written": {
        "the journal told otherwise": edited(JOURNAL, "volatile", "persistent"),
        "our line of fstab": with_file(GOOD, "/etc/fstab", plain(FSTAB)),
        "the root's access times": edited("/etc/fstab", "defaults,noatime  0", "defaults  0"),
        "the repository's pin": with_file(GOOD, PIN, None),
    },
    **log_faults.FAULTS,
}

BLIND: Cases = {
    "files_are_as_written": {"no files": NO_FILES, "no disks": replace(GOOD, disks=WHY)},
    "ssd_is_there": blind_ssd(),
    "ssd_is_mounted_by_its_uuid": blind_ssd(),
    "ssd_options_are_in_force": blind_ssd(
        units=replace(GOOD, units=WHY),
        mounts=replace(GOOD, mounts=WHY),
    ),
    "ssd_is_writable": blind_ssd(
        mounts=replace(GOOD, mounts=WHY),
        count=with_file(GOOD, "/sys/fs/ext4/sda/errors_count", WHY),
    ),
    "ssd_had_no_errors": blind_ssd(**BLIND_LOG),
    "other_disks_had_no_errors": blind_ssd(**BLIND_LOG),
    "ssd_has_free_space": blind_ssd(
        mounts=replace(GOOD, mounts=WHY), free=replace(GOOD, free_bytes=WHY)
    ),
    "fstab_is_sound": {
        "no files": NO_FILES,
        "no answer": with_command(GOOD, VERIFY, WHY),
        "perhaps a container": with_command(GOOD, DETECT, WHY),
    },
    "root_has_no_access_times": {
        "no mounts": replace(GOOD, mounts=WHY),
        "perhaps a container": with_command(GOOD, DETECT, WHY),
    },
    "usb_disk_is_not_reset": blind_ssd(port=with_file(GOOD, "/sys/block/sda", WHY), **BLIND_LOG),
    **log_faults.BLIND,
}

SKIPPED: Exceptions = {
    "ssd_is_there": WITHOUT_SSD,
    "ssd_is_mounted_by_its_uuid": WITHOUT_SSD,
    "ssd_options_are_in_force": WITHOUT_SSD,
    "ssd_is_writable": WITHOUT_SSD,
    "ssd_had_no_errors": (
        *WITHOUT_SSD,
        (in_container(GOOD), "a container (systemd-nspawn)"),
    ),
    "other_disks_had_no_errors": ((in_container(GOOD), "a container (systemd-nspawn)"),),
    "ssd_has_free_space": WITHOUT_SSD,
    "root_has_no_access_times": (
        (in_container(GOOD), "a container (systemd-nspawn): the root is its host's"),
    ),
    "usb_disk_is_not_reset": (
        *WITHOUT_SSD,
        (in_container(GOOD), "a container (systemd-nspawn)"),
        (NVME, "does not hang on USB"),
    ),
    **log_faults.SKIPPED,
}
