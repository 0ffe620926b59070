"""The store lists whole releases only, and gives none whose archive was altered."""

import json
import os
import tarfile

import pytest

from bramble import store
from bramble.store import StoreError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty store."""
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "store"))
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


@pytest.fixture
def built(tmp_path, folder):
    """Packs a release of one program into the store."""

    def add(release: str, text: str = "program", built_at: str = "2026-01-01"):
        unpacked = tmp_path / "unpacked" / release
        (unpacked / "bin").mkdir(parents=True, exist_ok=True)
        (unpacked / "bin" / "llama-server").write_text(text)
        (unpacked / "manifest.json").write_text(
            json.dumps({"release": release, "built_at": built_at})
        )
        return store.add(unpacked)

    return add


def test_an_archive_is_named_by_its_content_and_found_by_its_release(folder, built):
    entry = built("abc")
    assert sorted(os.listdir(folder)) == sorted([f"{entry.sha256}.tar.gz", "abc.json"])
    assert store.sha256(entry.path) == entry.sha256
    assert store.find("abc") == entry
    assert store.find("def") is None
    with tarfile.open(entry.path) as archive:
        assert archive.getnames() == ["bin", "bin/llama-server", "manifest.json"]
        assert {(m.uid, m.gid) for m in archive.getmembers()} == {(0, 0)}
    assert entry.unpacked_size == sum(
        len(text) for text in ("program", json.dumps(dict(entry.manifest)))
    )


def test_releases_are_listed_with_the_newest_last(built):
    built("b", built_at="2026-02-01")
    built("a", built_at="2026-03-01")
    built("c", built_at="2026-01-01")
    assert [entry.release for entry in store.entries()] == ["c", "b", "a"]


@pytest.mark.parametrize("damage", ["altered", "gone"])
def test_an_archive_that_was_altered_or_is_gone_is_refused(built, damage):
    entry = built("abc")
    if damage == "altered":
        entry.path.write_bytes(entry.path.read_bytes()[:-1] + b"x")
    else:
        entry.path.unlink()
    with pytest.raises(StoreError, match="bramble engine prune abc` and build it anew"):
        store.find("abc")


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"release": "abc"}'])
def test_a_listing_that_is_damaged_is_named(folder, text):
    (folder / "abc.json").write_text(text)
    with pytest.raises(StoreError, match=r"abc\.json is damaged"):
        store.entries()


def test_what_a_killed_build_left_behind_is_not_listed(folder, built):
    (folder / "abc.archive.new").write_text("half")
    (folder / "abc.new").write_text("{")
    assert store.entries() == ()
    assert store.find("abc") is None
    assert built("abc").release == "abc"


def test_a_removed_release_is_gone_with_its_archive(folder, built):
    built("abc")
    kept = built("def", "another")
    store.remove("abc")
    assert [entry.release for entry in store.entries()] == ["def"]
    assert sorted(os.listdir(folder)) == sorted([kept.path.name, "def.json"])


def test_a_release_whose_archive_is_gone_can_be_removed(folder, built):
    built("abc").path.unlink()
    store.remove("abc")
    assert os.listdir(folder) == []
