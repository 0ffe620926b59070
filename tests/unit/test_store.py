"""The store lists whole releases only, and gives none whose archive was altered."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile

import pytest

from bramble.llama import store
from bramble.llama.store import StoreError


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
    with pytest.raises(StoreError, match="bramble engine prune abc` and build it again"):
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


@pytest.fixture
def packed(tmp_path, folder):
    """Packs what a node might send: the programs that it reports, and what else is said."""

    def pack(programs=None, reported=None, release="abc", extra=None, also=(), listed=()):
        programs = {"llama-server": b"program"} if programs is None else programs
        listed = dict(listed)
        sums = {
            name: hashlib.sha256(data).hexdigest() for name, data in {**programs, **listed}.items()
        }
        manifest = {
            "release": release,
            "built_at": "2026-01-01",
            "binaries": reported or sums,
            **dict(also),
        }
        (tmp_path / "sent" / "bin").mkdir(parents=True)
        (tmp_path / "sent" / "manifest.json").write_text(json.dumps(manifest))
        path = tmp_path / "arrived"
        with tarfile.open(path, "w:gz") as archive:
            archive.add(tmp_path / "sent" / "bin", "bin")
            for name, data in programs.items():
                (tmp_path / "sent" / "bin" / name).write_bytes(data)
                archive.add(tmp_path / "sent" / "bin" / name, f"bin/{name}")
            for name, data in listed.items():
                member = tarfile.TarInfo(f"bin/{name}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
            archive.add(tmp_path / "sent" / "manifest.json", "manifest.json")
            if extra:
                archive.addfile(extra)
        return path

    return pack


def test_what_a_node_packed_is_listed_like_what_was_built_here(packed):
    path = packed()
    entry = store.take(path, "abc", store.sha256(path))
    assert not path.exists()
    assert store.find("abc") == entry
    assert entry.unpacked_size == 7 + len(json.dumps(dict(entry.manifest)))


def link(name):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, "/etc"
    return member


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ({"release": "def"}, "holds another release than abc"),
        ({"reported": {"llama-server": "0" * 64}}, "bin/llama-server of release abc is not what"),
        (
            {"programs": {}, "reported": {"llama-server": "0" * 64}},
            "bin/llama-server of release abc",
        ),
        ({"extra": link("bin/x")}, "holds bin/x"),
        ({"extra": tarfile.TarInfo("../evil")}, r"holds \.\./evil"),
        ({"extra": tarfile.TarInfo("bin/../../evil")}, r"holds bin/\.\./\.\./evil"),
        ({"extra": tarfile.TarInfo("bin/llama-server")}, "holds bin/llama-server"),
        ({"extra": tarfile.TarInfo("bin/\x1b[2J")}, r"holds bin/\?\[2J"),
        ({"reported": ["llama-server"]}, "is damaged"),
    ],
)
def test_what_its_manifest_does_not_tell_of_is_not_taken(folder, packed, odd, words):
    path = packed(**odd)
    with pytest.raises(StoreError, match=words):
        store.take(path, "abc", store.sha256(path))
    assert store.entries() == ()
    assert not path.exists()


@pytest.mark.parametrize("name", ["../../evil", "../../../etc/cron.d/evil", "a/b", ".", "-rf"])
def test_a_program_that_leads_elsewhere_is_not_taken_though_its_manifest_lists_it(packed, name):
    """Other nodes would unpack it as root."""
    path = packed(listed={name: b"program"})
    with pytest.raises(StoreError, match=r"the archive of release abc holds bin/"):
        store.take(path, "abc", store.sha256(path))
    assert store.entries() == ()


def members(path, *several):
    """An archive of members that tell what sizes they like, and have no content."""
    with tarfile.open(path, "w:gz") as archive:
        for member in several:
            archive.fileobj.write(member.tobuf())
    return path


def test_an_archive_that_unpacks_to_more_than_a_release_is_not_unpacked(folder, tmp_path):
    """What is said is believed before anything is read, and reading ends at the limit."""
    huge = tarfile.TarInfo("bin/llama-server")
    huge.size = 1 << 60
    path = members(tmp_path / "told", huge)
    with pytest.raises(StoreError, match="unpacks to more than 1024 MiB"):
        store.take(path, "abc", store.sha256(path))


@pytest.mark.parametrize("manifest", ["[" * 10_000, "[]", "1", "", '{"release": "abc"}', "\xff"])
def test_a_manifest_that_is_none_is_not_taken(folder, tmp_path, manifest):
    path = tmp_path / "arrived"
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("manifest.json")
        member.size = len(manifest.encode("latin-1"))
        archive.addfile(member, io.BytesIO(manifest.encode("latin-1")))
    with pytest.raises(StoreError, match="is damaged"):
        store.take(path, "abc", store.sha256(path))
    assert store.entries() == ()


def test_what_a_manifest_says_besides_is_listed_without_harm(packed):
    """A date that is none must not end each listing of the store, nor a name move the cursor."""
    path = packed(also={"built_at": {"a": 1}, "soc": "\x1b[2J"})
    entry = store.take(path, "abc", store.sha256(path))
    assert store.entries() == (entry,)
    assert entry.manifest["soc"] == "?[2J"


def test_what_changed_on_its_way_is_not_taken(packed):
    path = packed()
    digest = store.sha256(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreError, match=f"the node packed {digest}"):
        store.take(path, "abc", digest)
    path.write_bytes(b"web page")
    with pytest.raises(StoreError, match="is damaged"):
        store.take(path, "abc", store.sha256(path))
    assert store.entries() == ()


def test_a_turn_is_one_host_s_until_its_end(folder):
    with store.turn("abc") as turn:
        assert turn.builder == ""
        turn.give_to("n1")
        with store.turn("abc") as other:
            assert other is None
        with store.turn("def") as other:
            assert other is not None
        assert store.builder("abc") == "n1"
        turn.end()
    assert store.builder("abc") == ""
    with store.turn("abc") as turn:
        assert turn.builder == ""


HOLD = """
import sys
from bramble.llama import store
with store.turn("abc") as turn:
    turn.give_to("n1")
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_killed_process_gives_its_turn_back_and_leaves_its_builder_s_name(folder):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        with store.turn("abc") as turn:
            assert turn is None
        process.kill()
    with store.turn("abc") as turn:
        assert turn.builder == "n1"


def test_a_turn_that_ended_while_another_waited_for_it_is_not_held_twice(folder, monkeypatch):
    """The file that was locked is gone: whoever comes now locks another one."""
    lock = store.fcntl.flock

    def late(file, how):
        (folder / "abc.building").unlink()
        lock(file, how)

    monkeypatch.setattr(store.fcntl, "flock", late)
    with store.turn("abc") as turn:
        assert turn is None
