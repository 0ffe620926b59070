"""Mounting the SSD: what must not be mounted over or unmounted is refused, what is stale is replaced.

The commands and the kernel's table are played; the real ones run in tests/nodes.
"""

import os

import pytest

from bramble.remote import mount_disk, mount_place

UUID = "234d637c-e123-51a9-b9dd-9b9192c1025a"
ROOT = "26 1 254:2 / / rw,noatime shared:1 - ext4 /dev/vda2 rw\n"


class Node:
    """A node with one disk, of which the commands change the kernel's table."""

    def __init__(self, folder):
        self.folder, self.device = folder, "/dev/null"
        status = os.stat(self.device).st_rdev
        self.number = f"{os.major(status)}:{os.minor(status)}"
        self.table, self.ran, self.options, self.busy = [], [], "rw,noatime", False

    def line(self, number, source, options="rw,noatime"):
        escaped = str(self.folder).replace(" ", "\\040")
        return f"291 26 {number} / {escaped} {options} shared:156 - ext4 {source} rw\n"

    def run(self, *argv):
        self.ran.append(" ".join(argv))
        if argv[:3] == ("mount", "-o", argv[2] if len(argv) > 2 else ""):
            self.table[-1] = self.line(self.number, self.device, "rw,noatime")
        elif argv[0] == "mount":
            self.table.append(self.line(self.number, self.device, self.options))
        elif argv[0] == "umount":
            if self.busy:
                raise mount_place.Refused("umount: target is busy.")
            self.table.pop()
        return ""


@pytest.fixture
def node(tmp_path, monkeypatch):
    node = Node(tmp_path / "my ssd")
    monkeypatch.setattr(mount_disk, "run", node.run)
    monkeypatch.setattr(mount_place, "device_of", lambda uuid: node.device)
    mountinfo = tmp_path / "mountinfo"

    monkeypatch.setattr(mount_place, "devices_of", lambda uuid: [node.device])

    def read(path, **options):
        assert path == "/proc/self/mountinfo"
        mountinfo.write_text(ROOT + "".join(node.table))
        return mountinfo.open(**options)

    monkeypatch.setattr(mount_place, "open", read, raising=False)
    return node


def query(node, mounted=True):
    return {
        "mounted": mounted,
        "folder": str(node.folder),
        "uuid": UUID,
        "options": ["noatime"],
        "note": f"{node.folder}.note",
    }


def test_a_disk_is_mounted_as_fstab_says(node):
    assert mount_disk.main(query(node)) == 0
    assert node.ran == ["systemctl daemon-reload", f"mount {node.folder}"]


def test_what_is_mounted_is_whole_so_the_note_of_its_formatting_goes(node, tmp_path):
    note = tmp_path / "my ssd.note"
    note.write_text("x")
    assert mount_disk.main(query(node)) == 0
    assert not note.exists()


def test_a_disk_that_is_mounted_is_left_so(node):
    node.table.append(node.line(node.number, node.device))
    assert mount_disk.main(query(node)) == 0
    assert node.ran == ["systemctl daemon-reload"]


def test_a_mount_that_lacks_an_option_gets_it_without_being_unmounted(node):
    node.table.append(node.line(node.number, node.device, "rw,relatime"))
    assert mount_disk.main(query(node)) == 0
    assert node.ran[1:] == [f"mount -o remount,noatime {node.folder}"]


def test_what_is_left_of_a_disk_that_is_gone_is_replaced(node):
    node.table.append(node.line("999:16", "/dev/no-such-disk"))
    assert mount_disk.main(query(node)) == 0
    assert node.ran[1:] == [f"umount --lazy {node.folder}", f"mount {node.folder}"]


def test_another_disks_mount_is_left_alone(node, capfd):
    zero = os.stat("/dev/zero").st_rdev
    node.table.append(node.line(f"{os.major(zero)}:{os.minor(zero)}", "/dev/zero"))
    assert mount_disk.main(query(node)) == 1
    assert node.ran == ["systemctl daemon-reload"]
    assert (
        f"/dev/zero (ext4) is mounted at {node.folder}, and not /dev/null" in capfd.readouterr().err
    )


def test_a_folder_with_files_is_not_mounted_over(node, capfd):
    node.folder.mkdir()
    (node.folder / "model.gguf").write_text("x")
    assert mount_disk.main(query(node)) == 1
    assert node.ran == ["systemctl daemon-reload"]
    assert "holds model.gguf on the boot disk" in capfd.readouterr().err


def test_a_mount_that_does_not_show_in_the_kernels_table_is_no_success(node, monkeypatch, capfd):
    monkeypatch.setattr(mount_disk, "run", lambda *argv: "")
    assert mount_disk.main(query(node)) == 1
    assert "and is not there" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("found", "said"),
    [("", "no disk has the UUID"), ("/dev/sda\n/dev/sdb\n", "/dev/sda and /dev/sdb both have")],
)
def test_a_disk_is_mounted_only_where_there_is_exactly_one(found, said, monkeypatch):
    class Done:
        stdout = found

    monkeypatch.setattr(mount_place.subprocess, "run", lambda *argv, **options: Done)
    with pytest.raises(mount_place.Refused, match=said):
        mount_place.device_of(UUID)


def test_it_is_unmounted_and_an_empty_folder_removed(node):
    node.folder.mkdir()
    node.table.append(node.line(node.number, node.device))
    assert mount_disk.main(query(node, mounted=False)) == 0
    assert node.table == []
    assert not node.folder.exists()


def test_a_folder_with_files_outlives_the_mount(node):
    node.folder.mkdir()
    (node.folder / "model.gguf").write_text("x")
    assert mount_disk.main(query(node, mounted=False)) == 0
    assert (node.folder / "model.gguf").exists()


def test_what_is_in_use_stays_mounted_and_the_reason_is_told(node, capfd):
    node.busy = True
    node.table.append(node.line(node.number, node.device))
    assert mount_disk.main(query(node, mounted=False)) == 1
    assert len(node.table) == 1
    assert "target is busy" in capfd.readouterr().err
