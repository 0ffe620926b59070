"""A release that was built elsewhere is installed whole and verified, or not at all."""

import hashlib
import json
import os
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from scripted_server import Page, Status, Whole, serving

from bramble.llama import store
from bramble.remote import install_release, owned

PROGRAM = b"#!/bin/sh\necho a program\n"


def pack(folder: Path, release: str, sums: dict[str, str]) -> None:
    """An unpacked release with one program."""
    (folder / "bin").mkdir(parents=True)
    program = folder / "bin" / "llama-server"
    program.write_bytes(PROGRAM)
    program.chmod(0o755)
    manifest = {"release": release, "binaries": sums, "built_at": "2026-01-01T00:00:00+00:00"}
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture
def sent(tmp_path, monkeypatch):
    """A stored release as it was sent, as the query names it."""
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "store"))
    (tmp_path / "store").mkdir()
    pack(tmp_path / "built", "abc", {"llama-server": hashlib.sha256(PROGRAM).hexdigest()})
    entry = store.add(tmp_path / "built")
    upload = tmp_path / "upload"
    upload.write_bytes(entry.path.read_bytes())
    (tmp_path / "home").mkdir()
    return {
        "home": str(tmp_path / "home"),
        "release": str(tmp_path / "home" / "releases" / "abc"),
        "sources": [],
        "upload": str(upload),
        "sha256": entry.sha256,
        "archive_size": entry.size,
        "size": entry.unpacked_size,
    }


def pulling(query, *servers):
    """The query of a node that is to pull from these servers in turn, and is sent nothing."""
    sources = [{"url": server.url, "direct": True} for server in servers]
    return query | {"sources": sources, "upload": None}


def reported(capsys):
    """What the program answered."""
    return json.loads(capsys.readouterr().out)


def left(query) -> list[str]:
    """What stands among the releases."""
    folder = Path(query["release"]).parent
    return sorted(os.listdir(folder)) if folder.exists() else []


def test_a_release_is_installed_and_what_was_sent_is_gone(sent):
    assert install_release.main(sent) == 0
    release = Path(sent["release"])
    assert (release / "bin" / "llama-server").read_bytes() == PROGRAM
    assert os.access(release / "bin" / "llama-server", os.X_OK)
    assert json.loads((release / "manifest.json").read_text())["release"] == "abc"
    assert sorted(os.listdir(release)) == ["bin", "manifest.json"]
    assert left(sent) == ["abc"]
    assert not os.path.exists(sent["upload"])


@pytest.mark.fault("F7")
@pytest.mark.parametrize("damage", ["truncated", "altered", "empty"])
def test_an_archive_that_is_not_the_stored_one_is_refused(sent, capsys, damage):
    data = Path(sent["upload"]).read_bytes()
    spoiled = {
        "truncated": data[:-20],
        "altered": data[:50] + bytes([data[50] ^ 1]) + data[51:],
        "empty": b"",
    }
    Path(sent["upload"]).write_bytes(spoiled[damage])
    assert install_release.main(sent) == 1
    assert "and the store says" in capsys.readouterr().err
    assert left(sent) == []
    assert not os.path.exists(sent["upload"])


def test_an_archive_of_another_release_is_refused(sent, capsys):
    query = sent | {"release": str(Path(sent["release"]).with_name("def"))}
    assert install_release.main(query) == 1
    assert "release def was not installed: the archive holds release abc" in capsys.readouterr().err
    assert left(sent) == []


def test_a_program_that_the_manifest_does_not_tell_of_is_refused(sent, tmp_path, capsys):
    pack(tmp_path / "wrong", "abc", {"llama-server": "0" * 64})
    entry = store.add(tmp_path / "wrong")
    Path(sent["upload"]).write_bytes(entry.path.read_bytes())
    assert install_release.main(sent | {"sha256": entry.sha256}) == 1
    assert "llama-server is not the program that the manifest lists" in capsys.readouterr().err
    assert left(sent) == []


def test_what_is_no_archive_is_refused(sent, capsys):
    Path(sent["upload"]).write_bytes(b"web page")
    found = hashlib.sha256(b"web page").hexdigest()
    assert install_release.main(sent | {"sha256": found}) == 1
    assert "it could not be unpacked" in capsys.readouterr().err
    assert left(sent) == []


def test_an_archive_without_a_manifest_is_refused(sent, tmp_path, capsys):
    (tmp_path / "other").write_text("x")
    with tarfile.open(sent["upload"], "w:gz") as archive:
        archive.add(tmp_path / "other", "other")
    found = hashlib.sha256(Path(sent["upload"]).read_bytes()).hexdigest()
    assert install_release.main(sent | {"sha256": found}) == 1
    assert "manifest.json" in capsys.readouterr().err
    assert left(sent) == []


