"""A model arrives whole, resumed where it was cut, verified, and not at all otherwise."""

import contextlib
import hashlib
import json
import os
import random
import socket
import ssl
import subprocess
import time
from types import SimpleNamespace

import pytest
from scripted_server import Loop, Moved, Noise, Page, Status, Whole, serving

from bramble.remote import download, fetch_model, outcome, settle

MIB = 1024 * 1024
CONTENT = b"GGUF" + random.Random(20261121).randbytes(4 * MIB + 4317)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """No waiting between attempts, and no proxy of this machine's."""
    slept = []
    names = ("monotonic", "gmtime", "strftime")
    kept = {name: getattr(time, name) for name in names}
    monkeypatch.setattr(download, "time", SimpleNamespace(sleep=slept.append, **kept))
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


def query(place, sha256=SHA256, size=None, *urls, upload=None, direct=()):
    sources = [{"url": url, "name": url, "direct": url in direct} for url in urls]
    return {
        "path": str(place),
        "sha256": sha256,
        "size_bytes": size,
        "sources": sources,
        "upload": upload,
    }


def fetch(place, server, sha256=SHA256, size=None):
    return fetch_model.main(query(place, sha256, size, server.url))


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
    transfer, _, rest = capsys.readouterr().out.partition(":: checking the sha256")
    counters = [line for line in transfer.splitlines() if line.startswith("[")]
    assert list(dict.fromkeys(counters)) == [f"[{n}/4] MiB" for n in range(1, 5)]
    assert "[4/4] MiB" in rest


@pytest.mark.parametrize("seed", range(8))
def test_a_connection_cut_anywhere_is_resumed_with_little_sent_twice(place, server, seed):
    dice = random.Random(seed)
    server.script = [Whole(cut_after=dice.randrange(MIB)) for _ in range(6)]
    assert fetch(place, server) == 0
    assert_installed(place)
    assert len(server.ranges) == 7
    assert server.sent_bytes <= 1.05 * len(CONTENT)


@pytest.mark.fault("F9")
def test_a_connection_that_stands_still_is_left_and_resumed_with_little_sent_twice(
    place, server, monkeypatch
):
    monkeypatch.setattr(download, "STALL_S", 0.5)
    server.script = [Whole(cut_after=n, stall=True) for n in (700_001, 900_002, 1_500_003)]
    assert fetch(place, server) == 0
    assert_installed(place)
    assert server.ranges == [None, "bytes=700001-", "bytes=1600003-", "bytes=3100006-"]
    assert server.sent_bytes == len(CONTENT)


@pytest.mark.fault("F9")
@pytest.mark.thorough
def test_a_connection_that_stands_still_is_left_within_a_minute(place, server):
    """The limit as it is on nodes, and what a busy computer adds."""
    server.script = [Whole(cut_after=MIB, stall=True)]
    began = time.monotonic()
    assert fetch(place, server) == 0
    assert download.STALL_S <= time.monotonic() - began < 60 + 15
    assert_installed(place)


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


@pytest.mark.fault("F9")
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
    assert len(server.ranges) == download.ATTEMPTS
    said = capsys.readouterr().out
    assert f"nothing came from {server.url} in {download.ATTEMPTS} attempts" in said
    assert not place.exists()


def test_nobody_listening_is_given_up_too(place, server, capsys):
    assert fetch_model.main(query(place, SHA256, None, "http://127.0.0.1:1/x")) == 1
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
    assert (
        "answers with a web page, not a file; check the model's address" in capsys.readouterr().out
    )
    assert names(place) == []


@pytest.mark.fault("F10")
def test_another_content_is_thrown_away_and_the_old_file_kept(place, server, capsys):
    place.parent.mkdir()
    place.write_bytes(b"in use")
    assert fetch(place, server, sha256="0" * 64) == 1
    assert names(place) == [place.name]
    assert place.read_bytes() == b"in use"
    said = capsys.readouterr().out
    assert SHA256 in said
    assert "0" * 64 in said
    assert "It was removed" in said


