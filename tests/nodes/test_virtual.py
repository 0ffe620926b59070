"""Virtual Pis of the container kind: what they promise, seen from inside and from the host."""

import dataclasses
import os
import signal
import subprocess
from pathlib import Path

import pytest

from bramble import virtual
from bramble.virtual import VirtualPiError, paths, processes
from bramble.virtual.container import cgroups, ssd
from bramble.virtual.spec import SSD_BYTES

pytestmark = pytest.mark.nodes

FIVE, FOUR, CLONE, OTHER = "vpi-101", "vpi-102", "vpi-103", "vpi-104"
FLEET = [f"vpi-{number}" for number in range(161, 181)]
FAULTS = ("throttled", "hot", "no-vcgencmd", "eeprom-old")


@pytest.fixture(scope="module")
def pis(virtual_pis):
    """A healthy Pi 5 and a Pi 4 whose EEPROM is old."""
    virtual_pis.up(FIVE)
    virtual_pis.up(FOUR, board="pi4", fault="eeprom-old")
    return virtual_pis


def test_both_run_and_are_listed(pis):
    found = {node.name: node for node in virtual.nodes()}
    assert (found[FIVE].board, found[FIVE].fault, found[FIVE].state) == ("pi5", None, "running")
    assert (found[FOUR].board, found[FOUR].fault) == ("pi4", "eeprom-old")
    assert found[FIVE].address == "10.77.0.111"
    assert found[FIVE].uptime < 600


def test_up_again_leaves_a_running_node_alone(pis):
    before = pis.boot_id(FIVE)
    (node,) = virtual.up([FIVE])
    assert node.state == "running"
    assert pis.boot_id(FIVE) == before


@pytest.mark.parametrize("name", [FIVE, FOUR])
def test_it_boots_like_a_machine(pis, name):
    assert pis.said(name, "systemctl is-system-running --wait") == "running"
    assert pis.said(name, "cat /proc/1/comm") == "systemd"
    assert pis.said(name, "hostname") == name
    assert pis.said(name, "cat /etc/hosts").splitlines()[1].split() == ["127.0.1.1", name]
    assert len(pis.said(name, "cat /etc/machine-id")) == 32


def test_user_pi_is_that_of_a_fresh_image(pis):
    assert pis.said(FIVE, "id -u") == "1000"
    groups = pis.said(FIVE, "id -Gn").split()
    wanted = (
        "adm dialout cdrom audio users sudo video games plugdev input gpio spi i2c netdev render"
    )
    assert set(wanted.split()) <= set(groups)
    assert pis.said(FIVE, "sudo -n id -u") == "0"
    assert "NOPASSWD: ALL" in pis.said(FIVE, "sudo cat /etc/sudoers.d/010_pi-nopasswd")


def test_files_of_a_fresh_image_are_there(pis):
    assert pis.said(FIVE, "head -1 /etc/rpi-issue").startswith("Raspberry Pi reference 20")
    assert pis.said(FIVE, "sed -n 2p /etc/rpi-issue").endswith(", stage2")
    assert pis.said(FIVE, "tail -1 /boot/firmware/config.txt") == "[all]"
    assert "noatime" in pis.said(FIVE, "findmnt -no OPTIONS /")
    assert "PARTUUID=4e639091-02" in pis.said(FIVE, "cat /etc/fstab")
    cmdline = pis.said(FIVE, "cat /boot/firmware/cmdline.txt")
    assert cmdline.endswith("rootwait")
    assert pis.said(FIVE, "cat /proc/cmdline").endswith(cmdline)


def test_what_the_deploys_must_install_is_absent(pis):
    for tool in ("git", "cmake", "ninja", "ccache", "log2ram", "zramswap"):
        assert pis.run(FIVE, f"command -v {tool}").returncode != 0, tool
    for tool in ("python3", "gcc", "make", "pkg-config", "rsync", "curl", "parted", "lsusb"):
        assert pis.run(FIVE, f"command -v {tool} || test -x /usr/sbin/{tool}").returncode == 0, tool


def test_device_trees_are_those_of_the_boards(pis):
    base = "/sys/firmware/devicetree/base"
    assert pis.said(FIVE, f"tr '\\0' '|' < {base}/model") == "Raspberry Pi 5 Model B Rev 1.0|"
    assert pis.said(FOUR, f"tr '\\0' '|' < {base}/model") == "Raspberry Pi 4 Model B Rev 1.5|"
    revision = f"od -An -tx1 '{base}/system/linux,revision'"
    assert pis.said(FIVE, revision) == "00 d0 41 70"
    assert pis.said(FOUR, revision) == "00 d0 31 15"
    assert pis.run(FIVE, f"sudo touch {base}/x").returncode != 0


