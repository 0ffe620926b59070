"""What a virtual Pi says that it is: device tree, block devices, firmware, doubles."""

import json
import os
import re
import stat
import subprocess

import pytest

from bramble.virtual import boards, devicetree, doubles, faults, making, spec
from bramble.virtual.backend import Desired
from bramble.virtual.container import blocktree, firmware
from bramble.virtual.errors import VirtualPiError
from bramble.virtual.layers import Upper

SAID = """\
2025/11/05 17:37:18
version 57db150d63864d47e6c9071f6b086a5401eb4e92 (release)
timestamp 1762364238
update-time 1762770986
capabilities 0x0000007f
"""


@pytest.mark.parametrize(("board", "code"), [("pi4", 0xD03115), ("pi5", 0xD04170)])
def test_revision_codes_are_those_of_the_table(board, code):
    assert boards.board(board).revision == code


def test_revision_code_of_a_16_gib_pi5():
    code = boards.revision_code(soc="bcm2712", board_type=0x17, revision=1, memory_gib=16)
    assert code == 0xE04171


def test_device_tree_bytes_are_those_of_a_pi():
    tree = devicetree.properties(boards.board("pi4"), 0x10000000ABCDEF01, SAID)
    assert tree == {
        "model": b"Raspberry Pi 4 Model B Rev 1.5\0",
        "compatible": b"raspberrypi,4-model-b\0brcm,bcm2711\0",
        "serial-number": b"10000000abcdef01\0",
        "system/linux,revision": bytes.fromhex("00d03115"),
        "system/linux,serial": bytes.fromhex("10000000abcdef01"),
        "chosen/bootloader/version": b"57db150d63864d47e6c9071f6b086a5401eb4e92\0",
        "chosen/bootloader/build-timestamp": bytes.fromhex("690b8b4e"),
        "chosen/bootloader/update-timestamp": (1762770986).to_bytes(4, "big"),
        "chosen/bootloader/capabilities": bytes.fromhex("0000007f"),
    }


def test_a_board_without_a_bootloader_answer_has_no_bootloader_node():
    tree = devicetree.properties(boards.board("pi5"), 1, "")
    assert not [path for path in tree if path.startswith("chosen/bootloader")]
    assert tree["chosen/power/max_current"] == bytes.fromhex("00001388")


def test_the_tree_is_written_anew_and_read_only(tmp_path):
    firmware.write_tree({"old": b"1"}, tmp_path / "base")
    firmware.write_tree({"system/linux,revision": b"\0\1\2\3"}, tmp_path / "base")
    file = tmp_path / "base/system/linux,revision"
    assert file.read_bytes() == b"\0\1\2\3"
    assert file.stat().st_mode & 0o777 == 0o444
    assert not (tmp_path / "base/old").exists()


def test_an_unknown_board_is_refused_with_those_allowed():
    with pytest.raises(VirtualPiError, match="'pi3' is not known: allowed are pi4, pi5"):
        boards.board("pi3")


def test_the_disk_is_a_usb_disk_called_sda():
    files = blocktree.files("7:9", 16 << 30, "abc")
    assert files["sda/dev"] == "7:9"
    assert files["sda/size"] == str((16 << 30) // 512)
    text = blocktree.partitions("7:9", 16 << 30)
    assert text.splitlines()[-1].split() == ["7", "9", "16777216", "sda"]


@pytest.mark.parametrize("board", ["pi4", "pi5"])
def test_both_boards_know_the_faults(board):
    assert {"throttled", "eeprom-old", "hot", "no-vcgencmd", "sudo-password"} <= set(
        faults.names(board)
    )
    assert "after-update" not in faults.names(board)
    with pytest.raises(VirtualPiError, match=r"'melted' is not known .* allowed are eeprom-old"):
        faults.check(board, "melted")


@pytest.mark.parametrize("board", ["pi4", "pi5"])
@pytest.mark.parametrize("case", ["healthy", "eeprom-old", "after-update"])
def test_vcgencmd_and_rpi_eeprom_update_tell_the_same_bootloader(board, case):
    found = doubles.recordings(board, case)
    update = found["rpi-eeprom-update/_"].decode()
    current = re.search(r"CURRENT: .*\((\d+)\)", update)[1]
    assert f"timestamp {current}\n" in found["vcgencmd/bootloader_version"].decode()
    assert ("UPDATE AVAILABLE" in update) == ("rpi-eeprom-update/_.exit" in found)


def replayed(tmp_path, board, fault, tool, *args):
    """Runs a double as a node would, with its recordings in a folder of the test."""
    upper = Upper(tmp_path / "node", [])
    doubles.install(upper, board, fault)
    program = tmp_path / "node/usr/bin" / tool
    current = tmp_path / "node" / doubles.PLACE / "current"
    text = program.read_text().replace("/usr/lib/virtual-pi/current", str(current))
    program.write_text(text)
    done = subprocess.run([str(program), *args], capture_output=True, text=True)
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("fault", "call", "code", "start"),
    [
        (None, "vcgencmd get_throttled", 0, "throttled=0x0"),
        (None, "vcgencmd pmic_read_adc EXT5V_V", 0, "     EXT5V_V volt(24)=5.11478000V"),
        (None, "vcgencmd not_recorded", 64, ""),
        (None, "rpi-eeprom-update", 0, "BOOTLOADER: up to date"),
        (None, "rpi-eeprom-config", 0, "[all]"),
        ("throttled", "vcgencmd get_throttled", 0, "throttled=0x50005"),
        ("throttled", "vcgencmd measure_temp", 0, "temp=48.3'C"),
        ("hot", "vcgencmd measure_temp", 0, "temp=84.5'C"),
        ("no-vcgencmd", "vcgencmd measure_temp", 255, "Can't open device file: /dev/vcio"),
        ("eeprom-old", "rpi-eeprom-update", 1, "*** UPDATE AVAILABLE ***"),
    ],
)
@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users: root only")
def test_doubles_replay(tmp_path, fault, call, code, start):
    found = replayed(tmp_path, "pi5", fault, *call.split())
    assert found[0] == code
    assert found[1].startswith(start)


