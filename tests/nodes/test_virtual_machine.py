"""A virtual Pi of the machine kind: what it proves that a container cannot."""

import os
import signal

import pytest

from bramble import virtual
from bramble.virtual import paths, processes
from bramble.virtual.spec import SSD_BYTES
from bramble.virtual.waiting import answers

pytestmark = [pytest.mark.nodes, pytest.mark.machine]

NAME = "vpm-91"
PORT = 2291
BACK_S = 300
"""How long a boot may take; half a minute where little else runs."""
WATCHDOG_S = 40
TREE = "/proc/device-tree"


@pytest.fixture(scope="module")
def pi(virtual_pis):
    """A Pi 4 whose EEPROM is old; all tests share it, as it boots for long."""
    virtual_pis.up(NAME, board="pi4", fault="eeprom-old", kind="machine")
    return virtual_pis


def root(pi, script):
    """The output of a script that must succeed as root."""
    return pi.said(NAME, f"sudo sh -ec '{script}'")


def test_it_is_listed_as_a_machine(pi):
    (node,) = [node for node in virtual.nodes() if node.name == NAME]
    assert (node.kind, node.address, node.port) == ("machine", "127.0.0.1", PORT)
    assert (node.board, node.state) == ("pi4", "running")


def test_it_boots_to_running_with_nothing_failed(pi):
    assert pi.said(NAME, "systemctl is-system-running --wait") == "running"
    assert pi.said(NAME, "hostname") == NAME


def test_it_is_an_arm64_pi_4(pi):
    assert pi.said(NAME, "uname -m; dpkg --print-architecture").split() == ["aarch64", "arm64"]
    assert "CPU part\t: 0xd08" in pi.said(NAME, "cat /proc/cpuinfo")
    assert pi.said(NAME, f"tr '\\0' '|' < {TREE}/model") == "Raspberry Pi 4 Model B Rev 1.5|"
    assert pi.said(NAME, f"od -An -tx1 {TREE}/system/linux,revision") == "00 d0 31 15"
    assert pi.said(NAME, f"tr '\\0' '|' < {TREE}/compatible").startswith("raspberrypi,4-model-b|")


def test_its_boot_partition_is_fat_and_its_root_a_partition(pi):
    assert pi.said(NAME, "findmnt -no FSTYPE,LABEL /boot/firmware").split() == ["vfat", "bootfs"]
    assert pi.said(NAME, "findmnt -no FSTYPE,PARTUUID /").split() == ["ext4", "4e639091-02"]
    assert "noatime" in pi.said(NAME, "findmnt -no OPTIONS /")
    text = pi.said(NAME, "cat /boot/firmware/cmdline.txt")
    assert pi.said(NAME, "cat /proc/cmdline").endswith(text.replace("serial0", "ttyAMA0"))


def test_its_ssd_is_a_blank_usb_disk(pi):
    columns = pi.said(NAME, "lsblk -d -n -r -b -o NAME,TYPE,TRAN,SIZE,FSTYPE /dev/sda")
    assert columns.split() == ["sda", "disk", "usb", str(SSD_BYTES)]
    assert root(pi, "wipefs -n /dev/sda") == ""


def test_zram_can_be_swap(pi):
    root(
        pi,
        "modprobe zram num_devices=1; echo 64M > /sys/block/zram0/disksize; "
        "mkswap -q /dev/zram0; swapon --priority 100 /dev/zram0",
    )
    assert "/dev/zram0" in pi.said(NAME, "cat /proc/swaps")


def test_the_mirror_is_the_only_way_out(pi):
    ask = "curl -sS -m 30 -o /dev/null -w %{http_code}"
    through = f"{ask} -x http://10.0.2.100:3143"
    assert pi.run(NAME, f"{through} http://example.com/").stdout == "403"
    assert pi.run(NAME, f"{ask} http://10.0.2.2:3143/").returncode != 0
    assert pi.said(NAME, "ip route | grep -c default || true") == "0"
    pi.said(NAME, "cd /tmp && apt-get -q download hello-traditional && ls hello-traditional_*.deb")