@pytest.mark.parametrize(
    "damaged", [b"damage" + CONTENT[6:MIB], CONTENT[:MIB] + bytes(MIB), bytes(len(CONTENT))]
)
def test_a_part_that_an_earlier_run_left_damaged_is_fetched_anew(place, server, damaged, capsys):
    """A power cut may leave zeros at the end of what was written last."""
    place.parent.mkdir()
    place.with_name(f"{place.name}.part").write_bytes(damaged)
    assert fetch(place, server, size=len(CONTENT)) == 0
    assert_installed(place)
    assert server.ranges[-1] is None
    assert "fetching all of it again" in capsys.readouterr().out


def test_a_model_that_is_there_and_right_is_only_stamped(place, server):
    place.parent.mkdir()
    place.write_bytes(CONTENT)
    assert fetch(place, server) == 0
    assert_installed(place)
    assert server.ranges == []


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(
    place, server, monkeypatch, capsys
):
    room = SimpleNamespace(free=download.RESERVE_BYTES + len(CONTENT) - 1)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda folder: room)
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

    monkeypatch.setattr(settle.os, "fsync", full)
    assert fetch(place, server, size=len(CONTENT)) == 1
    assert len(server.ranges) == 1
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
    assert fetch_model.main(query(place, upload=str(upload))) == 0
    assert_installed(place)
    assert not upload.exists()


def test_an_uploaded_model_of_another_content_is_refused(place, tmp_path):
    upload = tmp_path / "upload"
    upload.write_bytes(b"something else")
    assert fetch_model.main(query(place, upload=str(upload))) == 1
    assert names(place) == []


def test_an_upload_that_never_came_is_said(place, tmp_path, capsys):
    upload = str(tmp_path / "upload")
    assert fetch_model.main(query(place, upload=upload)) == 1
    assert upload in capsys.readouterr().out


# What a lock's size adds, and servers that misbehave