def test_the_firmware_takes_a_staged_eeprom_update_once(tmp_path):
    boot, current = tmp_path / "boot", tmp_path / "current"
    boot.mkdir()
    current.symlink_to("pi4-eeprom-old")
    for name in ("pieeprom.upd", "pieeprom.sig", "recovery.bin"):
        (boot / name).touch()
    firmware.take_eeprom_update(boot, current, "pi4-after-update")
    assert [path.name for path in boot.iterdir()] == ["recovery.000"]
    assert str(current.readlink()) == "pi4-after-update"


def test_the_kernels_command_line_is_the_first_line_of_cmdline_txt(tmp_path):
    (tmp_path / "cmdline.txt").write_text("root=PARTUUID=1 rootwait psi=1\nlost=1\n")
    target = tmp_path / "firmware/cmdline"
    cmdline = firmware.write_cmdline(tmp_path / "cmdline.txt", target)
    assert cmdline == f"{devicetree.BOOTARGS} root=PARTUUID=1 rootwait psi=1"
    assert target.read_text() == f"{cmdline}\n"


def test_a_half_made_node_is_no_node(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAMBLE_STATE", str(tmp_path))
    folder = tmp_path / "virtual/nodes/vpi-3"
    folder.mkdir(parents=True)
    assert spec.all_names() == ["vpi-3"]
    assert spec.all_specs() == []
    (folder / "node.json").write_text("")
    assert spec.find("vpi-3") is None
    made = spec.Spec("vpi-3", "pi4", None, ("/a", "/b"), True, "trixie")
    made.save()
    assert spec.load("vpi-3") == made
    with pytest.raises(VirtualPiError, match=r"no virtual Pi vpi-4: .*list.*up vpi-4"):
        spec.load("vpi-4")


def test_a_node_whose_file_names_no_release_is_of_bookworm(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAMBLE_STATE", str(tmp_path))
    spec.Spec("vpi-3", "pi4", None, ("/a",), True, "trixie").save()
    file = tmp_path / "virtual/nodes/vpi-3/node.json"
    found = json.loads(file.read_text())
    del found["release"]
    file.write_text(json.dumps(found))
    assert spec.load("vpi-3").release == "bookworm"


def test_a_clone_is_of_its_sources_release(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAMBLE_STATE", str(tmp_path))
    spec.Spec("vpi-3", "pi4", None, ("/a",), True, "trixie").save()
    assert making.release_of(None, "vpi-3") == making.release_of("trixie", "vpi-3") == "trixie"
    with pytest.raises(VirtualPiError, match=r"vpi-3 is of trixie.*leave out --release bookworm"):
        making.release_of("bookworm", "vpi-3")
    assert (making.release_of(None, None), making.release_of("trixie", None)) == (
        "bookworm",
        "trixie",
    )


def test_an_unknown_release_is_refused_with_those_allowed():
    with pytest.raises(VirtualPiError, match="'sid' is not known: allowed are bookworm, trixie"):
        making.check(Desired("pi5", None, None, True, "sid"))


def test_a_password_is_set_for_user_pi_alone():
    shadow = "root:*:20000:0:99999:7:::\npi:!:20000:0:99999:7:::\n"
    root, pi = faults.with_password(shadow).splitlines()
    assert root == "root:*:20000:0:99999:7:::"
    assert re.fullmatch(r"pi:\$6\$virtualpi\$[^:]{86}:20000:0:99999:7:::", pi)
    asked = ["openssl", "passwd", "-6", "-salt", "virtualpi", faults.PASSWORD]
    hashed = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    assert pi.split(":")[1] == hashed


@pytest.mark.skipif(os.geteuid() != 0, reason="makes the mark of an overlay: root only")
def test_a_file_of_a_layer_is_hidden_and_one_of_the_node_removed(tmp_path):
    layer, upper = tmp_path / "layer", Upper(tmp_path / "upper", [tmp_path / "layer"])
    (layer / "etc").mkdir(parents=True)
    (layer / "etc/rule").write_text("below")
    assert upper.read("etc/rule") == b"below"
    upper.write("etc/own", b"1")
    for name in ("rule", "own"):
        upper.remove(f"etc/{name}")
    status = (tmp_path / "upper/etc/rule").lstat()
    assert stat.S_ISCHR(status.st_mode)
    assert status.st_rdev == 0
    assert not (tmp_path / "upper/etc/own").exists()
