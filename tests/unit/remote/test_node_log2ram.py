"""The programs about log2ram as far as they run without a node: keys, room, and the way back."""

import base64
import hashlib
import os

import pytest

from bramble.remote import apt_source, log_room, remove_log2ram


def packet(tag, body, new=False):
    """An OpenPGP packet with an old or a new header."""
    if new:
        length = len(body)
        size = bytes([length]) if length < 192 else b"\xff" + length.to_bytes(4, "big")
        return bytes([0xC0 | tag]) + size + body
    return bytes([0x80 | tag << 2 | 1]) + len(body).to_bytes(2, "big") + body


def public_key(seed):
    """The body of a public key and its fingerprint."""
    body = b"\4" + hashlib.sha512(seed).digest() * 5
    whole = b"\x99" + len(body).to_bytes(2, "big") + body
    return body, hashlib.sha1(whole).hexdigest().upper()


BODY, FINGERPRINT = public_key(b"a")
KEY = packet(6, BODY) + packet(13, b"azlux") + packet(2, b"signature") + packet(14, b"subkey")


@pytest.mark.parametrize("new", [False, True])
def test_a_keys_fingerprint_is_that_of_its_primary_key(new):
    assert apt_source.fingerprints(packet(6, BODY, new) + packet(14, b"sub", new)) == [FINGERPRINT]


def test_an_armoured_key_is_the_same_key():
    lines = base64.encodebytes(KEY)
    head, tail = b"-----BEGIN PGP PUBLIC KEY BLOCK-----", b"-----END PGP PUBLIC KEY BLOCK-----"
    text = head + b"\nComment: x\n\n" + lines + b"=abcd\n" + tail + b"\n"
    assert apt_source.dearmored(text) == KEY
    assert apt_source.dearmored(KEY) == KEY


@pytest.mark.parametrize(
    "content", [b"<html>", KEY[:100], packet(6, b"\3" + BODY[1:]), bytes([0x80 | 6 << 2 | 3])]
)
def test_what_is_no_key_is_refused(content):
    with pytest.raises((ValueError, LookupError)):
        apt_source.fingerprints(content)


def asked(tmp_path, content, **changes):
    """The query of a repository whose key is this content."""
    given = tmp_path / "given"
    given.write_bytes(content)
    return {
        "keyring": str(tmp_path / "keyrings" / "key.gpg"),
        "fingerprint": FINGERPRINT,
        "key_url": "https://example.org/key.gpg",
        "key_file": str(given),
        "site": "example.org",
        "url": "http://example.org/debian",
        "pin": {"path": str(tmp_path / "pin"), "text": "pin\n"},
        "source": {"path": str(tmp_path / "source"), "text": "source\n"},
    } | changes


@pytest.fixture
def apt(monkeypatch):
    """An apt that answers as told, by verb."""
    answers = {"indextargets": (0, "http://deb.example.net/debian/"), "update": (0, "")}

    def answer(*argv):
        return answers[next(word for word in argv if word in answers)]

    monkeypatch.setattr(apt_source.apt, "ask", answer)
    monkeypatch.setattr(apt_source.apt, "run", answer)
    return answers


def test_a_repository_is_added_with_its_key_readable_for_apt(tmp_path, apt):
    query = asked(tmp_path, KEY)
    assert apt_source.main(query) == 0
    keyring = tmp_path / "keyrings" / "key.gpg"
    assert keyring.read_bytes() == KEY
    assert keyring.stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "pin").read_text() == "pin\n"
    assert (tmp_path / "source").read_text() == "source\n"
    assert not (tmp_path / "given").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (packet(6, public_key(b"b")[0]), f"holds {public_key(b'b')[1]}, and the pinned"),
        (KEY + packet(6, public_key(b"b")[0]), f"holds {FINGERPRINT} and {public_key(b'b')[1]}"),
        (b"", "holds no key"),
        (b"<html>", "not an OpenPGP key"),
    ],
)
def test_another_key_or_one_more_is_refused_and_nothing_is_left(
    tmp_path, apt, capsys, content, said
):
    assert apt_source.main(asked(tmp_path, content)) == 1
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


def test_a_signature_that_apt_refuses_leaves_nothing(tmp_path, apt, capsys):
    apt["update"] = (100, "E: The repository is not signed.")
    assert apt_source.main(asked(tmp_path, KEY)) == 1
    assert "a signature does not hold, and nothing is taken unsigned" in capsys.readouterr().err
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_host_that_serves_another_repository_is_refused(tmp_path, apt, capsys):
    apt["indextargets"] = (0, "http://example.org/debian/\nhttp://example.org:80/other/")
    assert apt_source.main(asked(tmp_path, KEY)) == 1
    assert "example.org serves http://example.org:80/other too" in capsys.readouterr().err


def test_the_same_repository_may_be_there_already(tmp_path, apt):
    apt["indextargets"] = (0, "http://example.org/debian/")
    assert apt_source.main(asked(tmp_path, KEY)) == 0


