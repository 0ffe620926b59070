"""The machine kind's pure parts: its disk, its device tree, its command lines, its end."""

import lzma
import subprocess
from pathlib import Path

import pytest

from bramble.virtual import (
    apt,
    boards,
    devicetree,
    identity,
    model,
    proxy,
    releases,
    requirements,
    rootfs,
    spec,
    ssh,
)
from bramble.virtual.backend import Desired
from bramble.virtual.container.backend import Containers
from bramble.virtual.errors import VirtualPiError
from bramble.virtual.machine import (
    binfmt,
    disk,
    dtb,
    events,
    firmware,
    image,
    initrd,
    qemu,
)
from bramble.virtual.machine.backend import Machines

CMDLINE = (
    "console=serial0,115200 console=tty1 root=PARTUUID=4e639091-02 rootfstype=ext4 "
    "fsck.repair=yes rootwait"
)


@pytest.fixture
def node(monkeypatch, tmp_path):
    """A Pi 4 that was never made."""
    monkeypatch.setenv("BRAMBLE_STATE", str(tmp_path))
    return spec.Spec("vpm-7", "pi4", None, ("/cache/machine/0123",), ccache=False)


@pytest.fixture
def host():
    lines = "deb http://mirror.example/debian bookworm main\n"
    return apt.AptHost(tuple(apt.parse_one_line(lines)), None, None, ())


def test_the_name_tells_kind_address_and_port():
    assert model.names_for(2, "machine") == ["vpm-1", "vpm-2"]
    assert model.kind_of("vpm-7") == "machine"
    assert (model.address_of("vpm-7"), model.port_of("vpm-7")) == ("127.0.0.1", 2207)
    assert (model.kind_of("vpi-7"), model.port_of("vpi-7")) == ("container", 22)
    assert list(model.in_order(["vpm-2", "vpi-10", "vpm-1"])) == ["vpi-10", "vpm-1", "vpm-2"]


@pytest.mark.parametrize("name", ["vpm-0", "vpm-100", "vpm-01", "vpm", "vpm-1x"])
def test_other_machine_names_are_refused_with_those_allowed(name):
    with pytest.raises(VirtualPiError, match="vpm-1 to vpm-99 for machines"):
        model.port_of(name)


def test_known_hosts_and_ssh_name_the_port(monkeypatch, tmp_path):
    monkeypatch.setenv("BRAMBLE_STATE", str(tmp_path))
    line = identity.known_hosts_line("vpm-7", "ssh-ed25519 AAAAkey root@vpm-7\n")
    assert line == "[127.0.0.1]:2207 ssh-ed25519 AAAAkey\n"
    node = model.VirtualNode("vpm-7", "127.0.0.1", "pi4", None, "running", 1, 1.0, "machine", 2207)
    argv = ssh.ssh_argv(node, "uptime")
    assert "Port=2207" in argv
    assert argv[-3:] == ["pi@127.0.0.1", "--", "uptime"]


def test_the_partitions_are_those_of_fstab_and_fill_the_disk():
    fstab = (releases.SHARED / "files/etc/fstab").read_text()
    assert f"PARTUUID={disk.BOOT.uuid} " in fstab
    assert f"PARTUUID={disk.ROOT.uuid} " in fstab
    assert disk.BOOT.size_kib == 512 * 1024
    assert disk.ROOT.start == disk.BOOT.start + disk.BOOT.sectors
    end = disk.ROOT.offset_bytes + disk.ROOT.size_kib * 1024
    assert end == disk.SIZE_BYTES
    assert disk.table().splitlines()[1:3] == [
        "label-id: 0x4e639091",
        "start=8192, size=1048576, type=c",
    ]


def test_both_file_systems_are_made_at_their_places():
    boot = disk.boot_command(Path("/d.img"))
    assert boot[-3:] == ["--offset=8192", "/d.img", "524288"]
    root = disk.root_command(Path("/d.img"), Path("/tree"))
    assert f"offset={disk.ROOT.offset_bytes},lazy_itable_init=0,lazy_journal_init=0" in root
    assert root[-2:] == ["/d.img", f"{disk.ROOT.size_kib}k"]


