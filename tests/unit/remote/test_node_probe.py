"""One look says what is there, what is not, and what it could not tell, and never fails as a whole."""

import grp
import hashlib
import json
import mmap
import os
import pwd
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bramble import remote, snapshot
from bramble.remote import local_http, probe, reading

LOOK = {"hash_limit_bytes": 1000}


@pytest.mark.parametrize(
    "error",
    [
        PermissionError("no"),
        ValueError("no"),
        KeyError("no"),
        IndexError("no"),
        subprocess.CalledProcessError(1, "ss"),
        subprocess.TimeoutExpired("ss", 60),
        local_http.HttpError("this is not HTTP"),
    ],
)
def test_whatever_a_look_ends_in_is_unknown_with_its_reason(error):
    def look():
        raise error

    found = probe.known(look)
    assert list(found) == ["unknown"]
    assert found["unknown"].startswith(type(error).__name__)


def test_what_was_seen_is_known_even_when_it_is_nothing():
    assert probe.known(lambda value: value, None) == {"ok": None}


def test_a_command_that_is_missing_or_fails_is_unknown():
    assert "FileNotFoundError" in probe.known(probe.run, "no-such-command")["unknown"]
    assert "CalledProcessError" in probe.known(probe.run, "false")["unknown"]


def test_a_text_that_is_not_there_is_none(tmp_path):
    assert reading.read(tmp_path / "none") is None


# Files


def test_a_plain_file_is_told_with_its_hash_and_text(tmp_path):
    path = tmp_path / "a.conf"
    path.write_text("größe=1\n")
    path.chmod(0o640)
    assert probe.file(str(path), LOOK) == {
        "kind": "file",
        "mode": 0o640,
        "owner": pwd.getpwuid(os.geteuid()).pw_name,
        "group": grp.getgrgid(path.stat().st_gid).gr_name,
        "size": 10,
        "mtime_ns": path.stat().st_mtime_ns,
        "sha256": hashlib.sha256("größe=1\n".encode()).hexdigest(),
        "text": "größe=1\n",
    }


def test_a_secret_file_is_told_without_its_text(tmp_path):
    path = tmp_path / "key"
    path.write_text("hunter2")
    seen = probe.file(str(path), LOOK | {"secret": [str(path)]})
    assert "text" not in seen
    assert seen["sha256"] == hashlib.sha256(b"hunter2").hexdigest()


