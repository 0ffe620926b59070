"""Virtual Pis of Trixie: what a fresh image of that release holds where a deploy meets it."""

import pytest

from bramble import virtual
from bramble.virtual import VirtualPiError, faults, releases

pytestmark = pytest.mark.nodes

NODE, CLONE, ASKED = "vpi-31", "vpi-32", "vpi-33"
(RECIPE,) = releases.more("trixie")


@pytest.fixture(scope="module")
def pis(virtual_pis):
    virtual_pis.up(NODE, release="trixie")
    return virtual_pis


def test_it_is_debian_13_and_boots_like_a_machine(pis):
    assert pis.said(NODE, "systemctl is-system-running --wait") == "running"
    assert pis.said(NODE, ". /etc/os-release; echo $ID $VERSION_CODENAME") == "debian trixie"
    assert pis.said(NODE, "python3 -V").startswith("Python 3.13.")
    assert pis.said(NODE, "systemctl --version").startswith("systemd 257 ")
    assert pis.said(NODE, "gcc -dumpversion") == "14"
    assert pis.said(NODE, "head -1 /etc/rpi-issue") == "Raspberry Pi reference 2025-12-04"
    assert pis.said(NODE, "sudo -n id -u") == "0"
    assert "dtoverlay=nospi10" in pis.said(NODE, "cat /boot/firmware/config.txt")


def test_its_sources_are_deb822_and_install(pis):
    assert pis.said(NODE, "cat /etc/apt/sources.list; ls /etc/apt/sources.list.d") == (
        "debian.sources"
    )
    suites = pis.said(NODE, "grep -h ^Suites /etc/apt/sources.list.d/debian.sources").split()
    assert {"trixie", "trixie-updates", "trixie-security"} == {*suites} - {"Suites:"}
    pis.said(NODE, "sudo apt-get -q update")
    pis.said(NODE, "sudo DEBIAN_FRONTEND=noninteractive apt-get install -y -q hello")
    assert pis.said(NODE, "hello").startswith("Hello")


def test_the_journal_is_volatile_by_the_vendors_drop_in_alone(pis):
    shown = pis.said(NODE, "systemd-analyze cat-config systemd/journald.conf")
    assert "# /usr/lib/systemd/journald.conf.d/40-rpi-volatile-storage.conf" in shown
    settings = [line for line in shown.splitlines() if line.startswith("Storage=")]
    assert settings == ["Storage=volatile"]
    changed = pis.said(NODE, "dpkg --verify systemd").splitlines()
    assert [line for line in changed if "/usr/share/" not in line] == []
    assert pis.said(NODE, "ls /run/log/journal") == pis.said(NODE, "cat /etc/machine-id")
    assert pis.run(NODE, "ls -A /var/log/journal/*").stdout == ""


def test_the_watchdog_is_on_by_the_vendors_drop_in_and_ours_comes_after_it(pis):
    shown = "systemctl show -p RuntimeWatchdogUSec -p RebootWatchdogUSec"
    assert pis.said(NODE, shown) == "RuntimeWatchdogUSec=1min\nRebootWatchdogUSec=2min"
    own = "/etc/systemd/system.conf.d/99-bramble.conf"
    pis.said(
        NODE,
        f"sudo mkdir -p /etc/systemd/system.conf.d; printf '[Manager]\\nRuntimeWatchdogSec=5m\\n' | "
        f"sudo tee {own}; sudo systemctl daemon-reexec",
    )
    assert pis.said(NODE, shown) == "RuntimeWatchdogUSec=5min\nRebootWatchdogUSec=2min"
    pis.said(NODE, f"sudo rm {own}; sudo systemctl daemon-reexec")
    assert pis.said(NODE, shown).startswith("RuntimeWatchdogUSec=1min\n")


def test_stand_ins_own_what_raspberry_pis_packages_own_and_say_what_they_are(pis):
    for package in sorted((RECIPE / "stand-ins").iterdir()):
        asked = f"dpkg-query -W -f '${{db:Status-Abbrev}} ${{binary:Summary}}' {package.name}"
        assert pis.said(NODE, asked).startswith("ii  STAND-IN of a virtual Pi for Raspberry Pi's")
        owned = pis.said(NODE, f"dpkg-query -L {package.name}").splitlines()
        kept = [path for path in package.rglob("*") if path.is_file()]
        files = [f"/{path.relative_to(package)}" for path in kept if path.parent.name != "DEBIAN"]
        assert set(files) <= set(owned)
        assert pis.said(NODE, f"dpkg --verify {package.name}") == ""


def test_swap_is_rpi_swaps_whose_units_start_nothing_in_a_container(pis):
    tried = pis.said(NODE, "apt-get install --simulate dphys-swapfile")
    assert "Remv rpi-swap" in tried
    for unit in ("dev-zram0.swap", "rpi-zram-writeback.timer"):
        shown = pis.said(NODE, f"systemctl show -p LoadState -p ActiveState --value {unit}")
        assert shown.split() == ["loaded", "inactive"]
    assert "zram0" not in pis.said(NODE, "journalctl -b -q -p warning --no-pager")
    assert "rpi-setup-loop@var-swap.service" in pis.said(
        NODE, "systemctl show -p BindsTo systemd-zram-setup@zram0.service"
    )
    assert pis.run(NODE, "test -e /var/swap").returncode != 0
    pis.said(
        NODE,
        "sudo mkdir -p /etc/rpi/swap.conf.d; printf '[Main]\\nMechanism=none\\n' | "
        "sudo tee /etc/rpi/swap.conf.d/90-none.conf; sudo systemctl daemon-reload",
    )
    assert pis.said(NODE, "systemctl show -p LoadState --value dev-zram0.swap") == "not-found"
    pis.said(NODE, "sudo rm /etc/rpi/swap.conf.d/90-none.conf; sudo systemctl daemon-reload")


def test_the_ssd_is_mounted_after_a_reboot(pis):
    pis.said(
        NODE,
        "sudo mkfs.ext4 -q /dev/sda; echo UUID=$(sudo blkid -o value -s UUID /dev/sda) /mnt/ssd ext4 "
        "defaults,noatime,nofail 0 2 | sudo tee -a /etc/fstab; sudo mkdir -p /mnt/ssd",
    )
    pis.reboot(NODE)
    assert pis.said(NODE, "systemctl is-system-running --wait") == "running"
    assert pis.said(NODE, "findmnt -n -o SOURCE /mnt/ssd") == "/dev/sda"


def test_a_clone_is_of_the_same_release(pis):
    with pytest.raises(VirtualPiError, match=f"{NODE} is of trixie"):
        virtual.up([CLONE], clone_of=NODE, release="bookworm")
    (made,) = pis.up(CLONE, clone_of=NODE)
    assert made.release == "trixie"
    assert pis.said(CLONE, "python3 -V").startswith("Python 3.13.")


def test_sudo_asks_for_a_password_where_that_is_wanted(pis):
    pis.up(ASKED, release="trixie", fault=faults.SUDO_PASSWORD)
    refused = pis.run(ASKED, "sudo -n true")
    assert (refused.returncode, refused.stderr) == (1, "sudo: a password is required\n")
    assert pis.said(ASKED, f"echo {faults.PASSWORD} | sudo -S -p '' id -u") == "0"
    assert pis.run(ASKED, "echo wrong | sudo -k -S id -u").returncode == 1
    pis.said(ASKED, f"echo {faults.PASSWORD} | sudo -S sh -c '! ls /etc/sudoers.d/010_pi-nopasswd'")