def test_doubles_replay_a_healthy_board(pis):
    assert pis.said(FIVE, "vcgencmd get_throttled") == "throttled=0x0"
    assert pis.said(FIVE, "vcgencmd measure_temp") == "temp=48.3'C"
    assert "BOOTLOADER: up to date" in pis.said(FIVE, "sudo rpi-eeprom-update")
    assert pis.said(FIVE, "rpi-eeprom-config").startswith("[all]")
    assert pis.run(FIVE, "vcgencmd nothing").returncode == 64


def test_an_eeprom_update_is_taken_by_a_reboot(pis):
    assert pis.run(FOUR, "sudo rpi-eeprom-update").returncode == 1
    assert "Please reboot" in pis.said(FOUR, "sudo rpi-eeprom-update -a")
    assert pis.run(FOUR, "test -e /boot/firmware/pieeprom.upd").returncode == 0
    pis.reboot(FOUR)
    assert "BOOTLOADER: up to date" in pis.said(FOUR, "sudo rpi-eeprom-update")
    assert pis.run(FOUR, "test -e /boot/firmware/pieeprom.upd").returncode != 0
    timestamp = (
        "od -An -tu4 --endian=big /sys/firmware/devicetree/base/chosen/bootloader/build-timestamp"
    )
    assert pis.said(FOUR, timestamp) == "1790164934"


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_told_by_a_double(pis, fault):
    pis.up(OTHER, fault=fault)
    throttled = pis.run(OTHER, "vcgencmd get_throttled")
    temperature = pis.run(OTHER, "vcgencmd measure_temp")
    update = pis.run(OTHER, "sudo rpi-eeprom-update")
    reported = {
        "throttled": (throttled.returncode, throttled.stdout.strip()) == (0, "throttled=0x50005"),
        "hot": temperature.stdout.strip() == "temp=84.5'C",
        "no-vcgencmd": throttled.returncode == 255 and "/dev/vcio" in throttled.stdout,
        "eeprom-old": update.returncode == 1 and "UPDATE AVAILABLE" in update.stdout,
    }
    assert [name for name, seen in reported.items() if seen] == [fault]


def test_the_mirror_is_the_only_way_out(pis):
    ask = "curl -sS -m 10 -o /dev/null -w %{http_code} -x http://10.77.0.1:3142"
    assert pis.run(FIVE, f"{ask} http://example.com/").stdout == "403"
    assert pis.run(FIVE, f"{ask} https://example.com/").returncode != 0
    assert (
        pis.said(FIVE, "ip route")
        == "10.77.0.0/24 dev eth0 proto kernel scope link src 10.77.0.111"
    )
    assert pis.run(FIVE, "ping -c 1 -W 2 192.0.2.1").returncode != 0
    assert pis.run(FIVE, "getent hosts example.com").returncode != 0
    assert pis.said(FIVE, "ping -q -c 1 10.77.0.112")


def test_apt_installs_with_the_lists_of_the_image_and_after_an_update(pis):
    install = "sudo DEBIAN_FRONTEND=noninteractive apt-get install -y -q hello-traditional"
    pis.said(FIVE, install)
    assert pis.said(FIVE, "hello").startswith("Hello")
    pis.said(FIVE, "sudo apt-get -q update")
    pis.said(FIVE, f"sudo apt-get -q -y remove hello-traditional && {install}")


def test_the_ssd_is_a_blank_usb_disk(pis):
    columns = pis.said(FOUR, "lsblk -n -r -b -o NAME,TYPE,TRAN,SIZE,FSTYPE")
    assert columns == f"sda disk usb {SSD_BYTES}"
    link = pis.said(FOUR, "readlink -f /dev/disk/by-id/usb-*")
    assert link == "/dev/sda"
    assert pis.said(FOUR, "sudo wipefs -n /dev/sda") == ""


def test_a_reboot_inside_comes_back_with_files_and_disk(pis):
    pis.said(
        FIVE,
        "echo kept > ~/kept; sudo mkfs.ext4 -q /dev/sda; "
        "echo UUID=$(sudo blkid -o value -s UUID /dev/sda) /mnt/ssd ext4 "
        "defaults,noatime,nofail,x-systemd.device-timeout=15s 0 2 | sudo tee -a /etc/fstab; "
        "sudo mkdir -p /mnt/ssd; sudo systemctl daemon-reload; sudo systemctl start mnt-ssd.mount; "
        "echo held | sudo tee /mnt/ssd/held",
    )
    before = pis.boot_id(FIVE)
    pis.reboot(FIVE)
    assert pis.boot_id(FIVE) != before
    assert pis.boot_id(FIVE) != Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert pis.said(FIVE, "cat ~/kept /mnt/ssd/held").split() == ["kept", "held"]
    assert pis.said(FIVE, "systemctl is-system-running --wait") == "running"
    assert pis.said(FIVE, "cat /sys/firmware/devicetree/base/model").startswith("Raspberry Pi 5")


