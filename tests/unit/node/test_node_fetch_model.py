"""A model arrives whole, resumed where it was cut, verified, and not at all otherwise."""

import hashlib
import json
import os
import random
from types import SimpleNamespace

import pytest
from scripted_server import Noise, Page, Status, Whole, serving

from bramble.node import fetch_model

MIB = 1024 * 1024
CONTENT = random.Random(20261121).randbytes(4 * MIB + 4321)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """No waiting between attempts, and no proxy of this machine's."""
    slept = []
    monkeypatch.setattr(fetch_model, "time", SimpleNamespace(sleep=slept.append))
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    return slept


@pytest.fixture
def server():
    with serving(CONTENT) as made:
        yield made


@pytest.fixture
def place(tmp_path):
    return tmp_path / "models" / "toy-123.gguf"


def fetch(place, server, sha256=SHA256):
    query = {"path": str(place), "sha256": sha256, "url": server.url, "upload": None}
    return fetch_model.main(query)


def names(place):
    return sorted(path.name for path in place.parent.iterdir())


def assert_installed(place):
    assert place.read_bytes() == CONTENT
    assert names(place) == [place.name, f"{place.name}.json"]
    status = place.stat()
    assert status.st_mode & 0o777 == 0o644
    assert json.loads(place.with_name(f"{place.name}.json").read_text()) == {
        "sha256": SHA256,
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
    }


def test_a_model_is_fetched_and_stamped(place, server, capsys):
    assert fetch(place, server) == 0
    assert_installed(place)
    assert server.ranges == [None]
    assert f":: installed {place}" in capsys.readouterr().out


