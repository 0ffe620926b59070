"""What a good node shows of storage: an SSD on USB, mounted by its UUID, and its logs."""

from bramble.plan import NodePlan
from bramble.snapshot import Output, Snapshot
from bramble.system.parse import Mount
from bramble.testing.roles import unit
from tests.unit.looks import disk, link, plain, together
from tests.unit.roles.storage import logs

SSD = "usb-Samsung_PSSD_T7_S5TANS0R123456A-0:0"
SSD_UUID = "0b1f3d1c-6a51-4a0c-9a35-2f1f0f5a1d11"
SSD_LINK = f"/dev/disk/by-id/{SSD}"
FSTAB = """proc            /proc           proc    defaults          0       0
PARTUUID=4e639091-01  /boot/firmware  vfat    defaults          0       2
PARTUUID=4e639091-02  /               ext4    defaults,noatime  0       1
"""
SSD_LINES = f"""# bramble: storage.ssd; change the inventory, not the next line
UUID={SSD_UUID} /mnt/ssd ext4 defaults,noatime,nofail,x-systemd.device-timeout=90s 0 2
"""
SSD_UNIT = "mnt-ssd.mount"
VERIFY = "findmnt --verify --tab-file /etc/fstab"
KERNEL_LOG = (
    "journalctl -k -b -q --no-pager -o cat -n 2000 --case-sensitive=no -g '^Linux version |error|abort|"
    "reset|fail|offline|timed out|timing out|timeout|read-only|corrupt|is down|not ready|shut ?down|"
    "disconnect|stuck|dead|died|lost|frozen|uas_eh_|uas_zap'"
)
BEGINNING = "Linux version 6.12.25+rpt-rpi-2712 (serge@raspberrypi.com) (gcc-12) #1 SMP PREEMPT\n"
SYSFS_USB = "../devices/platform/scb/fd500000.pcie/0000:01:00.0/usb2/2-1"
OURS = {"fstype": "ext4", "label": "bramble-ssd", "uuid": SSD_UUID}
"""What lsblk reports the file system that bramble makes."""
SETTINGS = {"log2ram": "on"}


def look(plan: NodePlan) -> Snapshot:
    """What this role's plan left on a node."""
    return together((_disks(), logs.look(plan)))


def _disks() -> Snapshot:
    return Snapshot(
        mounts=(Mount("/mnt/ssd", "ext4", "/dev/sda", ("rw", "noatime")),),
        disks=(disk("/dev/sda", mountpoints=("/mnt/ssd",), **OURS),),
        units={SSD_UNIT: unit(sub="mounted", enabled="generated", properties={"RequiredBy": ""})},
        files={
            "/etc/fstab": plain(FSTAB + SSD_LINES),
            SSD_LINK: link("../../sda"),
            "/sys/block/sda": link(f"{SYSFS_USB}/2-1:1.0/host0/target0:0:0/0:0:0:0/block/sda"),
            "/sys/bus/usb/devices/2-1/idVendor": plain("04e8\n"),
            "/sys/bus/usb/devices/2-1/idProduct": plain("4001\n"),
            "/sys/bus/usb/drivers/uas/2-1:1.0": link(f"../../../../{SYSFS_USB}/2-1:1.0"),
            "/sys/fs/ext4/sda/errors_count": plain("0\n"),
        },
        commands={
            VERIFY: Output(0, "\nSuccess, no errors or warnings detected\n"),
            KERNEL_LOG: Output(0, BEGINNING),
        },
        free_bytes={"/mnt/ssd": 400 << 30},
    )