def test_a_large_file_is_told_without_its_hash(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(b"x" * 1001)
    assert "sha256" not in probe.file(str(path), LOOK)
    assert probe.file(str(path), LOOK)["size"] == 1001


def test_a_files_text_is_told_up_to_a_limit(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"x" * (probe.TEXT_LIMIT_BYTES + 1))
    assert "text" not in probe.file(str(path), LOOK)


def test_a_file_that_is_no_text_has_none(tmp_path):
    path = tmp_path / "binary"
    path.write_bytes(b"\xff\xfe\x00")
    assert probe.file(str(path), LOOK)["text"] is None


def test_links_folders_and_the_rest_are_told_apart(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    assert probe.file(str(tmp_path / "link"), LOOK)["target"] == "nowhere"
    assert probe.file(str(tmp_path / "link"), LOOK)["kind"] == "link"
    assert probe.file(str(tmp_path), LOOK)["kind"] == "directory"
    assert probe.file(str(tmp_path / "pipe"), LOOK)["kind"] == "other"
    assert probe.file(str(tmp_path / "none"), LOOK) is None


def test_a_pattern_stands_for_what_it_matches(tmp_path):
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text("{}")
    found = probe.files({"files": [f"{tmp_path}/*/manifest.json", f"{tmp_path}/c"], **LOOK})
    assert list(found) == [
        f"{tmp_path}/a/manifest.json",
        f"{tmp_path}/b/manifest.json",
        f"{tmp_path}/c",
    ]
    assert found[f"{tmp_path}/c"] == {"ok": None}


def test_an_owner_without_a_name_is_told_by_number():
    def look_up(number):
        raise KeyError(number)

    assert reading.name_of(look_up, 4711) == "4711"


# Packages, units, users


STANZA = """Package: {name}
Status: {status}
Architecture: {architecture}
Maintainer: nobody
Version: {version}
Description: a package
{more}
"""


@pytest.fixture
def dpkg(tmp_path, monkeypatch):
    """A database of packages for the real dpkg-query: rows of name, status, architecture and more."""
    monkeypatch.setenv("DPKG_ADMINDIR", str(tmp_path))
    (tmp_path / "info").mkdir()
    (tmp_path / "updates").mkdir()
    (tmp_path / "info" / "format").write_text("1\n")
    own = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True)

    def make(*rows):
        probe.dpkg.packages.cache_clear()
        (tmp_path / "status").write_text(
            "\n".join(
                STANZA.format(
                    name=name,
                    status=status,
                    architecture=architecture or own.stdout.strip(),
                    version="1.0-1",
                    more=more,
                )
                for name, status, architecture, more in rows
            )
        )

    yield make
    probe.dpkg.packages.cache_clear()


@pytest.mark.parametrize(
    ("status", "installed"),
    [
        ("install ok installed", True),
        ("hold ok installed", True),
        ("deinstall ok installed", True),
        ("install ok triggers-pending\nTriggers-Pending: x", True),
        ("install ok triggers-awaited\nTriggers-Awaited: libc-bin", False),
        ("install ok half-configured", False),
        ("install ok unpacked", False),
        ("install ok half-installed", False),
        ("install reinstreq installed", False),
        ("deinstall ok config-files", False),
        ("hold ok config-files", False),
        ("purge ok not-installed", False),
    ],
)
def test_a_packages_state_counts_and_not_what_somebody_wants(dpkg, status, installed):
    dpkg(("curl", status, None, ""))
    assert probe.dpkg.installed(["curl", "git"]) == {
        "curl": "1.0-1" if installed else None,
        "git": None,
    }


def test_a_package_of_a_foreign_architecture_is_another_one(dpkg):
    foreign = "armhf"
    dpkg(
        ("libc6", "install ok installed", None, "Multi-Arch: same"),
        ("libc6", "hold ok installed", foreign, "Multi-Arch: same"),
        ("box86", "install ok installed", foreign, ""),
        ("tzdata", "install ok installed", "all", ""),
    )
    names = ["libc6", f"libc6:{foreign}", "libc6:s390x", "box86", f"box86:{foreign}", "tzdata"]
    assert probe.dpkg.installed(names) == {
        "libc6": "1.0-1",
        f"libc6:{foreign}": "1.0-1",
        "libc6:s390x": None,
        "box86": None,
        f"box86:{foreign}": "1.0-1",
        "tzdata": "1.0-1",
    }


def test_what_an_installed_package_provides_is_told_with_its_name(dpkg):
    dpkg(
        ("mawk", "hold ok installed", None, "Provides: awk"),
        ("exim4", "deinstall ok config-files", None, "Provides: mail-transport-agent"),
        ("libcurl4-openssl-dev", "install ok installed", None, "Provides: x, libcurl4-dev (= 1)"),
    )
    names = ["awk", "libcurl4-dev", "mail-transport-agent", "mawk"]
    assert probe.dpkg.provided(names) == {"awk": "mawk", "libcurl4-dev": "libcurl4-openssl-dev"}
    assert probe.dpkg.installed(["awk"]) == {"awk": None}


def test_a_dpkg_that_fails_leaves_the_packages_unknown(commands):
    probe.dpkg.packages.cache_clear()
    commands("dpkg-query", "exit 2")
    assert "unknown" in probe.known(probe.dpkg.installed, ["cmake"])
    assert "unknown" in probe.known(probe.dpkg.provided, ["cmake"])


UNIT = "MainPID={pid}\\nResult=success\\nNRestarts=0\\nId={name}\\nLoadState=loaded\\n"


def test_units_are_told_with_their_processes(commands):
    running = UNIT.format(pid=os.getpid(), name="a.service")
    stopped = UNIT.format(pid=0, name="b.service")
    commands("systemctl", f"printf '{running}\\n{stopped}'")
    found = probe.units(["a.service", "b.service"], [])
    assert found["a.service"]["properties"]["Id"] == "a.service"
    assert found["a.service"]["process"]["ok"]["exe"] == os.path.realpath(sys.executable)
    assert found["b.service"]["process"] == {"ok": None}


def test_a_process_that_has_ended_meanwhile_is_unknown_and_its_unit_is_not(commands):
    process = subprocess.Popen(["true"])
    process.wait()
    commands("systemctl", f"printf '{UNIT.format(pid=process.pid, name='a.service')}'")
    found = probe.units(["a.service"], [])
    assert found["a.service"]["properties"]["LoadState"] == "loaded"
    assert "unknown" in found["a.service"]["process"]


def test_a_systemctl_that_tells_of_too_few_units_is_not_guessed_at(commands):
    commands("systemctl", f"printf '{UNIT.format(pid=0, name='a.service')}'")
    found = probe.known(probe.units, ["a.service", "b.service"], [])
    assert found == {
        "unknown": "ValueError: systemctl described 1 units and was asked for 2",
    }


def test_no_units_cost_no_command(commands):
    commands("systemctl", "exit 1")
    assert probe.units([], []) == {}


def test_of_a_process_environment_only_our_own_variables_are_told():
    environment = {**os.environ, "BRAMBLE_PLAN": "abc", "SECRET": "hunter2"}
    with subprocess.Popen(
        ["cat"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"x\n")
        process.stdin.flush()
        process.stdout.readline()  # it is surely the new program by now
        seen = reading.process(process.pid)
        process.stdin.close()
    assert seen["environ"]["BRAMBLE_PLAN"] == "abc"
    assert "hunter2" not in json.dumps(seen)
    assert seen["argv"] == ["cat"]
    assert seen["exe_sha256"] == hashlib.sha256(Path(seen["exe"]).read_bytes()).hexdigest()


MAPS = """
import mmap, sys
with open(sys.argv[1], "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
print(flush=True)
input()
"""


def test_a_mapped_file_that_was_replaced_is_told(tmp_path):
    model = tmp_path / "a model.gguf"
    model.write_bytes(b"GGUF")
    with subprocess.Popen(
        [sys.executable, "-c", MAPS, str(model)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert str(model) not in reading.process(process.pid)["gone"]
        (tmp_path / "new").write_bytes(b"GGUF")
        (tmp_path / "new").rename(model)
        assert str(model) in reading.process(process.pid)["gone"]
        process.communicate(b"\n")


def test_users_are_there_or_not(tmp_path, monkeypatch):
    monkeypatch.setattr(probe, "SHADOW", str(tmp_path / "none"))
    me = pwd.getpwuid(os.geteuid())
    entry = {"uid": me.pw_uid, "home": me.pw_dir, "shell": me.pw_shell, "password": None}
    found = probe.users([me.pw_name, "nobody-has-this-name"])
    assert found == {me.pw_name: entry, "nobody-has-this-name": None}


@pytest.mark.parametrize(
    ("name", "has"),
    [("locked", False), ("none", False), ("empty", True), ("set", True), ("x", None)],
)
def test_whether_a_user_has_a_password_is_told_without_it(tmp_path, monkeypatch, name, has):
    shadow = tmp_path / "shadow"
    shadow.write_text("locked:!*:1:::::\nnone:*:1:::::\nempty::1:::::\nset:$y$j9T$a$b:1:::::\n")
    monkeypatch.setattr(probe, "SHADOW", str(shadow))
    assert probe.has_password(name) is has


# URLs


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def listener():
    """Answer one connection with the given bytes; gives the URL."""
    server = socket.create_server(("127.0.0.1", 0))
    threads = []

    def answer(text):
        def serve():
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(text)

        threads.append(threading.Thread(target=serve, daemon=True))
        threads[0].start()
        return f"http://127.0.0.1:{server.getsockname()[1]}/health"

    yield answer
    for thread in threads:
        thread.join()
    server.close()


def test_nothing_listening_is_status_0_and_not_unknown():
    answer = probe.known(probe.get, f"http://127.0.0.1:{closed_port()}/health")
    assert answer["ok"]["status"] == 0


@pytest.mark.parametrize(
    ("head", "status"), [("200 OK", 200), ("503 Service Unavailable", 503), ("404 Not Found", 404)]
)
def test_an_answer_is_told_with_its_status_and_body(listener, head, status):
    url = listener(f"HTTP/1.1 {head}\r\nConnection: close\r\n\r\n{{}}".encode())
    assert probe.get(url) == {"status": status, "body": "{}"}


@pytest.mark.parametrize("noise", [b"SSH-2.0-OpenSSH_9.2\r\n", b""])
def test_something_that_is_not_http_is_unknown_and_does_no_harm(listener, noise):
    url = listener(noise)
    assert list(probe.answers([url])[url]) == ["unknown"]


def test_a_proxy_of_the_environment_is_not_asked(listener, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    assert probe.get(listener(b"HTTP/1.1 200 OK\r\n\r\nok"))["status"] == 200


# Room, and the whole


def test_room_is_that_of_the_nearest_folder_that_there_is(tmp_path):
    found = probe.free([str(tmp_path), str(tmp_path / "a" / "b")])
    assert list(found) == [str(tmp_path), str(tmp_path / "a" / "b")]
    assert all(room > 0 for room in found.values())


def test_a_machine_without_a_device_tree_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr(probe, "DEVICE_TREE", str(tmp_path / "none"))
    assert probe.device_tree() is None


def test_a_file_of_sysfs_is_read_though_its_size_is_a_page():
    """The kernel calls each of them 4096 bytes long and gives a line."""
    seen = probe.file("/sys/kernel/uevent_seqnum", LOOK | {"hash_limit_bytes": 8192})
    assert (seen["kind"], seen["size"]) == ("file", 4096)
    assert seen["text"].strip().isdecimal()
    assert len(seen["sha256"]) == 64


def test_a_device_tree_is_told_as_bytes(tmp_path, monkeypatch):
    (tmp_path / "system").mkdir()
    (tmp_path / "chosen" / "power").mkdir(parents=True)
    (tmp_path / "chosen" / "power" / "max_current").write_bytes(bytes.fromhex("00001388"))
    (tmp_path / "model").write_bytes(b"Raspberry Pi 5\0")
    (tmp_path / "system" / "linux,revision").write_bytes(bytes.fromhex("00d04170"))
    monkeypatch.setattr(probe, "DEVICE_TREE", str(tmp_path))
    assert probe.device_tree() == {
        "model": b"Raspberry Pi 5\0".hex(),
        "system/linux,revision": "00d04170",
        "chosen/power/max_current": "00001388",
    }


def test_a_look_at_any_machine_is_one_object_that_can_be_read(tmp_path):
    """As it is run on nodes: on standard input of an isolated Python, here without its tools."""
    query = {"files": [str(tmp_path / "*"), str(tmp_path / "none")], "hash_limit_bytes": 10}
    query |= {"units": ["a.service"], "packages": ["curl"], "users": [], "http": [], "free": ["/"]}
    done = subprocess.run(
        [sys.executable, "-Iu", "-"],
        input=remote.program("probe", query),
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    seen = snapshot.read(remote.answer(done.stdout))
    assert seen.file(str(tmp_path / "none")) is None
    assert not isinstance(seen.memory_kib, snapshot.Unknown)
    for part in (seen.units, seen.packages, seen.system, seen.sockets, seen.disks):
        assert isinstance(part, snapshot.Unknown)
        assert "FileNotFoundError" in part.why


# What was told at boot


@pytest.mark.parametrize(
    ("prefix", "path"),
    [
        (None, "/boot/firmware/cmdline.txt"),
        (b"\0", "/boot/firmware/cmdline.txt"),
        (b"current/\0", "/boot/firmware/current/cmdline.txt"),
    ],
)
def test_os_prefix_moves_the_kernels_line(monkeypatch, tmp_path, prefix, path):
    monkeypatch.setattr(probe, "DEVICE_TREE", str(tmp_path))
    if prefix is not None:
        (tmp_path / "chosen").mkdir()
        (tmp_path / "chosen/os_prefix").write_bytes(prefix)
    assert probe.boot()["cmdline_path"] == path


def test_files_that_config_txt_includes_are_read_as_deep_as_they_go(monkeypatch, tmp_path):
    monkeypatch.setattr(probe, "FIRMWARE", str(tmp_path))
    (tmp_path / "config.txt").write_text("arm_boost=1\n include a.txt\n#include no.txt\n")
    (tmp_path / "a.txt").write_bytes(b"include b.txt\r\ninclude a.txt\r\n")
    seen = probe.boot()
    assert seen["included"] == {"a.txt": "include b.txt\r\ninclude a.txt\r\n", "b.txt": None}
    assert snapshot.Boot(**seen).included["b.txt"] is None


def test_a_boot_files_line_endings_are_seen_as_they_are(tmp_path):
    (tmp_path / "config.txt").write_bytes(b"arm_boost=1\r\n")
    assert reading.read(str(tmp_path / "config.txt"), newline="") == "arm_boost=1\r\n"


def test_a_program_is_told_with_the_model_files_that_it_has_mapped(tmp_path):
    kept, gone = tmp_path / "kept.gguf", tmp_path / "gone.gguf"
    maps = []
    for path in (kept, gone):
        path.write_bytes(b"GGUF" * 1024)
        with path.open("rb") as file:
            maps.append(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
    gone.unlink()
    try:
        name = os.path.basename(os.readlink("/proc/self/exe"))
        own = [one for one in reading.programs([name])[name] if one["pid"] == os.getpid()]
        ((found,), path) = own, str(kept)
    finally:
        for one in maps:
            one.close()
    assert path in found["models"]
    assert str(gone) in found["gone"]
    assert found["locked"].endswith(" kB")
