"""Formatting a disk: what is proven blank, what was named for it, what was cut off, and no other.

A sparse file plays the disk, with the real mkfs.ext4, wipefs, blkid and dumpe2fs.
"""

import subprocess
import uuid
from pathlib import Path

import pytest

from bramble.remote import format_disk

NAME, OTHER = "usb-Toy-0:0", "usb-Other-0:0"
UUID = str(uuid.uuid4())  # as no other disk of this computer has it
SIZE = 64 << 20


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """A blank disk; finding it by its name, and its partitions, need a kernel."""
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(SIZE)
    monkeypatch.setattr(format_disk, "device_of", lambda name, size: str(path))
    monkeypatch.setattr(format_disk, "partitions", lambda device: [])
    monkeypatch.setattr(format_disk, "BY_ID", str(tmp_path / "by-id"))
    (tmp_path / "by-id").mkdir()
    (tmp_path / "by-id" / NAME).symlink_to(path)
    (tmp_path / "by-id" / OTHER).symlink_to(tmp_path / "other")
    monkeypatch.setattr(format_disk.mount_place, "number_of", lambda device: "7:0")
    return path


@pytest.fixture
def query(tmp_path):
    return {
        "name": NAME,
        "size_bytes": SIZE,
        "uuid": UUID,
        "label": "bramble-ssd",
        "staged": "bramble-new",
        "erase": None,
        "folder": str(tmp_path / "ssd"),
        "note": str(tmp_path / "notes" / f"formatting-{NAME}"),
    }


def blkid(disk):
    """What blkid says of the disk, by itself."""
    argv = ["/usr/sbin/blkid", "-p", "-o", "export", str(disk)]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in said.splitlines())


def mkfs(disk, *options):
    subprocess.run(["/usr/sbin/mkfs.ext4", "-q", "-F", *options, str(disk)], check=True)


def test_a_blank_disk_gets_one_file_system_of_the_planned_uuid_and_label(disk, query, tmp_path):
    assert format_disk.main(query) == 0
    found = blkid(disk)
    assert (found["TYPE"], found["UUID"], found["LABEL"]) == ("ext4", UUID, "bramble-ssd")
    assert list((tmp_path / "notes").iterdir()) == []


