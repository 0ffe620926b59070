"""Whose error a line of the kernel's log is: real messages of Linux 6.1 to 6.12, each by its disk."""

from dataclasses import replace

import pytest

from bramble.roles.storage import kernel_log
from bramble.snapshot import Output, Unknown
from tests.unit.good_node import good_look, node_plan
from tests.unit.looks import card, disk, link, with_command, with_disks, with_file

PLAN = node_plan()
NVME = disk(
    "/dev/nvme0n1",
    transport="nvme",
    parts=(disk("/dev/nvme0n1p1", kind="part", transport=None),),
)
SYSFS = "../devices/platform/scb/fd500000.pcie/0000:01:00.0/usb2/2-{0}/2-{0}:1.0/host{1}/"
TWO = with_disks(good_look(PLAN), disk("/dev/sda"), disk("/dev/sdb", serial="2"), NVME)
LOOK = with_file(TWO, "/sys/block/sdb", link(f"{SYSFS.format(2, 1)}target1:0:0/1:0:0:0/block/sdb"))
FIRST = "Linux version 6.12.25+rpt-rpi-2712 (serge@raspberrypi.com) (gcc-12) #1 SMP PREEMPT"

LINES = {
    "nvme nvme0: controller is down; will reset: CSTS=0xffffffff, PCI_STATUS=0x10": "/dev/nvme0n1",
    "nvme nvme0: I/O 12 (I/O Cmd) QID 2 timeout, reset controller": "/dev/nvme0n1",
    "nvme nvme0: I/O tag 12 (100c) opcode 0x2 (I/O Cmd) QID 2 timeout, aborting req_op:READ(0)": (
        "/dev/nvme0n1"
    ),
    "nvme nvme0: Abort status: 0x371": "/dev/nvme0n1",
    "nvme nvme0: Device not ready; aborting reset, CSTS=0x1": "/dev/nvme0n1",
    "nvme nvme0: Disabling device after reset failure: -19": "/dev/nvme0n1",
    "nvme nvme0: frozen state error detected, reset controller": "/dev/nvme0n1",
    "nvme0n1: I/O Cmd(0x2) @ LBA 2048, 8 blocks, I/O Error (sct 0x2 / sc 0x81) DNR": "/dev/nvme0n1",
    "I/O error, dev nvme0n1, sector 2048 op 0x0:(READ) flags 0x80700 phys_seg 1": "/dev/nvme0n1",
    "EXT4-fs error (device nvme0n1p1): ext4_journal_check_start:83: comm a: Detected aborted journal": (
        "/dev/nvme0n1"
    ),
    "Aborting journal on device nvme0n1p1-8.": "/dev/nvme0n1",
    "JBD2: I/O error when updating journal superblock for nvme0n1p1-8.": "/dev/nvme0n1",
    "EXT4-fs (nvme0n1p1): Remounting filesystem read-only": "/dev/nvme0n1",
    "XFS (nvme0n1p1): log I/O error -5": "/dev/nvme0n1",
    "XFS (nvme0n1p1): Filesystem has been shut down due to log error (0x2).": "/dev/nvme0n1",
    "critical medium error, dev sda, sector 2048 op 0x0:(READ) flags 0x0 phys_seg 1": "/dev/sda",
    "device offline error, dev sda, sector 2048 op 0x1:(WRITE) flags 0x800": "/dev/sda",
    "blk_update_request: I/O error, dev sda, sector 2048 op 0x0": "/dev/sda",
    "Buffer I/O error on dev sda, logical block 2129920, lost async page write": "/dev/sda",
    "sd 0:0:0:0: [sda] tag#7 FAILED Result: hostbyte=DID_ERROR driverbyte=DRIVER_OK": "/dev/sda",
    "sd 0:0:0:0: [sda] tag#7 Sense Key : Medium Error [current] ": "/dev/sda",
    "sd 0:0:0:0: Device offlined - not ready after error recovery": "/dev/sda",
    "sd 0:0:0:0: rejecting I/O to offline device": "/dev/sda",
    "sd 0:0:0:0: [sda] Synchronize Cache(10) failed: Result: hostbyte=0x01": "/dev/sda",
    "sd 0:0:0:0: [sda] tag#5 uas_eh_abort_handler 0 uas-tag 6 inflight: CMD OUT": "/dev/sda",
    "scsi host0: uas_eh_device_reset_handler start": "/dev/sda",
    "usb 2-1: reset SuperSpeed USB device number 2 using xhci_hcd": "/dev/sda",
    "usb 2-1: reset high-speed USB device number 2 using xhci_hcd": "/dev/sda",
    "usb 2-1: USB disconnect, device number 2": "/dev/sda",
    "EXT4-fs (sda): Delayed block allocation failed for inode 12 at logical offset 0 with max blocks 1 "
    "with error 5": "/dev/sda",
    "sd 1:0:0:0: [sdb] tag#0 FAILED Result: hostbyte=DID_NO_CONNECT driverbyte=DRIVER_OK": "/dev/sdb",
    "sd 1:0:0:0: timing out command, waited 180s": "/dev/sdb",
    "usb 2-2: device descriptor read/64, error -110": "/dev/sdb",
    "mmc0: Timeout waiting for hardware interrupt.": "/dev/mmcblk0",
    "mmcblk0: error -110 sending status command, retrying": "/dev/mmcblk0",
    "mmcblk0: error -84 transferring data, sector 62849, nr 120, cmd response 0x900": "/dev/mmcblk0",
    "mmcblk0: recovery failed!": "/dev/mmcblk0",
    "mmc0: Card stuck being busy! __mmc_poll_for_busy": "/dev/mmcblk0",
    "mmc0: error -110 whilst initialising SD card": "/dev/mmcblk0",
    "I/O error, dev mmcblk0, sector 532480 op 0x1:(WRITE) flags 0x800": "/dev/mmcblk0",
    "EXT4-fs error (device mmcblk0p2): ext4_find_entry:1683: inode #2: comm cat": "/dev/mmcblk0",
    "Aborting journal on device mmcblk0p2-8.": "/dev/mmcblk0",
    "FAT-fs (mmcblk0p1): error, fat_get_cluster: invalid cluster chain (i_pos 0)": "/dev/mmcblk0",
    "I/O error, dev sdc, sector 0 op 0x0:(READ) flags 0x0 phys_seg 1": "sdc",
    "EXT4-fs (sdc1): I/O error while writing superblock": "sdc1",
    "Buffer I/O error on dev dm-0, logical block 0, async page read": "dm-0",
    "I/O error, dev zram0, sector 8 op 0x1:(WRITE)": "zram0",
    "nvme nvme1: Removing after probe failure status: -19": "nvme1",
    "sd 0:0:0:0: [sda] some message of a later kernel that ends in an error": "/dev/sda",
}
FINE = (
    "nvme nvme0: Shutdown timeout set to 8 seconds",
    "nvme nvme0: missing or invalid SUBNQN field.",
    "nvme nvme0: 4/0/0 default/read/poll queues",
    "sd 0:0:0:0: [sda] No Caching mode page found",
    "sd 0:0:0:0: [sda] Assuming drive cache: write through",
    "sd 0:0:0:0: [sda] Attached SCSI disk",
    "EXT4-fs (sda): mounted filesystem with ordered data mode. Opts: errors=remount-ro",
    "EXT4-fs (mmcblk0p2): re-mounted 3b614a3f-4a65-4480-876a-8a998e01ac9b. Quota mode: none.",
    "EXT4-fs (mmcblk0p2): INFO: recovery required on readonly filesystem",
    "FAT-fs (mmcblk0p1): Volume was not properly unmounted. Some data may be corrupt. Please run fsck.",
    "sd 0:0:0:0: Power-on or device reset occurred",
    "mmc0: new ultra high speed SDR104 SDHC card at address aaaa",
    "mmc1: Timeout waiting for hardware interrupt.",
    "usb 1-1: reset high-speed USB device number 3 using xhci_hcd",
    "usb 2-11: reset SuperSpeed USB device number 9 using xhci_hcd",
    "usb 2-1.4: USB disconnect, device number 7",
    "brcmfmac: brcmf_sdio_read_control: read 1234 control bytes failed: -84",
    "systemd[1]: Failed to start foo.service.",
    "vc4-drm axi:gpu: [drm] Cannot find any crtc or sizes, error -2",
)