def test_a_reboot_reads_cmdline_txt_again_and_takes_an_eeprom_update(pi):
    controllers = "/sys/fs/cgroup/cgroup.controllers"
    assert "memory" not in pi.said(NAME, f"cat {controllers}").split()
    assert "Please reboot" in pi.said(NAME, "sudo rpi-eeprom-update -a")
    root(pi, 'sed -i "s/$/ cgroup_enable=memory/" /boot/firmware/cmdline.txt; echo 1 > /root/kept')
    pi.reboot(NAME, deadline_s=BACK_S)
    assert pi.said(NAME, "cat /proc/cmdline").endswith(" cgroup_enable=memory")
    assert "memory" in pi.said(NAME, f"cat {controllers}").split()
    assert root(pi, "cat /root/kept") == "1"
    assert "BOOTLOADER: up to date" in pi.said(NAME, "sudo rpi-eeprom-update")
    assert pi.run(NAME, "test -e /boot/firmware/pieeprom.upd").returncode != 0


def test_a_panic_ends_in_a_reset_by_the_watchdog(pi):
    pi.said(NAME, "systemctl is-system-running --wait")
    root(
        pi,
        "mkdir -p /etc/systemd/system.conf.d; "
        f'printf "[Manager]\\nRuntimeWatchdogSec={WATCHDOG_S}\\n" '
        "> /etc/systemd/system.conf.d/99-watchdog.conf; sync; systemctl daemon-reexec",
    )
    watchdog = "/sys/class/watchdog/watchdog0"
    assert pi.said(NAME, f"cat {watchdog}/state {watchdog}/timeout").split() == [
        "active",
        str(WATCHDOG_S),
    ]
    before = pi.boot_id(NAME)
    # In the background: the connection would hang with the kernel.
    crash = "sysctl -q kernel.panic=0; (sleep 1; echo c > /proc/sysrq-trigger) >/dev/null 2>&1 &"
    root(pi, crash)
    pi.wait_for_another_boot(NAME, before, deadline_s=BACK_S)
    log = (paths.node_dir(NAME) / "console.log").read_text(errors="replace")
    assert f"{NAME} was reset by its watchdog" in log


def test_one_that_powered_off_starts_again_with_its_files(pi):
    pi.run(NAME, "sudo systemctl poweroff")
    off = processes.wait_until(lambda: state() == "stopped", deadline_s=BACK_S)
    assert off
    virtual.up([NAME], board="pi4", fault="eeprom-old", kind="machine")
    assert root(pi, "cat /root/kept") == "1"


def test_a_machine_ends_with_its_supervisor(pi):
    (node,) = [node for node in virtual.nodes() if node.name == NAME]
    os.kill(node.pid, signal.SIGKILL)
    assert processes.wait_until(lambda: state() == "stopped", deadline_s=30)
    assert processes.wait_until(lambda: running() == [], deadline_s=30)


def test_down_leaves_nothing(pi):
    pi.down(NAME)
    assert NAME not in [node.name for node in virtual.nodes()]
    assert not paths.node_dir(NAME).exists()
    assert not answers("127.0.0.1", PORT)
    assert f":{PORT} " not in paths.known_hosts_path().read_text()
    assert running() == []


def running():
    """The processes on this machine that belong to the virtual one."""
    return [place for place in os.listdir("/proc") if place.isdigit() and mentions(place)]


def mentions(pid):
    """Whether a process was called with this machine's folder or name."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:  # it ended meanwhile
        return False
    folder = str(paths.node_dir(NAME)).encode()
    return any(folder in word or word == NAME.encode() for word in words)


def state():
    (found,) = [node.state for node in virtual.nodes() if node.name == NAME]
    return found