# Each as a tool of its own leaves it at the disk's beginning or end (util-linux, libblkid/src).
SIGNATURES = {
    "exfat": (3, b"EXFAT   "),
    "LVM2_member": (512, b"LABELONE" + bytes(16) + b"LVM2 001"),
    "linux_raid_member": (SIZE - 65536, bytes.fromhex("fc4e2ba9")),
    "dos": (510, b"\x55\xaa"),
    "crypto_LUKS": (0, b"LUKS\xba\xbe\x00\x01"),
    "swap": (4086, b"SWAPSPACE2"),
    "bcache": (4120, bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81")),
    "btrfs": (65600, b"_BHRfS_M"),
    "a ZFS label that no tool knows": (132096, bytes.fromhex("0cb1ba00")),
}


@pytest.mark.parametrize("kind", SIGNATURES)
def test_a_disk_with_any_signature_is_left_alone(kind, disk, query, capfd):
    place, magic = SIGNATURES[kind]
    with disk.open("r+b") as file:
        file.seek(place)
        file.write(magic)
    before = disk.read_bytes()
    assert format_disk.main(query) == 1
    assert disk.read_bytes() == before
    assert f"storage.ssd.erase to {NAME}" in capfd.readouterr().err


def test_a_disk_with_a_file_system_is_left_alone_and_its_kind_is_told(disk, query, capfd):
    mkfs(disk, "-L", "photos")
    before = disk.read_bytes()
    assert format_disk.main(query) == 1
    assert disk.read_bytes() == before
    assert f"{NAME} is not blank: ext4 at 0x438 of {disk}" in capfd.readouterr().err


@pytest.mark.parametrize("place", [0, 1 << 20, SIZE // 2, SIZE - 1])
def test_a_disk_without_signature_but_with_a_byte_of_data_is_left_alone(place, disk, query, capfd):
    with disk.open("r+b") as file:
        file.seek(place)
        file.write(b"x")
    assert format_disk.main(query) == 1
    assert "no signature but data at byte" in capfd.readouterr().err


def test_a_disk_that_was_named_for_it_is_erased(disk, query):
    mkfs(disk, "-L", "photos")
    assert format_disk.main(query | {"erase": NAME}) == 0
    assert blkid(disk)["LABEL"] == "bramble-ssd"


@pytest.mark.parametrize("erase", [OTHER, "usb-Gone-0:0"])
def test_a_name_that_stands_for_another_disk_allows_nothing(erase, disk, query, capfd):
    mkfs(disk)
    before = disk.read_bytes()
    assert format_disk.main(query | {"erase": erase}) == 1
    assert "is not blank" in capfd.readouterr().err
    assert disk.read_bytes() == before


@pytest.mark.parametrize("erase", [None, NAME])
def test_a_disk_that_is_ours_is_never_formatted_again(erase, disk, query):
    assert format_disk.main(query) == 0
    before = disk.read_bytes()
    assert format_disk.main(query | {"erase": erase}) == 0
    assert disk.read_bytes() == before


class PowerCut(BaseException):
    """The program ends at once, and nothing after it is done."""


COMMANDS = ("wipefs -a", "mkfs.ext4", "e2label", "blkid")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_power_cut_at_any_command_is_made_good_by_the_next_run(
    command, when, disk, query, monkeypatch
):
    real = format_disk.run

    def cut(*argv):
        if " ".join(argv).startswith(command):
            if when == "after":
                real(*argv)
            raise PowerCut
        return real(*argv)

    monkeypatch.setattr(format_disk, "run", cut)
    if command == "blkid":
        # The last look, once all is written.
        monkeypatch.setattr(format_disk, "run", real)
        monkeypatch.setattr(format_disk.os, "unlink", lambda path: (_ for _ in ()).throw(PowerCut))
    with pytest.raises(PowerCut):
        format_disk.main(query)
    monkeypatch.undo()
    monkeypatch.setattr(format_disk, "device_of", lambda name, size: str(disk))
    monkeypatch.setattr(format_disk, "partitions", lambda device: [])
    monkeypatch.setattr(format_disk, "BY_ID", str(disk.parent / "by-id"))
    assert format_disk.main(query) == 0
    assert blkid(disk)["LABEL"] == "bramble-ssd"


def leave(note, text):
    Path(note).parent.mkdir(exist_ok=True)
    Path(note).write_text(text)


def test_an_mkfs_that_was_cut_off_before_any_signature_is_done_again(disk, query):
    leave(query["note"], format_disk.written(query))
    with disk.open("r+b") as file:
        file.seek(SIZE // 2)
        file.write(b"inode tables")
    assert format_disk.main(query) == 0


def test_a_note_of_another_disk_permits_nothing(disk, query):
    other = query | {"size_bytes": SIZE * 2}
    leave(query["note"], format_disk.written(other))
    with disk.open("r+b") as file:
        file.write(b"x")
    assert format_disk.main(query) == 1


def test_a_note_permits_nothing_once_the_disk_has_a_signature(disk, query):
    leave(query["note"], format_disk.written(query))
    mkfs(disk, "-L", "photos")
    assert format_disk.main(query) == 1
    assert blkid(disk)["LABEL"] == "photos"


def test_a_file_system_with_our_first_label_that_was_mounted_is_left_alone(disk, query):
    mkfs(disk, "-L", "bramble-new")
    subprocess.run(["/usr/sbin/tune2fs", "-C", "1", str(disk)], check=True, capture_output=True)
    assert format_disk.main(query) == 1


def test_a_disk_that_vanished_is_told(query, capfd):
    assert format_disk.main(query) == 1
    assert f"{NAME} is gone" in capfd.readouterr().err


def test_what_is_no_block_device_is_refused(query, monkeypatch, capfd):
    monkeypatch.setattr(format_disk.os.path, "exists", lambda path: True)
    monkeypatch.setattr(format_disk.os.path, "realpath", lambda path: "/dev/null")
    assert format_disk.main(query) == 1
    assert "no block device" in capfd.readouterr().err
