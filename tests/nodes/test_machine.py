"""The whole main job on an emulated Pi 4 with a kernel of its own: effects, power cuts, the way back.

One machine serves every test here, in their order, as it boots for long. llama.cpp is compiled for it
once on this computer; the store lies in virtual Pis' cache and lasts: a release's name stands for its
source, options and processor, so what is there is what would be built. With an empty cache the build is
ten minutes of one processor.

`--thorough` cuts the power ten times in place of once, builds llama.cpp for another processor too, and
reverts every role.
"""

import contextlib
import itertools
import json
import os
import platform
import queue
import random
import re
import shlex
import shutil
import subprocess
import tarfile
import threading
import time

import pytest

from bramble import registry, virtual
from bramble.llama import store
from bramble.virtual import paths, processes, source
from bramble.virtual.spec import SSD_BYTES
from bramble.virtual.waiting import answers
from tests.nodes.fleet import NO_LOG2RAM, NOT_WANTED, Fleet, as_json

pytestmark = [pytest.mark.nodes, pytest.mark.machine]

NAME = "vpm-92"
PORT = 2292
BOARD = {"board": "pi4", "fault": "eeprom-old", "kind": "machine"}
CUTS, CUTS_THOROUGH = 1, 10
BACK_S = 300
"""How long a boot may take; half a minute where little else runs."""
TREE = "/proc/device-tree"
CHECKS = [f"{role.name}.{check.name}" for role in registry.roles() for check in role.checks]
WATCHDOG_S = 60
OWN = {
    # As long as the default, a bite would take minutes to wait for.
    "watchdog": {"runtime_s": WATCHDOG_S},
    "base": {"hostname": "inventory", "timezone": "Europe/Vienna"},
    "boot": {"eeprom": {"update": True}},
}
SKIPPED = (
    *NOT_WANTED,
    *NO_LOG2RAM,
    "base.cloud_init_keeps_the_name",  # there is none
    "power.governor_is_in_force",  # a machine's kernel scales no clock
    "power.supply_is_rated_for_a_pi_5",  # it is a Pi 4
)
WELL = {name: "skip" if name in SKIPPED else "pass" for name in CHECKS}
# What containers cannot take back, as they have no kernel of their own.
TWICE = ("memory", "storage", "boot")
# An instruction that a Cortex-A76 has and a Cortex-A72 has not.
DOTPROD = 'int main(void) { __asm__ volatile("udot v0.4s, v1.16b, v2.16b"); }'


class Crossed(Fleet):
    """A fleet whose store lasts."""

    @property
    def store(self):
        return paths.cache_dir() / "engine"

    def name(self, **engine):
        """The machine in the inventory, with these settings of its engine too."""
        self.write([NAME], {NAME: OWN | {"engine": {"recipe": "cross", **engine}}})

    def build(self, soc):
        """What `bramble engine build` says of a processor's release, from the store or built now."""
        done = self.bramble("engine", "build", "--soc", soc, NAME, "--json")
        assert done.returncode == 0, done.stdout
        (entry,) = as_json(done)["releases"]
        return entry


@pytest.fixture(scope="module")
def thorough(request):
    return request.config.getoption("--thorough")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    source.fetch(print)
    fleet = Crossed(tmp_path_factory.mktemp("fleet"))
    fleet.name()
    return fleet


@pytest.fixture(scope="module")
def built(fleet):
    return fleet.build("cortex-a72")


@pytest.fixture(scope="module")
def pi(virtual_pis):
    """A fresh Pi 4 whose EEPROM is old."""
    virtual_pis.up(NAME, **BOARD)
    return virtual_pis


@pytest.fixture
def root(pi):
    """The output of a script that must succeed as root."""
    return lambda script: pi.said(NAME, f"sudo sh -ec {shlex.quote(script)}")