def test_progress_is_told_once_for_each_mib(place, server, capsys):
    assert fetch(place, server) == 0
    counters = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[")]
    assert counters == [f"[{n}/4] MiB" for n in range(1, 5)]


@pytest.mark.parametrize("seed", range(8))
def test_a_connection_cut_anywhere_is_resumed_with_little_sent_twice(place, server, seed):
    dice = random.Random(seed)
    server.script = [Whole(cut_after=dice.randrange(MIB)) for _ in range(6)]
    assert fetch(place, server) == 0
    assert_installed(place)
    assert len(server.ranges) == 7
    assert server.sent_bytes <= 1.05 * len(CONTENT)


def test_a_connection_that_stands_still_is_left_and_resumed_with_little_sent_twice(
    place, server, monkeypatch
):
    monkeypatch.setattr(fetch_model, "STALL_S", 0.5)
    server.script = [Whole(cut_after=n, stall=True) for n in (700_001, 900_002, 1_500_003)]
    assert fetch(place, server) == 0
    assert_installed(place)
    assert server.ranges == [None, "bytes=700001-", "bytes=1600003-", "bytes=3100006-"]
    assert server.sent_bytes == len(CONTENT)


def test_a_part_of_an_earlier_run_is_resumed(place, server):
    place.parent.mkdir()
    place.with_name(f"{place.name}.part").write_bytes(CONTENT[:MIB])
    assert fetch(place, server) == 0
    assert_installed(place)
    assert server.ranges == [f"bytes={MIB}-"]


def test_a_whole_part_of_an_earlier_run_is_only_verified(place, server):
    place.parent.mkdir()
    place.with_name(f"{place.name}.part").write_bytes(CONTENT)
    assert fetch(place, server) == 0
    assert_installed(place)
    assert server.sent_bytes == 0


def test_a_server_without_resumption_starts_over(place, server):
    server.script = [Whole(cut_after=MIB), Whole(ignore_range=True)]
    assert fetch(place, server) == 0
    assert_installed(place)
    assert server.ranges == [None, f"bytes={MIB}-"]


def test_a_server_that_tells_no_length_is_believed_until_the_hash(place, server):
    server.script = [Whole(no_length=True)]
    assert fetch(place, server) == 0
    assert_installed(place)


def test_a_busy_server_is_asked_again(place, server, at_once):
    server.script = [Status(503), Status(429), Status(408), Noise()]
    assert fetch(place, server) == 0
    assert_installed(place)
    assert len(server.ranges) == 5
    assert at_once == [1, 2, 3, 4]


@pytest.mark.parametrize("step", [Status(503), Noise(), Whole(cut_after=0)])
def test_a_server_that_never_gives_anything_is_given_up(place, server, capsys, step):
    server.script = [step] * 99
    assert fetch(place, server) == 1
    assert len(server.ranges) == fetch_model.ATTEMPTS
    said = capsys.readouterr().out
    assert f"nothing came from {server.url} in {fetch_model.ATTEMPTS} attempts" in said
    assert not place.exists()


def test_nobody_listening_is_given_up_too(place, server, capsys):
    query = {"path": str(place), "sha256": SHA256, "url": "http://127.0.0.1:1/x", "upload": None}
    assert fetch_model.main(query) == 1
    assert "the part is kept" in capsys.readouterr().out


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_url_that_is_wrong_is_refused_at_once(place, server, capsys, code):
    server.script = [Status(code)] * 9
    assert fetch(place, server) == 1
    assert len(server.ranges) == 1
    assert f"answers {code}" in capsys.readouterr().out


def test_a_web_page_is_no_model(place, server, capsys):
    server.script = [Page()]
    assert fetch(place, server) == 1
    assert "answers with a web page, not a file; check model.url" in capsys.readouterr().out
    assert names(place) == []


def test_another_content_is_thrown_away_and_the_old_file_kept(place, server, capsys):
    place.parent.mkdir()
    place.write_bytes(b"in use")
    assert fetch(place, server, sha256="0" * 64) == 1
    assert names(place) == [place.name]
    assert place.read_bytes() == b"in use"
    said = capsys.readouterr().out
    assert SHA256 in said
    assert "0" * 64 in said
    assert "thrown away" in said


def test_a_damaged_part_is_thrown_away_so_that_the_next_run_starts_anew(place, server):
    place.parent.mkdir()
    place.with_name(f"{place.name}.part").write_bytes(b"damage" + CONTENT[6:MIB])
    assert fetch(place, server) == 1
    assert names(place) == []
    assert fetch(place, server) == 0
    assert_installed(place)


def test_a_model_that_is_there_and_right_is_only_stamped(place, server):
    place.parent.mkdir()
    place.write_bytes(CONTENT)
    assert fetch(place, server) == 0
    assert_installed(place)
    assert server.ranges == []


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(
    place, server, monkeypatch, capsys
):
    room = SimpleNamespace(free=fetch_model.RESERVE_BYTES + len(CONTENT) - 1)
    monkeypatch.setattr(fetch_model.shutil, "disk_usage", lambda folder: room)
    assert fetch(place, server) == 1
    assert names(place) == []
    said = capsys.readouterr().out
    assert "the model needs 4 more" in said
    assert "set model.folder" in said


def test_a_disk_that_fills_up_leaves_the_old_file(place, server, monkeypatch, capsys):
    place.parent.mkdir()
    place.write_bytes(b"in use")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fetch_model, "copy", full)
    assert fetch(place, server) == 1
    assert place.read_bytes() == b"in use"
    assert "No space left on device" in capsys.readouterr().out


@pytest.mark.parametrize("nth", [1, 2])
def test_a_kill_between_the_last_steps_costs_no_second_download(place, server, monkeypatch, nth):
    class Killed(BaseException):
        """Nothing gets to clean up after it."""

    real, renamed = os.rename, []

    def kill(*names):
        real(*names)
        renamed.append(names)
        if len(renamed) == nth:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", kill)
        with pytest.raises(Killed):
            fetch(place, server)
    assert fetch(place, server) == 0
    assert_installed(place)
    assert server.sent_bytes == len(CONTENT)


def test_an_uploaded_model_is_verified_and_taken_over(place, tmp_path):
    upload = tmp_path / "upload"
    upload.write_bytes(CONTENT)
    query = {"path": str(place), "sha256": SHA256, "url": None, "upload": str(upload)}
    assert fetch_model.main(query) == 0
    assert_installed(place)
    assert not upload.exists()


def test_an_uploaded_model_of_another_content_is_refused(place, tmp_path):
    upload = tmp_path / "upload"
    upload.write_bytes(b"something else")
    query = {"path": str(place), "sha256": SHA256, "url": None, "upload": str(upload)}
    assert fetch_model.main(query) == 1
    assert names(place) == []


def test_an_upload_that_never_came_is_said(place, tmp_path, capsys):
    upload = str(tmp_path / "upload")
    query = {"path": str(place), "sha256": SHA256, "url": None, "upload": upload}
    assert fetch_model.main(query) == 1
    assert upload in capsys.readouterr().out
