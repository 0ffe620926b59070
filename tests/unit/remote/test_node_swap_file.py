"""A swap file on a node is whole or not there, and nothing that is no swap file is ever touched."""

import os
import stat
import subprocess
from types import SimpleNamespace

import pytest

from bramble.remote import drop_swap, swap_file

MIB = 1 << 20
HEAD = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
UNIT = "mnt-ssd-swapfile.swap"
real_run = subprocess.run


class Killed(BaseException):
    """What a lost power supply looks like from within: nothing gets to clean up after it."""


@pytest.fixture
def node(monkeypatch, tmp_path):
    """A node with an SSD: mkswap is real, swap and systemd are not."""
    ssd, swaps, mounts = tmp_path / "ssd", tmp_path / "swaps", tmp_path / "mountinfo"
    ssd.mkdir()
    swaps.write_text(HEAD)
    mounts.write_text(f"30 1 8:0 / {ssd} rw,noatime shared:1 - ext4 /dev/sda rw\n")
    made = SimpleNamespace(
        ssd=ssd, path=ssd / "swapfile", swaps=swaps, mounts=mounts, orders=[], failing=None
    )
    made.query = {
        "path": str(made.path),
        "unit": UNIT,
        "mount": str(ssd),
        "required": False,
        "size_bytes": 4 * MIB,
        "priority": 10,
    }

    def activate(priority):
        swaps.write_text(f"{HEAD}{made.path} file 4092 0 {priority}\n")

    def run(*argv):
        made.orders.append(" ".join(argv[:2]))
        if argv[0] == made.failing or " ".join(argv[:2]) == made.failing:
            return SimpleNamespace(returncode=1, stdout="", stderr="it would not\n")
        if argv[0] == "mkswap":
            return real_run(["mkswap", *argv[1:]], capture_output=True, text=True)
        if argv[0] == "swapoff":
            swaps.write_text(HEAD)
        if argv[:2] == ("systemctl", "restart"):
            activate(10)
        return SimpleNamespace(returncode=0, stdout="its last words", stderr="")

    made.activate = activate
    monkeypatch.setattr(swap_file, "run", run)
    monkeypatch.setattr(drop_swap, "run", run)
    monkeypatch.setattr(swap_file, "SWAPS", str(swaps))
    monkeypatch.setattr(drop_swap, "SWAPS", str(swaps))
    monkeypatch.setattr(swap_file, "MOUNTS", str(mounts))
    monkeypatch.setattr(swap_file.os.path, "ismount", lambda path: path == str(ssd))
    return made


def mkswap(path, page_size=None, size=4 * MIB):
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
    path.chmod(0o600)
    pages = [] if page_size is None else ["-p", str(page_size)]
    real_run(["mkswap", *pages, str(path)], check=True, capture_output=True)


def leftovers(node):
    return sorted(path.name for path in node.ssd.iterdir() if path.name != "swapfile")


def test_a_file_is_made_whole_private_and_for_this_page_size(node):
    assert swap_file.main(node.query) == 0
    seen = node.path.stat()
    assert (seen.st_size, stat.S_IMODE(seen.st_mode)) == (4 * MIB, 0o600)
    assert seen.st_blocks * 512 >= seen.st_size
    assert swap_file.signed_for(str(node.path)) == os.sysconf("SC_PAGE_SIZE")
    assert swap_file.priority_of(str(node.path)) == 10
    assert leftovers(node) == []


def test_a_file_that_is_as_wanted_stays(node):
    assert swap_file.main(node.query) == 0
    inode = node.path.stat().st_ino
    node.orders.clear()
    assert swap_file.main(node.query) == 0
    assert node.path.stat().st_ino == inode
    assert "mkswap" not in " ".join(node.orders)
    assert "systemctl restart" not in node.orders


@pytest.mark.parametrize("page_size", [16384, 65536])
def test_a_file_of_another_kernels_page_size_is_made_anew(node, page_size):
    mkswap(node.path, page_size)
    assert swap_file.main(node.query) == 0
    assert swap_file.signed_for(str(node.path)) == os.sysconf("SC_PAGE_SIZE")


def test_a_file_of_another_size_is_taken_out_of_use_and_made_anew(node):
    mkswap(node.path, size=2 * MIB)
    node.activate(-2)
    assert swap_file.main(node.query) == 0
    assert node.path.stat().st_size == 4 * MIB
    assert node.orders.index("swapoff " + str(node.path)) < node.orders.index(
        f"mkswap {node.ssd}/.swapfile.bramble"
    )


def test_a_file_with_holes_is_made_anew(node):
    mkswap(node.path)
    content = node.path.read_bytes()[: 64 * 1024]
    with node.path.open("wb") as file:
        file.write(content)
        file.truncate(4 * MIB)
    assert swap_file.main(node.query) == 0
    assert node.path.stat().st_blocks * 512 >= 4 * MIB


@pytest.mark.parametrize("content", [b"", b"a person's data\n", b"\0" * 8192])
def test_what_is_no_swap_file_is_refused_and_never_overwritten(node, content, capsys):
    node.path.write_bytes(content)
    assert swap_file.main(node.query) == 1
    assert "is no swap file, so it was left alone" in capsys.readouterr().err
    assert node.path.read_bytes() == content