@pytest.fixture(scope="module")
def provisioned(fleet, built, pi, thorough):
    """What the first run said that ended, after the power was cut in one or several of its steps."""
    steps = {entry["step"] for entry in plan_of(fleet)["steps"] if entry["why"]}
    cut: list[str] = []
    cuts = CUTS_THOROUGH if thorough else CUTS
    moments = random.Random()
    while len(cut) < cuts:
        # Not the first steps alone; those at the end may be due no longer.
        later = moments.randrange(len(steps) * 3 // 4 // cuts)
        step, moment = deploy_until(fleet, steps, cut, later, round(moments.uniform(0, 3), 1))
        assert step, f"the deploy ended before {cuts} of its steps began: {cut}"
        pi.cut_power(NAME)
        print(f"power cut {moment} of {step!r}")
        cut.append(step)
        virtual.up([NAME], **BOARD)
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    assert fleet.statuses(NAME) == WELL
    return done.stdout


def plan_of(fleet):
    done = fleet.bramble("plan", NAME, "--json")
    assert done.returncode == 0, done.stdout
    (plan,) = as_json(done)["plans"]
    return plan


def deploy_until(fleet, steps, cut, later, delay_s):
    """Deploys until a step not cut before has run for this long or is over; the step, and the moment.

    So many other steps begin before it. The laptop's side ends then too. Never waiting longer than the
    step leaves the steps after it to be cut, however fast this computer is.
    """
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    with fleet.start_pyinfra("node", "-y", stdout=subprocess.PIPE) as process:
        reader = threading.Thread(target=hand_on, args=(process.stdout, lines))
        reader.start()
        due = (s for s in map(begun, iter(lines.get, None)) if s in steps - set(cut))
        step = next(itertools.islice(due, later, None), None)
        end = time.monotonic() + delay_s
        moment = f"{delay_s} s after the start"
        while step and (left_s := end - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                line = lines.get(timeout=left_s)
                if line is None or begun(line) in steps - {step}:
                    moment = "at the end"
                    break
        process.kill()
        reader.join()
    return step, moment


def hand_on(lines, waiting):
    """Each line as it comes, then None."""
    for line in lines:
        waiting.put(line)
    waiting.put(None)


def begun(line):
    """The step that a line of a deploy's output says has begun."""
    reported = re.match(rf"\s*\[{NAME}\] ([^:]+): ", line)
    return reported[1] if reported else None


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


def test_its_ssd_is_a_blank_usb_disk(pi, root):
    columns = pi.said(NAME, "lsblk -d -n -r -b -o NAME,TYPE,TRAN,SIZE,FSTYPE /dev/sda")
    assert columns.split() == ["sda", "disk", "usb", str(SSD_BYTES)]
    assert root("wipefs -n /dev/sda") == ""


def test_the_mirror_is_the_only_way_out(pi):
    ask = "curl -sS -m 30 -o /dev/null -w %{http_code}"
    through = f"{ask} -x http://10.0.2.100:3143"
    assert pi.run(NAME, f"{through} http://example.com/").stdout == "403"
    assert pi.run(NAME, f"{ask} http://10.0.2.2:3143/").returncode != 0
    assert pi.said(NAME, "ip route | grep -c default || true") == "0"
    pi.said(NAME, "cd /tmp && apt-get -q download hello-traditional && ls hello-traditional_*.deb")


def test_a_build_is_what_its_processor_wants(built):
    manifest = built["manifest"]
    assert (manifest["soc"], manifest["recipe"]) == ("cortex-a72", "cross")
    assert "-march=armv8-a+crc -mtune=cortex-a72" in manifest["compiled_in"]["cpu_flags"]
    if platform.machine() == "x86_64":
        assert manifest["compiler"].startswith("aarch64-linux-gnu-g++")


def test_what_is_stored_is_not_built_again(fleet, built):
    assert fleet.build("cortex-a72") == built


def test_after_a_power_cut_the_next_run_converges_without_a_compile_and_it_answers(
    fleet, provisioned, pi, root
):
    assert "compiling" not in provisioned
    assert pi.run(NAME, "command -v g++ || command -v cmake").returncode != 0
    assert "BOOTLOADER: up to date" in root("rpi-eeprom-update")
    assert pi.run(NAME, "test -e /boot/firmware/pieeprom.upd").returncode != 0
    asked = fleet.bramble("ask", "--host", NAME, "What is 2+2?")
    assert (asked.returncode, asked.stdout.splitlines()[-1:]) == (0, ["4"])


def test_the_second_run_changes_nothing(provisioned, fleet):
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    (end,) = fleet.events("end")
    assert (end["changed"], end["failed"]) == ([], [])


def test_zram_and_the_swap_file_are_swap_in_this_order(provisioned, root):
    rows = [line.split() for line in root("cat /proc/swaps").splitlines()[1:]]
    zram, file = sorted(rows, key=lambda row: -int(row[4]))
    assert (zram[0], zram[1]) == ("/dev/zram0", "partition")
    assert (file[0].startswith("/mnt/ssd/"), file[1]) == (True, "file")
    assert int(file[2]) >= 2 * 1024 * 1024 - 64
    assert int(zram[4]) > int(file[4])


def test_the_ssd_is_mounted_by_uuid_with_noatime_and_nofail(provisioned, root):
    (line,) = [entry for entry in root("cat /etc/fstab").splitlines() if "/mnt/ssd" in entry]
    source, target, _, options = line.split()[:4]
    assert (source[:5], target) == ("UUID=", "/mnt/ssd")
    assert {"noatime", "nofail"} <= set(options.split(","))
    assert root("findmnt -no SOURCE /mnt/ssd").startswith("/dev/sd")
    assert "noatime" in root("findmnt -no OPTIONS /mnt/ssd")


def test_the_kernel_enforces_memory_limits_and_tells_pressure(provisioned, root):
    assert "memory" in root("cat /sys/fs/cgroup/cgroup.controllers").split()
    assert "some avg10" in root("cat /proc/pressure/memory")


def test_a_release_for_another_processor_is_refused_and_the_old_one_serves(
    fleet, provisioned, pi, built, thorough, tmp_path, monkeypatch
):
    """It has the name that the Pi 4 asks for, and starts, but cannot compute."""
    monkeypatch.setenv(store.VARIABLE, str(fleet.store))
    before = pi.said(NAME, "readlink /opt/bramble/engine/current")
    wrong = fleet.build("cortex-a76") if thorough else built
    fleet.name(build_number=7)
    planned = fleet.bramble("plan", NAME).stdout
    release = re.search(r"release (\w{12}) is not there", planned)[1]
    with tarfile.open(wrong["path"]) as archive:
        archive.extractall(tmp_path, filter="data")
    manifest = wrong["manifest"] | {"release": release}
    if not thorough:
        bench = tmp_path / "bin" / "llama-bench"
        compile_for_a76(bench)
        manifest["binaries"] = manifest["binaries"] | {bench.name: store.sha256(bench)}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    store.add(tmp_path)
    try:
        done = fleet.pyinfra("node", "-y")
    finally:
        store.remove(release)
        fleet.name()
    assert done.returncode == 1
    assert "llama-bench ended with SIGILL: it was compiled for another processor" in done.stdout
    assert pi.said(NAME, "readlink /opt/bramble/engine/current") == before
    code, results = fleet.verify()
    assert (code, results[NAME, "serving.model_answers"]["status"]) == (0, "pass")


def compile_for_a76(program):
    """A program of one instruction that a Cortex-A72 has not."""
    compiler = shutil.which("aarch64-linux-gnu-gcc")
    assert compiler
    argv = [compiler, "-march=armv8.2-a+dotprod", "-static", "-x", "c", "-", "-o", str(program)]
    subprocess.run(argv, input=DOTPROD, text=True, check=True)


def test_all_of_it_survives_a_reboot(provisioned, fleet, pi, root):
    root("echo 1 > /root/kept; sync")
    pi.reboot(NAME, deadline_s=BACK_S)
    pi.said(NAME, "systemctl is-system-running --wait")
    assert verified(fleet) == WELL


def test_a_hung_kernel_is_reset_by_the_armed_watchdog(provisioned, fleet, pi, root):
    watchdog = "/sys/class/watchdog/watchdog0"
    assert root(f"cat {watchdog}/state {watchdog}/timeout").split() == ["active", str(WATCHDOG_S)]
    before = pi.boot_id(NAME)
    # In the background: the connection would hang with the kernel.
    root("sysctl -q kernel.panic=0; (sleep 1; echo c > /proc/sysrq-trigger) >/dev/null 2>&1 &")
    pi.wait_for_another_boot(NAME, before, deadline_s=BACK_S)
    log = (paths.node_dir(NAME) / "console.log").read_text(errors="replace")
    assert f"{NAME} was reset by its watchdog" in log
    pi.said(NAME, "systemctl is-system-running --wait")
    assert verified(fleet) == WELL


@pytest.mark.thorough
def test_every_role_is_taken_back_and_brought_again_to_a_boot_with_less_memory(
    provisioned, fleet, root
):
    root("mkdir -p /mnt/ssd/mine; echo kept > /mnt/ssd/mine/file")
    for role in reversed([role.name for role in registry.roles()]):
        done = fleet.bramble("revert", role, NAME)
        assert done.returncode == 0, done.stdout
    for role in TWICE:
        again = fleet.bramble("revert", role, NAME)
        assert f"{NAME}: nothing to revert" in again.stdout, again.stdout
    assert "/mnt/ssd" not in root("cat /proc/swaps; cat /etc/fstab; cat /proc/mounts")
    assert "zram" not in root("cat /proc/swaps")
    assert "cgroup_enable=memory" not in root("cat /boot/firmware/cmdline.txt")
    assert root("find /etc -newer /etc/hostname -name '*bramble*' | sort") == ""
    # In force at the reboot in the middle of the deploy, after zram was set up for all of the memory.
    root("sed -i 's/$/ mem=1400M/' /boot/firmware/cmdline.txt")
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    assert fleet.statuses(NAME) == WELL
    memory_kib = int(root("awk '/MemTotal/ {print $2}' /proc/meminfo"))
    assert memory_kib < 1400 * 1024
    assert int(root("cat /sys/block/zram0/disksize")) < 0.6 * memory_kib * 1024
    assert root("cat /mnt/ssd/mine/file") == "kept"


def test_one_that_powered_off_starts_again_with_its_files(pi, root):
    pi.run(NAME, "sudo systemctl poweroff")
    assert processes.wait_until(lambda: state() == "stopped", deadline_s=BACK_S)
    virtual.up([NAME], **BOARD)
    assert root("cat /root/kept") == "1"


def test_a_machine_ends_with_its_supervisor(pi):
    pi.cut_power(NAME)
    assert state() == "stopped"
    assert processes.wait_until(lambda: running() == [], deadline_s=30)


def test_down_leaves_nothing(pi):
    pi.down(NAME)
    assert NAME not in [node.name for node in virtual.nodes()]
    assert not paths.node_dir(NAME).exists()
    assert not answers("127.0.0.1", PORT)
    assert f":{PORT} " not in paths.known_hosts_path().read_text()
    assert running() == []


def running():
    """The processes on this computer that belong to the virtual one."""
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


def verified(fleet):
    """The results of `bramble verify` by check."""
    _, results = fleet.verify()
    return {check: entry["status"] for (_, check), entry in results.items()}
