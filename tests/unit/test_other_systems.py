"""What a person's computer without Linux does: macOS, forced by taking from Python what that lacks."""

import hashlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bramble import computer
from bramble.remote import settle

ROOT = Path(__file__).parents[2]
CONTENT = bytes(range(256)) * 20_000


@pytest.fixture
def elsewhere(monkeypatch):
    """Have this process find another system than Linux."""
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delattr(os, "posix_fadvise")
    monkeypatch.delattr(socket, "TCP_USER_TIMEOUT")

    def sendfile(*arguments):
        raise AssertionError("sendfile is Linux's own")

    monkeypatch.setattr(os, "sendfile", sendfile)


def sent(file, start):
    """What the other end of a connection gets of a file."""
    ours, theirs = socket.socketpair()
    with theirs:

        def send():
            with ours, open(file, "rb") as opened:
                computer.send_file(ours, opened, start)

        sending = threading.Thread(target=send)
        sending.start()
        got = b"".join(iter(lambda: theirs.recv(1 << 16), b""))
        sending.join()
    return got


@pytest.mark.parametrize("start", [0, 12_345, len(CONTENT)])
def test_a_file_is_sent_from_where_it_is_asked_for(tmp_path, elsewhere, start):
    (tmp_path / "file").write_bytes(CONTENT)
    assert sent(tmp_path / "file", start) == CONTENT[start:]


def test_linux_sends_by_its_kernel(tmp_path, monkeypatch):
    calls, real = [], os.sendfile
    monkeypatch.setattr(os, "sendfile", lambda *words: calls.append(words) or real(*words))
    (tmp_path / "file").write_bytes(CONTENT)
    assert sent(tmp_path / "file", 7) == CONTENT[7:]
    assert calls


def test_a_connection_without_the_kernels_clock_is_left_as_it_is(elsewhere):
    with socket.socket() as connection:
        assert computer.end_when_unanswered(connection, 15_000) is False


def test_on_linux_the_kernel_ends_a_connection_that_nobody_answers():
    with socket.socket() as connection:
        assert computer.end_when_unanswered(connection, 15_000) is True
        said = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert said == 15_000


def test_a_fetched_file_is_hashed_where_the_kernel_cannot_be_told_to_forget_it(tmp_path, elsewhere):
    (tmp_path / "file").write_bytes(CONTENT)
    found = settle.Settling(str(tmp_path / "file")).digest(len(CONTENT))
    assert found == hashlib.sha256(CONTENT).hexdigest()


def test_memory_that_the_system_does_not_tell_is_taken_for_little(monkeypatch):
    assert computer.memory_mib() > 256
    monkeypatch.setattr(os, "sysconf_names", {})
    assert computer.memory_mib() == 4096


def bramble(*words, cwd, **more):
    """The command in a process that lacks what Linux has."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("BRAMBLE_")}
    return subprocess.run(
        [sys.executable, "-c", "from bramble.cli import main; main()", *map(str, words)],
        cwd=cwd,
        env={**known, "PYTHONPATH": str(ROOT / "tests" / "portable"), **more},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture
def project(tmp_path):
    """A project with a host that nothing listens at."""
    made = bramble("init", tmp_path / "fleet", "--host", "a=127.0.0.1:1", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    demo = ROOT / "models" / "bramble-demo-q8_0.gguf"
    text = f"model: {{name: toy, path: {demo}, sha256: {'d' * 64}}}\nengine: {{recipe: cross}}\n"
    (tmp_path / "fleet" / "inventory" / "hosts" / "a.yml").write_text(text)
    return tmp_path / "fleet"


def test_commands_run_and_pyinfra_connects(project):
    assert bramble("config", "a", cwd=project).returncode == 0
    assert bramble("checks", cwd=project).returncode == 0
    plan = bramble("plan", "a", cwd=project)
    assert plan.returncode == 1
    assert "a: nothing listens at 127.0.0.1:1" in plan.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("virtual", "up"), "virtual Pis need Linux, this is darwin: use a Debian machine"),
        (("try",), "virtual Pis need Linux, this is darwin: use a Debian machine"),
        (
            ("engine", "build", "--soc", "cortex-a76"),
            "nodes' llama.cpp is compiled on Linux, this is macOS on ",
        ),
        (("engine", "build", "--soc", "x86-64"), "x86-64 is no processor that macOS on "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_only_linux_can_do_is_refused_in_a_sentence(project, words, said, tmp_path):
    done = bramble(*words, cwd=project, BRAMBLE_STORE=str(tmp_path / "store"))
    assert done.returncode == 1, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