def test_a_link_is_refused_though_it_points_to_a_swap_file(node, tmp_path, capsys):
    mkswap(tmp_path / "other")
    node.path.symlink_to(tmp_path / "other")
    assert swap_file.main(node.query) == 1
    assert "left alone" in capsys.readouterr().err
    assert node.path.is_symlink()


def test_a_size_that_does_not_fit_is_refused_before_anything_is_removed(node, capsys):
    mkswap(node.path)
    inode = node.path.stat().st_ino
    status = os.statvfs(node.ssd)
    size = status.f_bavail * status.f_frsize
    assert swap_file.main(node.query | {"size_bytes": size}) == 1
    said = capsys.readouterr().err
    assert "MiB free" in said
    assert "lower memory.swap_file.size_mib" in said
    assert node.path.stat().st_ino == inode


@pytest.mark.parametrize("kind", ["exfat", "fuseblk", "btrfs", "overlay"])
def test_a_file_system_that_cannot_hold_swap_is_refused(node, kind, capsys):
    node.mounts.write_text(node.mounts.read_text().replace("ext4", kind))
    assert swap_file.main(node.query) == 1
    assert f"file system is {kind}" in capsys.readouterr().err
    assert not node.path.exists()


def test_a_path_beside_the_ssd_is_refused_with_where_it_could_be(node, capsys):
    assert swap_file.main(node.query | {"path": "/srv/swapfile"}) == 1
    assert f"Set it to {node.ssd}/swapfile" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("required", "code", "mount", "said"),
    [
        (False, 0, "/mnt/gone", "nothing is mounted at /mnt/gone"),
        (True, 1, "/mnt/gone", "nothing is mounted at /mnt/gone"),
        (True, 1, None, "storage.ssd.device is off"),
    ],
)
def test_an_ssd_that_vanished_since_the_look_is_told(node, required, code, mount, said, capsys):
    assert swap_file.main(node.query | {"mount": mount, "required": required}) == code
    assert said in capsys.readouterr().err
    assert not node.path.exists()


@pytest.mark.parametrize("moment", ["posix_fallocate", "fsync", "rename"])
def test_a_file_that_was_cut_short_never_counts_as_made(node, monkeypatch, moment):
    def killed(*args):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(swap_file.os, moment, killed)
        with pytest.raises(Killed):
            swap_file.main(node.query)
    assert not node.path.exists()
    assert leftovers(node) == [".swapfile.bramble"]
    assert swap_file.main(node.query) == 0
    assert leftovers(node) == []


@pytest.mark.parametrize(
    ("failing", "said"),
    [
        ("mkswap", "mkswap: it would not"),
        ("systemctl enable", f"systemctl enable {UNIT}: it would not"),
        ("systemctl restart", "did not start: it would not\nits last words"),
    ],
)
def test_what_fails_is_said_in_its_own_words(node, failing, said, capsys):
    node.failing = failing
    assert swap_file.main(node.query) == 1
    assert said in capsys.readouterr().err
    assert leftovers(node) == []


def test_swap_that_memory_cannot_take_stays_in_use(node, capsys):
    mkswap(node.path, size=2 * MIB)
    node.activate(-2)
    node.failing = "swapoff"
    assert swap_file.main(node.query) == 1
    assert "stays in use: it would not" in capsys.readouterr().err
    assert node.path.stat().st_size == 2 * MIB


# Taking swap out of use


def drop(node, **changes):
    query = {"units": [UNIT], "files": [str(node.path)], "notes": []} | changes
    return drop_swap.main(query)


def test_units_are_stopped_files_removed_and_units_disabled_last(node):
    mkswap(node.path)
    assert drop(node) == 0
    assert not node.path.exists()
    assert node.orders == ["systemctl stop", "systemctl disable"]


def test_a_file_that_is_still_in_use_is_taken_out_of_it(node):
    mkswap(node.path)
    node.activate(-2)
    assert drop(node, units=[]) == 0
    assert node.orders == [f"swapoff {node.path}"]
    assert not node.path.exists()


def test_a_file_that_stays_in_use_stays(node, capsys):
    mkswap(node.path)
    node.activate(-2)
    node.failing = "swapoff"
    assert drop(node) == 1
    assert "stays in use" in capsys.readouterr().err
    assert node.path.exists()
    assert "systemctl disable" not in node.orders


def test_what_is_no_swap_file_is_never_removed(node, capsys):
    node.path.write_text("a person's data\n")
    assert drop(node) == 0
    assert "is no swap file and was left alone" in capsys.readouterr().out
    assert node.path.read_text() == "a person's data\n"


def test_a_link_is_never_followed(node, tmp_path):
    mkswap(tmp_path / "other")
    node.path.symlink_to(tmp_path / "other")
    assert drop(node) == 0
    assert node.path.is_symlink()
    assert (tmp_path / "other").exists()


def test_word_of_it_is_left_before_anything_is_stopped(node, tmp_path):
    note = tmp_path / "notes" / "dphys-swapfile.service"
    node.failing = "systemctl stop"
    assert drop(node, notes=[str(note)]) == 1
    assert "role memory" in note.read_text()


def test_a_file_that_is_gone_is_fine(node):
    assert drop(node) == 0