def test_what_is_pulled_is_installed_like_what_is_sent(sent, capsys):
    with serving(Path(sent["upload"]).read_bytes()) as server:
        assert install_release.main(pulling(sent, server)) == 0
    answer = reported(capsys)
    assert (answer["source"], answer["problems"]) == (server.url.split("/")[2], [])
    assert (Path(sent["release"]) / "bin" / "llama-server").read_bytes() == PROGRAM
    assert left(sent) == ["abc"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Whole(cut_after=100), "it ended after 100 of"),
        (Whole(cut_after=100, no_length=True), "it ended after 100 of"),
        (Whole(instead=b"x" * 10_000), "it gives more than the"),
        (Whole(instead=b""), "it ended after 0 of"),
        (Page(), "it ended after 5 of"),
        (Status(404), "404"),
    ],
)
def test_what_one_source_spoils_is_pulled_from_the_next(sent, capsys, answer, words):
    with serving(Path(sent["upload"]).read_bytes()) as bad, serving(bad.content) as good:
        bad.script = [answer]
        assert install_release.main(pulling(sent, bad, good)) == 0
    found = reported(capsys)
    assert found["source"] == good.url.split("/")[2]
    assert words in found["problems"][0]
    assert bad.url.split("/")[2] in found["problems"][0]
    assert left(sent) == ["abc"]


@pytest.mark.fault("F7")
@pytest.mark.parametrize("percent", [10, 50, 90, 99])
def test_a_transfer_that_is_cut_installs_nothing_and_the_next_one_all_of_it(sent, capsys, percent):
    with serving(Path(sent["upload"]).read_bytes()) as server:
        cut = len(server.content) * percent // 100
        server.script = [Whole(cut_after=cut)]
        assert install_release.main(pulling(sent, server)) == 0
        found = reported(capsys)
        assert (found["source"], left(sent)) == (None, [])
        assert f"it ended after {cut} of {len(server.content)} bytes" in found["problems"][0]
        assert install_release.main(pulling(sent, server)) == 0
    assert reported(capsys)["source"] == server.url.split("/")[2]
    assert (Path(sent["release"]) / "bin" / "llama-server").read_bytes() == PROGRAM


@pytest.mark.fault("F7")
def test_an_altered_archive_is_not_unpacked_and_no_source_is_an_answer(sent, capsys):
    data = Path(sent["upload"]).read_bytes()
    with serving(data[:50] + bytes([data[50] ^ 1]) + data[51:]) as server:
        assert install_release.main(pulling(sent, server)) == 0
    found = reported(capsys)
    assert found["source"] is None
    assert f"and the store says {sent['sha256']}" in found["problems"][0]
    assert left(sent) == []


def test_a_source_that_stands_still_or_is_not_there_is_left(sent, capsys, monkeypatch):
    monkeypatch.setattr(install_release, "STALL_S", 0.2)
    with serving(Path(sent["upload"]).read_bytes()) as gone:
        pass
    with serving(Path(sent["upload"]).read_bytes()) as server:
        server.script = [Whole(cut_after=100, stall=True)]
        assert install_release.main(pulling(sent, gone, server)) == 0
    found = reported(capsys)
    assert found["source"] is None
    assert "refused" in found["problems"][0]
    assert "timed out" in found["problems"][1]


def test_a_source_that_is_too_slow_is_left(sent, capsys, monkeypatch):
    monkeypatch.setattr(install_release, "PULL_S", -1)
    with serving(Path(sent["upload"]).read_bytes()) as server:
        assert install_release.main(pulling(sent, server)) == 0
    assert "bytes in -1 s" in reported(capsys)["problems"][0]


def test_a_disk_that_fills_while_pulling_is_no_fault_of_the_source(sent, capsys, monkeypatch):
    def full(source, archive, wanted, size):
        Path(archive).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(install_release, "pull", full)
    with serving(b"") as server:
        assert install_release.main(pulling(sent, server, server)) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert left(sent) == []


def test_only_this_network_is_asked_without_its_proxy(sent, capsys, monkeypatch):
    with serving(Path(sent["upload"]).read_bytes()) as server, serving(server.content) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert install_release.main(pulling(sent, server)) == 0
        assert proxy.ranges == []
        query = pulling(sent, server)
        query["sources"][0]["direct"] = False
        assert install_release.main(query) == 0
        assert proxy.ranges == [None]


def test_a_disk_that_is_too_small_is_told_before_anything_is_unpacked(sent, monkeypatch, capsys):
    room = SimpleNamespace(free=install_release.RESERVE_BYTES)
    monkeypatch.setattr(install_release.shutil, "disk_usage", lambda folder: room)
    assert install_release.main(sent) == 1
    assert "has 128 MiB free and the release needs" in capsys.readouterr().err
    assert left(sent) == []


def test_a_disk_that_fills_meanwhile_leaves_nothing_behind(sent, monkeypatch, capsys):
    def full(source, target):
        Path(target).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(owned, "taken", full)
    assert install_release.main(sent) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert left(sent) == []


def test_what_a_killed_run_left_behind_is_replaced(sent):
    half = Path(sent["release"]).with_name(".abc.new")
    half.mkdir(parents=True)
    (half / "half").write_text("x")
    assert install_release.main(sent) == 0
    assert left(sent) == ["abc"]


def test_a_damaged_release_is_replaced_and_an_intact_one_survives_a_bad_archive(sent):
    release = Path(sent["release"])
    release.mkdir(parents=True)
    (release / "damaged").write_text("x")
    archive = Path(sent["upload"]).read_bytes()
    assert install_release.main(sent) == 0
    assert not (release / "damaged").exists()
    Path(sent["upload"]).write_bytes(archive[:-1])
    assert install_release.main(sent) == 1
    assert (release / "bin" / "llama-server").read_bytes() == PROGRAM
    assert left(sent) == ["abc"]