@pytest.mark.parametrize("release", releases.RELEASES)
def test_the_image_holds_a_kernel_and_lacks_what_the_real_one_lacks(host, tmp_path, release):
    names = image.packages(release)
    assert {"linux-image-arm64", "systemd", "python3"} <= set(names)
    assert not {"git", "cmake", "zram-tools", "build-essential", "initramfs-tools"} & set(names)
    argv = image.command(host, release, tmp_path / "root")
    assert argv[:2] == ["env", "INITRD=No"]
    assert "--architectures=arm64" in argv
    assert f"--include={','.join(names)}" in argv
    hooks = [word for word in argv if word.startswith("--customize-hook=")]
    scripts = list(rootfs.scripts(release, image.RECIPE))
    assert image.RECIPE / "customize.sh" in scripts
    assert hooks == [f'--customize-hook=sh {script} "$1"' for script in scripts]


def test_the_images_key_follows_its_recipe_and_the_containers(host, tmp_path, monkeypatch):
    (tmp_path / "init").write_text("1")
    key = image.cache_key(host, "bookworm", tmp_path)
    assert key == image.cache_key(host, "bookworm", tmp_path)
    (tmp_path / "init").write_text("2")
    changed = image.cache_key(host, "bookworm", tmp_path)
    assert key != changed
    monkeypatch.setattr(rootfs, "FLAGS", (*rootfs.FLAGS, "--more"))
    assert changed != image.cache_key(host, "bookworm", tmp_path)
    assert image.cache_key(host, "bookworm") != image.cache_key(host, "trixie")


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ('"""Make it."""\n\n\ndef make(a):\n    """Another word."""\n    return a  # so\n', False),
        ('"""Make it."""\n\n\ndef make(a):\n    """Make."""\n    return a + 1\n', True),
    ],
)
def test_words_about_a_modules_code_change_no_images_key(
    host, tmp_path, monkeypatch, text, changes
):
    monkeypatch.setattr(image, "_MAKERS", (tmp_path / "maker.py",))
    (tmp_path / "maker.py").write_text('"""Make."""\n\n\ndef make(a):\n    return a\n')
    key = image.cache_key(host, "bookworm")
    (tmp_path / "maker.py").write_text(text)
    assert (image.cache_key(host, "bookworm") != key) == changes


def test_the_modules_of_the_initramfs_come_once_and_in_order():
    shown = ["insmod /m/crc16.ko \ninsmod /m/ext4.ko \n", "builtin x\ninsmod /m/crc16.ko a=1\n"]
    assert initrd.module_files(shown) == ["/m/crc16.ko", "/m/ext4.ko"]


@pytest.mark.parametrize(("name", "pack"), [("a.ko", bytes), ("a.ko.xz", lzma.compress)])
def test_a_module_is_brought_as_busybox_loads_it(tmp_path, name, pack):
    (tmp_path / name).write_bytes(pack(b"\x7fELF"))
    initrd.copy_module(tmp_path / name, tmp_path / "00-a.ko")
    assert (tmp_path / "00-a.ko").read_bytes() == b"\x7fELF"


def test_a_tree_without_one_kernel_is_refused(tmp_path):
    (tmp_path / "usr/lib/modules").mkdir(parents=True)
    with pytest.raises(VirtualPiError, match="must hold one kernel, found are none"):
        initrd.kernel_of(tmp_path)


def test_the_initramfs_script_is_shell():
    subprocess.run(["sh", "-n", str(initrd.RECIPE / "init")], check=True)
    subprocess.run(["sh", "-n", str(image.RECIPE / "customize.sh")], check=True)


def test_the_rule_for_arm64_programs_is_the_line_without_comment():
    assert binfmt.rule_in("# by hand\n\n:qemu-aarch64:M::x:y:/q:OPF\n") == (
        ":qemu-aarch64:M::x:y:/q:OPF"
    )


def test_the_device_tree_says_pi_and_keeps_the_machines_own_name_last():
    tree = dtb.properties(boards.board("pi4"), 1, "")
    assert tree["compatible"] == b"raspberrypi,4-model-b\0brcm,bcm2711\0linux,dummy-virt\0"
    assert tree["model"] == b"Raspberry Pi 4 Model B Rev 1.5\0"


def test_each_property_is_written_byte_for_byte():
    tree = {"model": b"A\0", "system/linux,revision": bytes.fromhex("00d03115")}
    assert list(dtb.commands(tree, Path("/d"))) == [
        ["fdtput", "-p", "-t", "bx", "/d", "/", "model", "41", "0"],
        ["fdtput", "-p", "-t", "bx", "/d", "/system", "linux,revision", "0", "d0", "31", "15"],
    ]


def test_the_kernel_gets_cmdline_txt_and_what_a_firmware_adds():
    assert firmware.kernel_cmdline(f"{CMDLINE}\nsecond line\n") == (
        "cgroup_disable=memory numa_policy=interleave " + CMDLINE.replace("serial0", "ttyAMA0")
    )
    assert firmware.kernel_cmdline("") == "cgroup_disable=memory numa_policy=interleave"


