"""A built release is packed whole and alone, for the store of the computer that asked."""

import hashlib
import json
import os
import tarfile
from pathlib import Path

import pytest

from bramble.llama import store
from bramble.remote import pack_release


@pytest.fixture
def release(tmp_path):
    """A release as a build leaves it, with a file that is none of its own."""
    folder = tmp_path / "releases" / "abc"
    (folder / "bin").mkdir(parents=True)
    program = folder / "bin" / "llama-server"
    program.write_bytes(b"program")
    program.chmod(0o755)
    (folder / "bin" / "notes").write_text("not ours")
    sums = {"llama-server": hashlib.sha256(b"program").hexdigest()}
    manifest = {"release": "abc", "binaries": sums, "built_at": "2026-01-01"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def packed(release, capsys):
    """Where the program put the archive, and its sha256."""
    assert pack_release.main({"release": str(release)}) == 0
    answer = json.loads(capsys.readouterr().out)
    return Path(answer["path"]), answer["sha256"]


def test_the_store_takes_what_was_packed(release, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "store"))
    (tmp_path / "store").mkdir()
    path, digest = packed(release, capsys)
    with tarfile.open(path) as archive:
        assert archive.getnames() == ["bin", "bin/llama-server", "manifest.json"]
        assert {(m.uid, m.uname) for m in archive.getmembers()} == {(0, "root")}
    assert path.stat().st_mode & 0o777 == 0o644
    assert store.take(path, "abc", digest) == store.find("abc")
    assert not path.exists()


def test_an_archive_that_a_killed_run_left_is_replaced(release, capsys):
    left = release.with_name(".abc.packed")
    left.symlink_to("/etc/passwd")
    path, _ = packed(release, capsys)
    assert path == left
    assert not path.is_symlink()


@pytest.mark.parametrize("damage", ["manifest.json", "bin/llama-server"])
def test_a_release_that_is_not_whole_is_refused(release, capsys, damage):
    os.unlink(release / damage)
    assert pack_release.main({"release": str(release)}) == 1
    assert "release abc cannot be packed" in capsys.readouterr().err