@pytest.mark.fault("F8")
@pytest.mark.parametrize("seed", range(6))
def test_ten_cuts_at_random_offsets_cost_at_most_5_percent(place, server, seed):
    dice = random.Random(seed)
    cuts = [Whole(cut_after=dice.randrange(1, len(CONTENT) // 8)) for _ in range(10)]
    server.script = list(cuts)
    assert fetch(place, server, size=len(CONTENT)) == 0
    assert_installed(place)
    assert server.script == []
    assert server.sent_bytes <= 1.05 * len(CONTENT)


def test_a_disk_that_is_too_small_for_the_locked_size_is_told_before_any_request(
    place, server, monkeypatch, capsys
):
    room = SimpleNamespace(free=download.RESERVE_BYTES + len(CONTENT) - 1)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda folder: room)
    assert fetch(place, server, size=len(CONTENT)) == 1
    assert server.ranges == []
    assert "MiB free and the model needs 4 more" in capsys.readouterr().out


def test_a_part_needs_room_for_the_rest_only(place, server, monkeypatch):
    room = SimpleNamespace(free=download.RESERVE_BYTES + len(CONTENT) - MIB)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda folder: room)
    place.parent.mkdir()
    place.with_name(f"{place.name}.part").write_bytes(CONTENT[:MIB])
    assert fetch(place, server, size=len(CONTENT)) == 0


@pytest.mark.fault("F9", "F10")
@pytest.mark.parametrize(
    ("step", "said"),
    [
        (Whole(instead=CONTENT + b"x"), f"is {len(CONTENT) + 1} bytes long and {len(CONTENT)} are"),
        (Whole(instead=CONTENT[:-1]), f"is {len(CONTENT) - 1} bytes long"),
        (Whole(instead=CONTENT + b"x", no_length=True), f"is at least {len(CONTENT) + 1} bytes"),
        (
            Whole(instead=b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64),
            "answers with a git-lfs pointer, not a file",
        ),
        (Whole(instead=b"<!DOCTYPE html><title>Log in</title>"), "a web page"),
        (Whole(instead=b"<?xml version='1.0'?><Error/>"), "an error in XML"),
        (Page(), "answers with a web page, not a file"),
        (Whole(instead=b"PK" + CONTENT), "is no GGUF file: it begins with b'PK"),
        (Loop(), "redirects in a circle"),
        (Status(403), "it wants a login, and nodes have none"),
        (Status(416), "answers 416"),
    ],
)
def test_what_is_not_the_model_is_refused_and_the_old_one_stays(place, server, capsys, step, said):
    place.parent.mkdir()
    old = place.with_name("old-999.gguf")
    old.write_bytes(b"in use")
    server.script = [step] * 99
    assert fetch(place, server, size=len(CONTENT)) == 1
    assert said in capsys.readouterr().out
    assert not place.exists()
    assert old.read_bytes() == b"in use"
    assert server.sent_bytes <= len(CONTENT) + 1


def test_a_git_lfs_pointer_is_named_where_no_size_is_known(place, server, capsys):
    server.script = [Whole(instead=b"version https://git-lfs.github.com/spec/v1\noid sha256:ab")]
    assert fetch(place, server) == 1
    assert "answers with a git-lfs pointer, not a file" in capsys.readouterr().out


def test_a_part_longer_than_the_model_is_thrown_away(place, server):
    place.parent.mkdir()
    place.with_name(f"{place.name}.part").write_bytes(CONTENT + b"more")
    assert fetch(place, server, size=len(CONTENT)) == 0
    assert_installed(place)
    assert server.ranges == [None]


def test_a_part_longer_than_a_file_of_unknown_size_is_thrown_away_too(place, server):
    place.parent.mkdir()
    place.with_name(f"{place.name}.part").write_bytes(CONTENT + b"more")
    assert fetch(place, server) == 0
    assert_installed(place)
    assert server.ranges == [f"bytes={len(CONTENT) + 4}-", None]


def test_a_file_that_ends_before_the_part_does_is_refused(place, server, capsys):
    place.parent.mkdir()
    place.with_name(f"{place.name}.part").write_bytes(CONTENT[: 2 * MIB])
    server.script = [Whole(instead=CONTENT[:MIB])]
    assert fetch(place, server, size=len(CONTENT)) == 1
    assert f"is {MIB} bytes long and {len(CONTENT)} are pinned" in capsys.readouterr().out


@pytest.mark.fault("F9")
@pytest.mark.parametrize("span", ["bytes 0-9/10", "", "bytes 7-/x"])
def test_a_range_that_was_not_asked_for_is_refused_not_spliced(place, server, capsys, span):
    server.script = [Whole(cut_after=MIB), Whole(content_range=span)]
    assert fetch(place, server, size=len(CONTENT)) == 1
    assert "and sends others" in capsys.readouterr().out
    assert not place.exists()


def test_a_server_that_cannot_resume_and_never_gets_to_the_end_is_given_up(place, server, capsys):
    server.script = [Whole(cut_after=MIB + n * 1000, ignore_range=True) for n in range(99)]
    assert fetch(place, server, size=len(CONTENT)) == 1
    assert len(server.ranges) == download.RESTARTS + 2
    assert "cannot resume" in capsys.readouterr().out


def test_a_server_that_asks_for_time_gets_it_within_reason(place, server, at_once):
    server.script = [
        Status(429, (("Retry-After", "42"),)),
        Status(503, (("Retry-After", "9999"),)),
        Status(503, (("Retry-After", "soon"),)),
    ]
    assert fetch(place, server) == 0
    assert at_once == [42, download.LONGEST_WAIT_S, 3]


def test_a_trickle_is_taken_for_a_stall(place, server, monkeypatch, capsys):
    clock = iter(range(0, 10**6, 61))
    monkeypatch.setattr(download.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(download, "SLOWEST_BYTES_PER_S", MIB)
    assert fetch(place, server, size=len(CONTENT)) == 0
    assert_installed(place)
    assert "bytes/s came; resuming" in capsys.readouterr().out


def test_a_file_of_the_wrong_size_is_replaced_without_being_read(place, server, monkeypatch):
    place.parent.mkdir()
    place.write_bytes(CONTENT[:-1])
    hashed = []
    real = fetch_model.sha256
    monkeypatch.setattr(fetch_model, "sha256", lambda path: hashed.append(path) or real(path))
    assert fetch(place, server, size=len(CONTENT)) == 0
    assert_installed(place)
    assert hashed == []


def test_the_file_that_is_served_is_never_moved_away_to_be_checked(place, server):
    place.parent.mkdir()
    place.write_bytes(CONTENT)
    before = place.stat().st_ino
    assert fetch(place, server) == 0
    assert place.stat().st_ino == before
    assert_installed(place)


def test_two_fetches_at_once_do_not_write_one_part(place, server, capsys):
    place.parent.mkdir()
    with fetch_model.alone(str(place.parent)):
        assert fetch(place, server) == 1
    assert "another fetch into" in capsys.readouterr().out
    assert server.ranges == []
    assert fetch(place, server) == 0


def test_a_certificate_that_is_not_trusted_is_refused_at_once_with_the_nodes_time(
    place, server, tmp_path, capsys
):
    pair = tmp_path / "pair.pem"
    words = f"""openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=hub
        -days 1 -keyout {pair} -out {pair}.crt"""
    subprocess.run(words.split(), check=True, capture_output=True)
    pair.write_bytes(pair.read_bytes() + (tmp_path / "pair.pem.crt").read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    with serving(CONTENT, tls=context) as secure:
        assert fetch(place, secure) == 1
    said = capsys.readouterr().out
    assert "is not trusted (self-signed certificate)" in said
    assert "this node takes it for 20" in said
    assert said.count("resuming") == 0


def test_a_file_that_its_disk_damaged_is_fetched_anew_though_the_page_cache_has_it(place, server):
    assert fetch(place, server) == 0
    place.with_name(f"{place.name}.json").rename(place.with_name(f"{place.name}.damaged"))
    before = place.stat().st_ino
    assert fetch(place, server) == 0
    assert place.stat().st_ino != before
    assert len(server.ranges) == 2
    assert_installed(place)


# Several sources, tokens


@pytest.fixture
def second():
    with serving(CONTENT) as made:
        yield made


NOBODY = "http://127.0.0.1:1/x"


def test_where_a_source_stops_giving_the_next_one_goes_on(place, server, second, capsys):
    server.script = [Whole(cut_after=MIB), *[Status(503)] * 9]
    assert fetch_model.main(query(place, SHA256, len(CONTENT), server.url, second.url)) == 0
    assert_installed(place)
    assert second.ranges == [f"bytes={MIB}-"]
    assert len(server.ranges) == 1 + fetch_model.FEW_ATTEMPTS
    assert f":: installed {place}, from {second.url}" in capsys.readouterr().out


def test_a_neighbour_that_is_not_there_is_left_soon_and_one_with_nothing_new_is_waited_for(
    place, server, second, at_once, capsys
):
    server.script = [Status(503)] * 9
    near = {NOBODY, server.url}
    asked = query(place, SHA256, None, NOBODY, server.url, second.url, direct=near)
    assert fetch_model.main(asked) == 0
    assert at_once == [1, 2, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert_installed(place)
    assert f":: {server.url} has nothing new yet; resuming at 0 MiB" in capsys.readouterr().out
    assert second.ranges == []


@pytest.mark.parametrize(
    "lie",
    [
        Whole(instead=CONTENT[:MIB] + b"x" + CONTENT[MIB + 1 :]),
        Whole(instead=CONTENT + b"x"),
        Status(404),
        Page(),
    ],
)
def test_a_source_that_gives_another_file_costs_its_turn_and_nothing_else(
    place, server, second, lie, capsys
):
    server.script = [lie] * 9
    assert fetch_model.main(query(place, SHA256, len(CONTENT), server.url, second.url)) == 0
    assert_installed(place)
    assert "; trying the next source" in capsys.readouterr().out


def test_a_beginning_from_a_liar_is_fetched_anew_from_the_next_source(place, server, second):
    lie = Whole(instead=b"GGUF" + bytes(len(CONTENT) - 4), cut_after=MIB)
    server.script = [lie, *[Status(503)] * 9]
    assert fetch_model.main(query(place, SHA256, len(CONTENT), server.url, second.url)) == 0
    assert_installed(place)
    assert second.ranges == [f"bytes={MIB}-", None]


def test_a_disk_without_room_has_none_for_the_next_source_either(
    place, server, second, monkeypatch, capsys
):
    room = SimpleNamespace(free=download.RESERVE_BYTES)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda folder: room)
    assert fetch_model.main(query(place, SHA256, len(CONTENT), server.url, second.url)) == 1
    assert second.ranges == []
    assert outcome.read(capsys.readouterr().out)[1] == {}


def test_where_no_source_gives_it_the_last_one_s_reason_is_told(place, server, second, capsys):
    server.script, second.script = [Status(404)] * 9, [Status(410)] * 9
    assert fetch_model.main(query(place, SHA256, None, server.url, second.url)) == 1
    people, reported = outcome.read(capsys.readouterr().out)
    said = people.splitlines()[-1]
    assert said.startswith(":: the model was not fetched, no source gives it: ")
    assert "answers 410" in said
    assert reported == {"no_source": True}


def test_a_neighbour_is_asked_without_the_proxy(place, server, monkeypatch):
    monkeypatch.setenv("http_proxy", NOBODY)
    assert fetch_model.main(query(place, SHA256, None, server.url, direct={server.url})) == 0
    assert_installed(place)


def test_a_host_that_takes_no_connection_is_left_sooner_than_a_slow_answer(
    place, server, monkeypatch
):
    monkeypatch.setattr(download, "CONNECT_S", 0.2)
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        with contextlib.ExitStack() as held:
            for _ in range(3):
                one = held.enter_context(socket.socket())
                one.setblocking(False)
                one.connect_ex(address)
            dead = f"http://127.0.0.1:{address[1]}/x"
            asked = query(place, SHA256, None, dead, server.url, direct={dead})
            assert fetch_model.main(asked) == 0
    assert time.monotonic() - began < 10
    assert_installed(place)


def test_few_attempts_are_made_where_few_are_asked_for(place, server):
    server.script = [Status(503)] * 9
    assert fetch_model.main(query(place, SHA256, None, server.url) | {"attempts": 3}) == 1
    assert len(server.ranges) == 3


def test_a_token_is_shown_to_its_host_and_not_where_that_redirects_to(
    place, server, second, capsys
):
    server.script = [Moved(second.url)]
    asked = query(place, SHA256, len(CONTENT), server.url)
    asked["sources"][0]["token"] = "hf_secret"
    assert fetch_model.main(asked) == 0
    assert_installed(place)
    assert server.tokens == ["Bearer hf_secret"]
    assert second.tokens == [None]
    assert "hf_secret" not in capsys.readouterr().out


def test_a_token_that_does_not_open_it_is_told_as_that(place, server, capsys):
    server.script = [Status(403)]
    asked = query(place, SHA256, len(CONTENT), server.url)
    asked["sources"][0]["token"] = "hf_secret"
    assert fetch_model.main(asked) == 1
    said = capsys.readouterr().out
    assert "the token that was given does not open it" in said
    assert "hf_secret" not in said


# What is written, hashed beside


def test_a_file_is_hashed_while_it_grows(tmp_path, monkeypatch):
    monkeypatch.setattr(settle, "STRETCH_BYTES", 1000)
    path = tmp_path / "part"
    path.touch()
    settling = settle.Settling(str(path))
    with path.open("ab", buffering=0) as file:
        for at in range(0, len(CONTENT), 300_000):
            file.write(CONTENT[at : at + 300_000])
            settling.upto(file.tell())
    assert settling.digest(len(CONTENT)) == SHA256


def test_a_writer_waits_for_a_disk_that_is_far_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(settle, "STRETCH_BYTES", 1000)
    monkeypatch.setattr(settle, "MOST_WAITING", 4000)
    path = tmp_path / "part"
    path.write_bytes(CONTENT)
    slow, real = [], settle.Settling.settle
    monkeypatch.setattr(
        settle.Settling, "settle", lambda self, to: (slow.append(to), real(self, to))
    )
    settling = settle.Settling(str(path))
    settling.upto(9000)
    assert slow[-1] >= 5000
    assert settling.digest(len(CONTENT)) == SHA256


def test_a_disk_that_fails_is_told_to_the_writer(tmp_path):
    path = tmp_path / "part"
    path.write_bytes(CONTENT)
    settling = settle.Settling(str(path))
    path.unlink()
    with pytest.raises(FileNotFoundError):
        settling.digest(len(CONTENT))
