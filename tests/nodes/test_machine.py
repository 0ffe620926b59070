"""An emulated Pi 4 with a kernel of its own: what its system's roles effect, power cuts, the way back.

One machine serves every test here, in their order, as it boots for long.

`--thorough` does the whole main job, with a llama.cpp that is compiled for it on this computer. The
store of that lies in virtual Pis' cache and lasts: a release's name stands for its source, options and
processor, so what is there is what would be built. With an empty cache the build is ten minutes of one
processor. It interrupts the first deploy more often, and cuts it at any instant of what was written. It
also has the kernel hang, at rest and in the middle of a deploy; it sends a release for another
processor, has the server run out of memory, sets wrong clocks, and reverts every role.
"""

import json
import os
import platform
import random
import re
import shlex
import shutil
import subprocess
import tarfile
import time

import pytest

from bramble import virtual
from bramble.llama import store
from bramble.virtual import paths, processes, source, spec
from bramble.virtual.machine import disk, image, qemu
from bramble.virtual.spec import SSD_BYTES
from bramble.virtual.waiting import answers
from tests.nodes import disks, recorded
from tests.nodes.fleet import ROLES, wait_until
from tests.nodes.machines import (
    BACK_S,
    BOARD,
    SYSTEM,
    WATCHDOG_S,
    Crossed,
    Interrupted,
    in_a_moment,
    plan_of,
    provision,
)

pytestmark = [pytest.mark.nodes, pytest.mark.machine]

NAME = "vpm-92"
PORT = 2292
CUTS = 4
INSTANTS = 400
"""How many power cuts are made of what was recorded."""
TREE = "/proc/device-tree"
RESET = f"{NAME} was reset by its watchdog"
# What containers cannot take back, as they have no kernel of their own.
TWICE = ("memory", "storage", "boot")
# What is not what its manifest or its stamp says.
PLANTED = {
    f"{disks.RELEASES}/abc/bin/llama-server": "half",
    f"{disks.RELEASES}/abc/manifest.json": json.dumps({"binaries": {"llama-server": "0" * 64}}),
    f"{disks.MODELS}/toy.gguf": "half",
    f"{disks.MODELS}/toy.gguf.json": json.dumps({"sha256": "0" * 64}),
}
DROP_INS = "/etc/systemd/system/llama-server.service.d"
# An instruction that a Cortex-A76 has and a Cortex-A72 has not.
DOTPROD = 'int main(void) { __asm__ volatile("udot v0.4s, v1.16b, v2.16b"); }'


@pytest.fixture(scope="module")
def is_whole(request):
    """Whether it gets every role."""
    return request.config.getoption("--thorough")


@pytest.fixture(scope="module")
def fleet(is_whole, tmp_path_factory):
    source.fetch(print)
    fleet = Crossed(tmp_path_factory.mktemp("fleet"), machine=NAME)
    if not is_whole:
        fleet.roles = SYSTEM
    fleet.name()
    return fleet


@pytest.fixture(scope="module")
def built(fleet):
    return fleet.build("cortex-a72")


@pytest.fixture(scope="module")
def recording(request, tmp_path_factory):
    """Where it is recorded what the machine gives its boot card; None where no test asks for that."""
    want = (
        test_a_power_cut_at_any_instant_leaves_clean_file_systems_and_whole_files,
        test_a_reboot_in_the_middle_hangs_no_run_and_the_next_one_converges,
    )
    if not any(item.function in want for item in request.session.items):
        yield None
        return
    folder = tmp_path_factory.mktemp("recording")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", recorded.install(folder, os.environ["PATH"]))
        yield folder


@pytest.fixture(scope="module")
def pi(recording, virtual_pis):
    """A fresh Pi 4 whose EEPROM is old."""
    virtual_pis.up(NAME, **BOARD)
    return virtual_pis


@pytest.fixture
def root(pi):
    """The output of a script that must succeed as root."""
    return lambda script: pi.said(NAME, f"sudo sh -ec {shlex.quote(script)}")


