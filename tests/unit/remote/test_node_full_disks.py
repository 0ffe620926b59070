"""What writes much keeps a disk's reserve free, and leaves nothing on one that it could not fill up."""

import hashlib
import json
import os
import shutil
import threading

import pytest
from scripted_server import Whole, serving
from small_disks import mounted

from bramble.llama import store
from bramble.remote import (
    build_engine,
    build_source,
    build_tools,
    download,
    fetch_model,
    pack_release,
)

pytestmark = [
    pytest.mark.fault("F13"),
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts file systems: root only"),
]
MIB = 1024 * 1024
CONTENT = b"GGUF" + bytes(60 * MIB)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(params=["tmpfs", "ext4"])
def disk(request, tmp_path):
    with mounted(request.param, tmp_path / "disk", 380) as folder:
        yield folder


def query(disk, url, size=None, upload=None):
    return {
        "path": str(disk / "models" / "toy.gguf"),
        "sha256": SHA256,
        "size_bytes": size,
        "sources": [{"url": url, "name": "the server", "direct": True}] if url else [],
        "upload": upload,
    }


def free_mib(disk):
    return shutil.disk_usage(disk).free >> 20


def files(disk):
    return [path.name for path in (disk / "models").iterdir()]


def lowest(disk, monkeypatch):
    """The least that was free at any look at the disk while a file came, in a list."""
    found, real = [free_mib(disk)], shutil.disk_usage

    def seen(folder):
        usage = real(folder)
        found[0] = min(found[0], usage.free >> 20)
        return usage

    monkeypatch.setattr(download.shutil, "disk_usage", seen)
    return found


def test_a_model_that_tells_no_length_and_never_ends_leaves_the_disk_as_it_was(
    disk, monkeypatch, capsys
):
    before, least = free_mib(disk), lowest(disk, monkeypatch)
    with serving(CONTENT) as server:
        server.script = [Whole(no_length=True, endless=True)] * 3
        assert fetch_model.main(query(disk, server.url)) == 1
        assert len(server.ranges) == 1
    said = capsys.readouterr().out
    assert files(disk) == []
    assert free_mib(disk) >= before - 1
    assert least[0] >= download.RESERVE_BYTES >> 20
    assert f"of which {download.RESERVE_BYTES >> 20} are to stay so" in said
    assert "its source does not say how many it has" in said
    assert "What had come of it was removed" in said


def test_what_another_writes_meanwhile_ends_a_model_that_would_have_had_room(
    disk, monkeypatch, capsys
):
    """The room was there when it began, and somebody else takes it while the file comes."""
    taken = threading.Event()
    real = download.Transfer.copy

    def copy(self, answer, file, done, head, total):
        with (disk / "others").open("wb") as others:
            others.write(bytes(free_mib(disk) - 230 << 20))
            os.fsync(others.fileno())
        taken.set()
        return real(self, answer, file, done, head, total)

    monkeypatch.setattr(download.Transfer, "copy", copy)
    with serving(CONTENT) as server:
        assert fetch_model.main(query(disk, server.url, len(CONTENT))) == 1
    assert taken.is_set()
    assert files(disk) == []
    assert "What had come of it was removed" in capsys.readouterr().out


def test_a_disk_that_is_full_all_at_once_keeps_no_part(disk, monkeypatch, capsys):
    """Where nobody asks how much is free, the disk itself says it."""
    monkeypatch.setattr(download, "RESERVE_BYTES", -(10**12))
    with serving(CONTENT) as server:
        server.script = [Whole(no_length=True, endless=True)] * 3
        assert fetch_model.main(query(disk, server.url)) == 1
        assert len(server.ranges) == 1
    assert files(disk) == []
    assert "No space left on device" in capsys.readouterr().out


def test_an_upload_without_room_is_told_and_removed(disk, tmp_path, capsys):
    upload = tmp_path / "upload"
    upload.write_bytes(CONTENT)
    (disk / "others").write_bytes(bytes((free_mib(disk) - 280) << 20))
    assert fetch_model.main(query(disk, None, upload=str(upload))) == 1
    assert files(disk) == []
    assert not upload.exists()
    assert "MiB free and the model needs 60 more" in capsys.readouterr().out


@pytest.fixture
def release(disk):
    """A release with programs that no packing makes smaller."""
    folder = disk / "releases" / "abc"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "llama-server").write_bytes(os.urandom(40 * MIB))
    manifest = {"release": "abc", "binaries": {"llama-server": ""}, "built_at": ""}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_a_release_is_not_packed_where_its_archive_has_no_room(disk, release, capsys):
    (disk / "others").write_bytes(bytes((free_mib(disk) - 150) << 20))
    assert pack_release.main({"release": str(release)}) == 1
    assert "MiB free and the archive may need 40, with 128 kept" in capsys.readouterr().err
    assert [path.name for path in release.parent.iterdir()] == ["abc"]


def test_what_is_packed_of_a_release_goes_where_the_disk_fills_up(
    disk, release, monkeypatch, capsys
):
    (disk / "others").write_bytes(bytes((free_mib(disk) - 20) << 20))
    monkeypatch.setattr(pack_release, "RESERVE_BYTES", -(10**12))
    assert pack_release.main({"release": str(release)}) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert [path.name for path in release.parent.iterdir()] == ["abc"]


def test_the_store_of_this_computer_keeps_no_half_of_an_archive(disk, release, monkeypatch):
    monkeypatch.setenv(store.VARIABLE, str(disk / "store"))
    (disk / "store").mkdir()
    (disk / "others").write_bytes(bytes((free_mib(disk) - 20) << 20))
    with pytest.raises(OSError, match="No space left"):
        store.add(release)
    assert list((disk / "store").iterdir()) == []


def test_a_build_that_fills_the_disk_is_thrown_away_and_one_that_does_not_is_kept(
    disk, monkeypatch, capsys
):
    """A real compiler's real objects are of no matter here: something writes until it cannot."""
    work, rest = disk / "work", free_mib(disk)
    query = {
        "work": str(work),
        "ccache": str(disk / "ccache"),
        "release": str(disk / "releases" / "abc"),
        "source": {},
        "options": {},
        "targets": [],
        "jobs": 1,
    }
    monkeypatch.setattr(build_engine, "NEEDED_BYTES", 0)
    monkeypatch.setattr(build_source, "get_source", lambda *_: None)
    monkeypatch.setattr(build_engine, "configure", lambda *_: None)

    def compile_targets(build, targets, jobs, by):
        (work / "src.new").mkdir()
        build_tools.call("sh", "-c", f"head -c {size}M /dev/zero >{build}/object.o")

    monkeypatch.setattr(build_engine, "compile_targets", compile_targets)
    size = 10
    assert build_engine.main(query) == 1
    assert (work / "build" / "object.o").exists()
    assert not (work / "src.new").exists()
    assert "is removed" not in capsys.readouterr().out
    size = 1000
    assert build_engine.main(query) == 1
    said = capsys.readouterr().out
    assert "MiB left, and 256 are to stay free; what was built is removed" in said
    assert sorted(path.name for path in work.iterdir()) == ["boot", "lock"]
    assert free_mib(disk) >= rest - 2