def test_a_clone_has_the_files_and_its_own_identity(pis):
    pis.said(FIVE, "sudo rm /etc/rpi-issue; sudo rm -r /etc/cron.daily; sudo mkdir /etc/cron.daily")
    pis.up(CLONE, clone_of=FIVE)
    assert pis.said(CLONE, "cat ~/kept /mnt/ssd/held").split() == ["kept", "held"]
    # What was removed stays removed, and a folder that was made again stays empty.
    assert (
        pis.said(CLONE, "ls /etc/rpi-issue /etc/cron.daily 2>/dev/null; true") == "/etc/cron.daily:"
    )
    assert pis.said(CLONE, "hostname; cat /etc/hostname").split() == [CLONE, CLONE]
    for command in (
        "cat /etc/machine-id",
        "cat /etc/ssh/ssh_host_ed25519_key.pub",
        "ip -4 -o address",
    ):
        assert pis.said(CLONE, command) != pis.said(FIVE, command)
    pis.said(CLONE, "echo other > ~/kept")
    assert pis.said(FIVE, "cat ~/kept") == "kept"
    assert pis.said(CLONE, "systemctl is-system-running --wait") == "running"


def test_the_compiler_cache_is_shared_unless_refused(pis):
    pis.said(FIVE, "echo 1 | sudo tee /var/cache/bramble/ccache/of-the-tests")
    assert pis.said(FOUR, "cat /var/cache/bramble/ccache/of-the-tests") == "1"
    (paths.ccache_dir() / "of-the-tests").unlink()
    pis.up(OTHER, ccache=False)
    assert pis.said(OTHER, "ls -A /var/cache/bramble/ccache") == ""


def test_a_node_that_powered_off_starts_again_with_its_files(pis):
    pis.up(OTHER)
    pis.said(OTHER, "echo kept > ~/kept")
    pis.run(OTHER, "sudo systemctl poweroff")
    assert processes.wait_until(lambda: state_of(OTHER) == "stopped", deadline_s=30)
    virtual.up([OTHER])
    assert pis.said(OTHER, "cat ~/kept") == "kept"


def test_up_mends_what_a_killed_supervisor_left(pis):
    pis.up(OTHER)
    pis.said(OTHER, "echo kept > ~/kept")
    (node,) = [node for node in virtual.nodes() if node.name == OTHER]
    os.kill(node.pid, signal.SIGKILL)
    assert processes.wait_until(lambda: state_of(OTHER) == "stopped", deadline_s=10)
    virtual.up([OTHER])
    assert pis.said(OTHER, "cat ~/kept; systemctl is-system-running --wait").split() == [
        "kept",
        "running",
    ]


def test_a_record_of_another_boot_is_no_running_node(pis):
    pis.down(OTHER)
    virtual.up([OTHER])
    pis.names.append(OTHER)
    pis.run(OTHER, "sudo systemctl poweroff")
    assert processes.wait_until(lambda: state_of(OTHER) == "stopped", deadline_s=30)
    mine = processes.record_of(os.getpid())
    stale = dataclasses.replace(mine, boot_id="another boot of this machine")
    processes.save(stale, paths.node_dir(OTHER) / "supervisor.json")
    assert state_of(OTHER) == "stopped"
    assert virtual.up([OTHER])[0].state == "running"


def test_a_node_of_another_state_folder_is_not_touched(pis, tmp_path, monkeypatch):
    before = pis.boot_id(FIVE)
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("BRAMBLE_STATE", str(tmp_path))
        with pytest.raises(VirtualPiError, match="another state folder"):
            virtual.up([FIVE])
        virtual.down([FIVE])
    assert pis.boot_id(FIVE) == before


def test_down_leaves_nothing(pis):
    pis.up(OTHER)
    image = paths.node_dir(OTHER) / ssd.IMAGE
    assert ssd.devices(image)
    pis.down(OTHER)
    assert OTHER not in [node.name for node in virtual.nodes()]
    assert not paths.node_dir(OTHER).exists()
    assert list(cgroups.members(OTHER)) == list(cgroups.supervisors(OTHER)) == []
    for command in (["losetup", "--list"], ["ip", "link"], ["mount"], ["ps", "-eo", "args"]):
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert OTHER not in listed, command[0]
    assert OTHER not in paths.known_hosts_path().read_text()


def test_twenty_run_at_once(pis):
    pis.up(*FLEET)
    states = [pis.said(name, "systemctl is-system-running --wait") for name in FLEET]
    assert states == ["running"] * 20
    pis.down(*FLEET)


def state_of(name):
    (state,) = [node.state for node in virtual.nodes() if node.name == name]
    return state