@pytest.fixture(scope="module")
def provisioned(request, is_whole, fleet, recording, pi, tmp_path_factory):
    """The machine after runs that power cuts and reboots interrupted, and one that was not."""
    if is_whole:
        request.getfixturevalue("built")
    cuts = CUTS if recording else 1
    return provision(fleet, pi, tmp_path_factory.mktemp("disks"), cuts)


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


def test_what_a_power_cut_must_not_leave_is_found_on_a_disk(pi, tmp_path):
    card = tmp_path / "card.img"
    base = qemu.files_of(spec.load(NAME)).image / image.DISK
    subprocess.run(["cp", "--sparse=always", base, card], check=True)
    first = disks.read(card, "new", tmp_path)
    assert (first.problems, "/etc/fstab" in first.files) == ([], True)
    with disks.writable(card, tmp_path / "root") as root:
        (root / "etc/fstab").write_bytes(first.files["/etc/fstab"][:40])
        for path, text in PLANTED.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
    with card.open("r+b") as file:
        file.seek(disk.BOOT.offset_bytes + 32 * disk.SECTOR_BYTES)  # its first table
        file.write(bytes(64 * disk.SECTOR_BYTES))
    left = disks.read(card, "planted", tmp_path)
    assert "abc has its manifest and not llama-server" in left.problems
    assert "toy.gguf has its stamp and is another file" in left.problems
    assert "planted: fsck.fat changes cmdline.txt" in left.problems
    (half,) = disks.half_written(left, first.files, first.files, {b"/etc/fstab"})
    assert "/etc/fstab is neither old nor new" in half