# Room


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """A folder with 3 MiB of logs and 2 of journal."""
    folder = tmp_path / "log"
    (folder / "journal").mkdir(parents=True)
    (folder / "app.log").write_bytes(os.urandom(3 << 20))
    (folder / "journal" / "system.journal").write_bytes(os.urandom(2 << 20))
    monkeypatch.setattr(log_room, "REMOVED", str(tmp_path / "hdd.log"))
    return folder


@pytest.mark.parametrize(
    ("size_mib", "journal_mib", "needed"), [(6, 0, None), (5, 0, 5), (8, 5, 8), (9, 5, None)]
)
def test_a_memory_must_hold_the_logs_and_what_the_journal_may_become(
    logs, size_mib, journal_mib, needed
):
    said = log_room.too_small(str(logs), size_mib, journal_mib)
    if needed is None:
        assert said is None
    else:
        assert f"needs {needed} MiB (journal: 2 now, {journal_mib} planned; others: 3)" in said


def test_a_hard_link_counts_once(logs):
    os.link(logs / "app.log", logs / "app.log.1")
    assert log_room.too_small(str(logs), 6, 0) is None


def test_files_that_the_package_would_remove_are_in_the_way(logs, tmp_path, capsys, monkeypatch):
    query = {"folders": [str(logs)], "size_mib": 64, "journal_mib": 0}
    assert log_room.main(query) == 0
    (tmp_path / "hdd.log").mkdir()
    assert log_room.main(query) == 0
    (tmp_path / "hdd.log" / "kept").write_text("x")
    assert log_room.main(query) == 1
    assert "removes it when it is installed. Move them away" in capsys.readouterr().err
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 0:1 /var/log {tmp_path}/hdd.log rw - ext4 /dev/mmcblk0p2 rw\n")
    monkeypatch.setattr(log_room, "MOUNTINFO", str(mounts))
    assert log_room.main(query) == 0


# The way back


def test_what_is_in_memory_is_written_back_with_modes_and_links(tmp_path):
    memory, disk = tmp_path / "log", tmp_path / "hdd.log"
    (memory / "apt").mkdir(parents=True)
    disk.mkdir()
    (memory / "apt" / "term.log").write_text("new\n")
    (memory / "apt" / "term.log").chmod(0o640)
    (memory / "README").symlink_to("nowhere")
    (memory / "same").write_text("same\n")
    (disk / "same").write_text("same\n")
    (disk / "rotated.1").write_text("only on the disk\n")
    before = (disk / "same").stat().st_ino
    remove_log2ram.write_back(str(memory), str(disk))
    remove_log2ram.write_back(str(memory), str(disk))
    assert (disk / "apt" / "term.log").read_text() == "new\n"
    assert (disk / "apt" / "term.log").stat().st_mode & 0o777 == 0o640
    assert os.readlink(disk / "README") == "nowhere"
    assert (disk / "same").stat().st_ino == before
    assert (disk / "rotated.1").exists()


def test_who_writes_below_a_folder_is_found_and_who_reads_is_not(tmp_path):
    (tmp_path / "log").mkdir()
    path = tmp_path / "log" / "app.log"
    folders = [str(tmp_path / "log")]
    with path.open("w"):
        (found,) = remove_log2ram.writing(folders)
        assert found.endswith(f"({os.getpid()})")
        assert remove_log2ram.writing([str(tmp_path / "lo")]) == []
    with path.open():
        assert remove_log2ram.writing(folders) == []


def test_log2ram_that_cannot_be_ended_stays_installed(tmp_path, monkeypatch, capsys):
    lines = tmp_path / "mountinfo"
    lines.write_text("1 0 0:1 / /var/hdd.log rw - ext4 /dev/mmcblk0p2 rw\n")
    monkeypatch.setattr(remove_log2ram, "MOUNTINFO", str(lines))
    monkeypatch.setattr(remove_log2ram.apt, "ask", lambda *argv: pytest.fail(f"{argv} was run"))
    assert remove_log2ram.main({"folders": []}) == 1
    assert "still mounted: /var/hdd.log; reboot, and run again" in capsys.readouterr().err


def test_logs_without_a_place_on_the_disk_are_not_given_up(tmp_path, monkeypatch, capsys):
    lines = tmp_path / "mountinfo"
    lines.write_text("1 0 0:1 / /var/log rw - tmpfs log2ram rw\n")
    called = []
    monkeypatch.setattr(remove_log2ram, "MOUNTINFO", str(lines))
    monkeypatch.setattr(
        remove_log2ram.apt,
        "ask",
        lambda *argv: called.append(argv) or (int("is-active" in argv), ""),
    )
    monkeypatch.setattr(remove_log2ram, "writing", lambda folders: [])
    assert remove_log2ram.main({"folders": ["/var/log"]}) == 1
    assert "/var/hdd.log is not mounted: where is /var/log on the disk?" in capsys.readouterr().err
    assert not any("purge" in argv or "log2ram.service" in argv for argv in called)
    assert called[-1] == ("journalctl", "--flush")