def log(*lines: str, look=LOOK, whole: bool = True):
    text = "".join(f"{line}\n" for line in ((FIRST,) * whole + lines))
    return with_command(look, kernel_log.COMMAND, Output(0 if text else 1, text))


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_told_as_its_disks(line):
    look = log(line)
    assert kernel_log.errors(kernel_log.read(look), look) == {LINES[line]: (line,)}


@pytest.mark.parametrize("line", FINE)
def test_what_is_fine_or_about_no_disk_is_not_told(line):
    look = log(line)
    assert kernel_log.errors(kernel_log.read(look), look) == {}


def test_the_filter_on_the_node_lets_every_bad_line_through():
    pattern = kernel_log.re.compile(kernel_log._BAD, kernel_log.re.IGNORECASE)
    assert [line for line in LINES if not pattern.search(line)] == []
    assert kernel_log._BAD in kernel_log.COMMAND


def test_a_log_without_its_beginning_is_not_whole():
    assert kernel_log.read(log()) == kernel_log.Log((), whole=True)
    assert kernel_log.read(log(whole=False)) == kernel_log.Log((), whole=False)
    assert kernel_log.read(log("I/O error, dev sda", whole=False)).lines == ("I/O error, dev sda",)


def test_a_log_that_cannot_be_read_is_unknown():
    failed = with_command(LOOK, kernel_log.COMMAND, Output(1, "Failed to open journal\n"))
    assert kernel_log.read(failed) == Unknown("Failed to open journal")
    assert kernel_log.read(with_command(LOOK, kernel_log.COMMAND, None)) == Unknown(
        "there is no journalctl"
    )


def test_a_node_that_tells_no_disks_has_lines_by_the_names_in_them():
    look = replace(log("I/O error, dev sda, sector 1"), disks=Unknown("no lsblk"))
    assert list(kernel_log.errors(kernel_log.read(look), look)) == ["sda"]
    assert card().path == "/dev/mmcblk0"