def test_a_copied_disk_is_free_when_it_was_looked_at_whatever_began_meanwhile(tmp_path):
    image = tmp_path / "disk.img"
    image.touch()
    os.truncate(image, 16 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    began = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", "echo; exec cat"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with disks.attached(image) as device:
        with disks.mounted(device, tmp_path / "top", "ro"):
            there = subprocess.Popen(began, **pipes)
            there.stdout.readline()
        try:
            os.close(os.open(device, os.O_RDWR | os.O_EXCL))
        finally:
            there.communicate()


@pytest.mark.thorough
def test_a_build_is_what_its_processor_wants(built):
    manifest = built["manifest"]
    assert (manifest["soc"], manifest["recipe"]) == ("cortex-a72", "cross")
    assert "-march=armv8-a+crc -mtune=cortex-a72" in manifest["compiled_in"]["cpu_flags"]
    if platform.machine() == "x86_64":
        assert manifest["compiler"].startswith("aarch64-linux-gnu-g++")


@pytest.mark.thorough
def test_what_is_stored_is_not_built_again(fleet, built):
    assert fleet.build("cortex-a72") == built


@pytest.mark.fault("F3")
def test_a_power_cut_leaves_clean_file_systems_and_whole_files(provisioned, record_property):
    wrong, half = judged(provisioned, provisioned.left)
    record_property("kill_points", len(provisioned.left))
    record_property("half_written", len(half))
    record_property("bricked", len(wrong))
    assert provisioned.left
    assert (wrong, half) == ([], [])


@pytest.mark.fault("F3", "F4")
@pytest.mark.thorough
def test_a_power_cut_at_any_instant_leaves_clean_file_systems_and_whole_files(
    provisioned, recording, tmp_path, record_property
):
    """All that the machine wrote since it was new: what any power cut may have left of that."""
    wrong, half, cuts = [], [], 0
    image = tmp_path / "card.img"
    for when, card in recorded.power_cuts(recording, image, INSTANTS, random.Random(0)):
        cuts += 1
        found = judged(provisioned, [disks.read(card, when, tmp_path)])
        wrong += found[0]
        half += found[1]
    recorded.stop(recording)
    record_property("kill_points", cuts)
    record_property("half_written", len(half))
    record_property("bricked", len(wrong))
    assert cuts > INSTANTS // 2
    assert (wrong, half) == ([], [])


def judged(provisioned, left):
    """What is wrong with disks that were left, and which of their files are neither old nor new."""
    trees = provisioned.first, provisioned.last, provisioned.sent
    wrong = [problem for one in left for problem in one.problems]
    return wrong, [problem for one in left for problem in disks.half_written(one, *trees)]


@pytest.mark.fault("F22")
@pytest.mark.thorough
def test_a_reboot_in_the_middle_hangs_no_run_and_the_next_one_converges(
    provisioned, record_property
):
    record_property("kill_points", provisioned.reboots)
    record_property("hangs", 0)
    assert provisioned.reboots == CUTS // 2


@pytest.mark.fault("F3")
def test_after_a_power_cut_the_next_run_converges_and_the_bootloader_is_updated(
    provisioned, pi, root
):
    assert "BOOTLOADER: up to date" in root("rpi-eeprom-update")
    assert pi.run(NAME, "test -e /boot/firmware/pieeprom.upd").returncode != 0


@pytest.mark.fault("F3")
@pytest.mark.thorough
def test_after_a_power_cut_it_answers_and_nothing_was_compiled_there(fleet, provisioned, pi):
    assert "compiling" not in provisioned.said
    assert pi.run(NAME, "command -v g++ || command -v cmake").returncode != 0
    asked = fleet.bramble("ask", "--host", NAME, "What is 2+2?")
    assert (asked.returncode, asked.stdout.splitlines()[-1:]) == (0, ["4"])


@pytest.mark.fault("F3")
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


@pytest.mark.fault("F12")
@pytest.mark.thorough
def test_a_release_for_another_processor_is_refused_and_the_old_one_serves(
    fleet, provisioned, pi, built, tmp_path, monkeypatch
):
    """It has the name that the Pi 4 asks for, and starts, but cannot compute."""
    monkeypatch.setenv(store.VARIABLE, str(fleet.store))
    before = pi.said(NAME, "readlink /opt/bramble/engine/current")
    fleet.name(build_number=7)
    planned = fleet.bramble("plan", NAME).stdout
    release = re.search(r"release (\w{12}) is not there", planned)[1]
    with tarfile.open(built["path"]) as archive:
        archive.extractall(tmp_path, filter="data")
    bench = tmp_path / "bin" / "llama-bench"
    compile_for_a76(bench)
    binaries = built["manifest"]["binaries"] | {bench.name: store.sha256(bench)}
    manifest = built["manifest"] | {"release": release, "binaries": binaries}
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


@pytest.mark.fault("F19")
@pytest.mark.thorough
def test_a_server_that_runs_out_of_memory_as_it_loads_stays_failed_and_the_reason_is_reported(
    provisioned, fleet, root
):
    show = "systemctl show --value llama-server -p"
    own_kib = int(root(f"grep RssAnon /proc/$({show} MainPID)/status").split()[1])
    root(
        f"mkdir -p {DROP_INS}; systemctl reset-failed llama-server; "
        f"printf '[Service]\\nMemoryMax={own_kib // 2}K\\nMemorySwapMax=0\\n' >{DROP_INS}/less.conf; "
        "systemctl daemon-reload; systemctl restart --no-block llama-server"
    )
    wait_until(lambda: root(f"{show} ActiveState") == "failed", BACK_S, "the last start")
    # systemd counts the one that its limit of 5 starts refuses.
    restarts = int(root(f"{show} NRestarts"))
    code, results = fleet.verify()
    unit = results[NAME, "serving.unit_is_active"]
    assert (code, unit["status"]) == (1, "fail")
    assert unit["got"] == f"failed (failed), result oom-kill, restarted {restarts} times"
    assert restarts <= 5
    assert "bramble fit" in unit["remedy"]
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    assert verified(fleet) == fleet.well


@pytest.mark.fault("F18")
@pytest.mark.thorough
def test_a_clock_of_1970_is_set_before_anything_else_is_done(provisioned, fleet, root):
    root("date --set '1970-01-02'")
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    steps = [event["step"] for event in fleet.events("step")]
    assert steps[:1] == ["Set the clock"]
    assert abs(int(root("date +%s")) - time.time()) < 60
    assert verified(fleet) == fleet.well


@pytest.mark.fault("F18")
@pytest.mark.thorough
def test_a_clock_ten_years_ahead_is_reported_with_what_to_do_and_nothing_else_is_done(
    provisioned, fleet, root
):
    root("date --set '+10 years'")
    done = fleet.pyinfra("node", "-y")
    steps = [(event["step"], event["state"]) for event in fleet.events("step")]
    root(f"date --set @{time.time():.0f}")
    assert (done.returncode, steps) == (1, [("Set the clock", "failed")]), done.stdout
    assert "ahead of the computer that deploys" in done.stdout
    assert "sudo date -s" in done.stdout
    assert fleet.pyinfra("node", "-y").returncode == 0
    assert fleet.events("end")[0]["changed"] == []


@pytest.mark.fault("F21")
@pytest.mark.thorough
def test_a_hung_kernel_is_reset_by_the_armed_watchdog_and_all_of_it_survives(
    provisioned, fleet, pi, root, record_property
):
    watchdog = "/sys/class/watchdog/watchdog0"
    assert root(f"cat {watchdog}/state {watchdog}/timeout").split() == ["active", str(WATCHDOG_S)]
    before = pi.boot_id(NAME)
    hang(pi)
    pi.wait_for_another_boot(NAME, before, deadline_s=BACK_S)
    assert RESET in console()
    pi.said(NAME, "systemctl is-system-running --wait")
    assert verified(fleet) == fleet.well
    record_property("kill_points", 1)
    record_property("bricked", 0)


@pytest.mark.fault("F21")
@pytest.mark.thorough
def test_a_run_in_which_the_kernel_hung_goes_on_after_the_reset(
    provisioned, fleet, pi, record_property
):
    done = fleet.bramble("revert", "serving", NAME)
    assert done.returncode == 0, done.stdout
    for which in (0, -1):
        due = [entry["step"] for entry in plan_of(fleet)["steps"] if entry["why"]]
        before, resets = pi.boot_id(NAME), console().count(RESET)
        deploy = Interrupted(fleet, {due[which]}, 0, 0)
        with deploy as (step, _):
            assert step == due[which]
            hang(pi)
            deploy.wait()
        pi.wait_for_another_boot(NAME, before, deadline_s=BACK_S)
        pi.said(NAME, "systemctl is-system-running --wait")
        assert console().count(RESET) == resets + 1
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    assert fleet.statuses(NAME) == fleet.well
    assert fleet.pyinfra("node", "-y").returncode == 0
    assert fleet.events("end")[0]["changed"] == []
    record_property("kill_points", 2)
    record_property("bricked", 0)
    record_property("hangs", 0)


def hang(pi):
    """Have the kernel stop."""
    in_a_moment(pi, NAME, "sysctl -q kernel.panic=0; echo c > /proc/sysrq-trigger")


def console():
    return (paths.node_dir(NAME) / "console.log").read_text(errors="replace")


@pytest.mark.thorough
def test_weights_are_locked_by_the_kernel_where_they_are_to_be(provisioned, fleet, root):
    locked = (
        "awk '/VmLck/ {print $2}' /proc/$(systemctl show -p MainPID --value llama-server)/status"
    )
    assert root(locked) == "0"
    fleet.name(serving={"lock_weights": True})
    assert fleet.pyinfra("node", "-y").returncode == 0
    assert fleet.statuses(NAME) == fleet.well
    size_kib = int(root("stat -L -c %s /var/lib/bramble/models/bramble-demo-q8_0-*.gguf")) // 1024
    assert int(root(locked)) >= size_kib * 0.98
    fleet.name()
    assert fleet.pyinfra("node", "-y").returncode == 0
    assert root(locked) == "0"


@pytest.mark.thorough
def test_every_role_is_taken_back_and_brought_again_to_a_boot_with_less_memory(
    provisioned, fleet, root
):
    root("mkdir -p /mnt/ssd/mine; echo kept > /mnt/ssd/mine/file")
    for role in reversed([role.name for role in ROLES]):
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
    assert fleet.statuses(NAME) == fleet.well
    memory_kib = int(root("awk '/MemTotal/ {print $2}' /proc/meminfo"))
    assert memory_kib < 1400 * 1024
    assert int(root("cat /sys/block/zram0/disksize")) < 0.6 * memory_kib * 1024
    assert root("cat /mnt/ssd/mine/file") == "kept"


@pytest.mark.thorough
def test_one_that_powered_off_starts_again_with_its_files(pi, root):
    root("echo 1 > /root/kept; sync")
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