def test_the_memory_controller_is_off_until_cmdline_txt_wants_it():
    found = firmware.kernel_cmdline(f"{CMDLINE} cgroup_enable=memory\n").split()
    assert "cgroup_disable=memory" not in found
    assert found[-1] == "cgroup_enable=memory"


@pytest.mark.parametrize(("board", "cpu"), [("pi4", "cortex-a72"), ("pi5", "cortex-a76")])
def test_each_board_has_its_processor(board, cpu):
    argv = qemu.dump_command(boards.board(board), Path("/a,b.dtb"))
    assert argv[argv.index("-cpu") + 1] == cpu
    assert argv[argv.index("-M") + 1] == "virt,dumpdtb=/a,,b.dtb"
    assert set(qemu.PROCESSORS) == set(boards.BOARDS)


def test_the_machine_has_its_files_its_ssd_and_one_way_in_and_out(node):
    argv = qemu.command(node, "root=/dev/vda2 quiet")
    assert argv[:3] == ["setpriv", "--pdeathsig", "KILL"]
    after = {word: argv[place + 1] for place, word in enumerate(argv[:-1])}
    assert after["-kernel"] == "/cache/machine/0123/vmlinuz"
    assert after["-dtb"] == str(node.folder / "device-tree.dtb")
    assert after["-append"] == "root=/dev/vda2 quiet"
    serial = f"{devicetree.serial_of('vpm-7'):016x}"
    assert f"usb-storage,bus=usb.0,drive=ssd,serial={serial}" in argv
    assert after["-netdev"] == (
        "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:2207-:22,"
        "guestfwd=tcp:10.0.2.100:3143-cmd:socat - TCP:127.0.0.1:3143"
    )


def test_a_reset_of_any_cause_ends_qemu(node):
    argv = qemu.command(node, "")
    assert "i6300esb" in argv
    assert [argv[place + 1] for place, word in enumerate(argv) if word == "-action"] == [
        "watchdog=reset",
        "reboot=shutdown",
    ]


def ended(reason):
    return f'{{"event": "SHUTDOWN", "data": {{"guest": true, "reason": "{reason}"}}}}\n'


@pytest.mark.parametrize(
    ("lines", "reboots", "summary"),
    [
        (['{"return": {}}\n', ended("guest-reset")], True, "rebooted"),
        (
            ['{"event": "WATCHDOG", "data": {"action": "reset"}}\n', ended("guest-reset")],
            True,
            "was reset by its watchdog",
        ),
        ([ended("guest-shutdown")], False, "powered off"),
        ([ended("host-signal")], False, "ended: host-signal"),
        ([], False, "ended: QEMU said no reason"),
    ],
)
def test_the_end_is_read_from_qemus_events(lines, reboots, summary):
    end = events.end_of(lines)
    assert (end.reboots, end.summary) == (reboots, summary)


def test_the_proxy_of_machines_listens_on_the_loopback_only(host, tmp_path):
    text = proxy.config_text(host, tmp_path, qemu.PROXY)
    assert "Port 3143\nListen 127.0.0.1\n" in text
    assert "Allow 127.0.0.1\n" in text


@pytest.mark.parametrize(
    ("desired", "option"),
    [
        (Desired("pi4", None, "vpi-1", ccache=True), "--clone"),
        (Desired("pi4", None, None, ccache=False), "--no-ccache"),
    ],
)
def test_what_only_containers_can_is_refused(desired, option):
    with pytest.raises(VirtualPiError, match=f"{option} is for containers"):
        Machines().check(desired)


def test_a_machine_is_no_source_of_clones():
    with pytest.raises(VirtualPiError, match="vpm-1 is a machine"):
        Containers().check(Desired("pi4", None, "vpm-1", ccache=True))


def test_machines_lack_other_things_than_containers(tmp_path):
    file_systems = tmp_path / "filesystems"
    file_systems.write_text("nodev\tbinfmt_misc\n\text4\n")
    found = requirements.missing(
        Machines.needs,
        which=lambda tool: None if tool in {"qemu-img", "systemd-nspawn"} else tool,
        effective_user=lambda: 0,
        platform="linux",
        file_systems=file_systems,
    )
    assert found == ["qemu-img is missing: 'apt-get install -y qemu-utils'"]


def test_the_packages_of_machines_hold_their_tools():
    base = {"apt", "util-linux"}
    assert set(Machines.needs.tools.values()) - base == set(Machines.needs.packages)
