"""`bramble status` over SSH to stand-ins of nodes, and its live view on a terminal of its own."""

import fcntl
import json
import os
import select
import struct
import sys
import termios
import threading
import time
from contextlib import contextmanager

import paramiko
import pytest
from click.testing import CliRunner

from bramble import fleet
from bramble.cli import keys, live, main
from bramble.cli import status as command
from bramble.ssh import stream
from bramble.status import pauses, streams
from bramble.status.result import FleetStatus
from bramble.status.wanted import wanted
from tests.unit.ssh_nodes import Listening
from tests.unit.status_made import line, status

DEADLINE_S = 120
FLEET = "settings: {model: {name: toy, url: 'http://x.example/a.gguf', sha256: %s}}\nhosts:\n"


class Lan:
    """Nodes on loopback, and the inventory that names them."""

    def __init__(self, folder):
        self.folder, self.hosts, self.listening = folder / "inventory", [], []
        self.folder.mkdir()
        self.key, self.guest = paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate()
        self.guest.write_private_key_file(str(self.folder / "id"))
        self.known = self.folder / "known_hosts"
        self.known.touch()
        self.write()

    def write(self):
        hosts = "".join(f"  {host}\n" for host in self.hosts)
        (self.folder / "fleet.yml").write_text(FLEET % ("d" * 64) + hosts)

    def node(self, name, script, trusted=True):
        """A node on which python3 is a script."""
        programs = self.folder.parent / f"programs-{name}"
        programs.mkdir()
        (programs / "python3").write_text(f"#!/bin/sh\n{script}\n")
        (programs / "python3").chmod(0o755)
        made = Listening(self.key, self.guest, programs)
        self.listening.append(made)
        if trusted:
            self.trust(made.port, self.key)
        self.host(name, made.port)
        return made

    def trust(self, port, key):
        with self.known.open("a") as file:
            file.write(f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n")

    def host(self, name, port):
        where = f"address: 127.0.0.1, port: {port}, key: {self.folder / 'id'}, user: pi"
        self.hosts.append(f"{name}: {{ssh: {{{where}}}}}")
        self.write()

    def fleet(self):
        hosts = fleet.load(self.folder).hosts.values()
        return streams.Fleet([wanted(host) for host in hosts], time.monotonic())


@pytest.fixture
def lan(tmp_path, monkeypatch):
    """No nodes yet; all are closed at the end."""
    made = Lan(tmp_path)
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(made.folder))
    monkeypatch.chdir(tmp_path)
    yield made
    for listening in made.listening:
        listening.close()


def told(**changes):
    """A script that prints one line, as a node does that is asked once."""
    return f"cat <<'END'\n{line(**changes)}\nEND"


def every_second(**changes):
    """A script that prints a line again and again, until its input ends."""
    return f"while {told(**changes)}\ndo sleep 0.2; done"


def bramble(*words):
    return CliRunner().invoke(main, ["status", *words])


def test_a_fleet_that_is_well_has_a_row_for_each_host_and_ends_with_0(lan):
    lan.node("pi5-a", told())
    lan.node("pi4-b", told(temperature_c=61.8))
    done = bramble()
    assert done.exit_code == 0, done.output
    rows = [row.split() for row in done.stdout.splitlines()]
    assert rows[0][:3] == ["HOST", "STATE", "MODEL"]
    assert [row[:3] for row in rows[1:3]] == [
        ["pi5-a", "healthy", "toy"],
        ["pi4-b", "healthy", "toy"],
    ]
    assert "62 °C" in done.stdout
    assert done.stdout.splitlines()[-1] == "2 hosts: 2 well"


def test_json_has_all_that_the_rows_have(lan):
    lan.node("pi5-a", told())
    done = bramble("--json")
    found = FleetStatus.model_validate_json(done.stdout)
    assert (found.kind, found.version) == ("bramble status", 1)
    (host,) = found.hosts
    assert (host.host, host.state, host.tokens_per_s, host.slots) == ("pi5-a", "healthy", 7.94, 1)
    assert json.loads(done.stdout)["hosts"][0]["models"][0]["planned"] is True


def test_each_host_that_fails_says_why_and_what_to_do_and_holds_up_none(lan):
    lan.node("well", told())
    lan.node("untrusted", told(), trusted=False)
    changed = lan.node("changed", told(), trusted=False)
    lan.trust(changed.port, paramiko.ECDSAKey.generate())
    lan.host("dead", 9)
    lan.node("bare", "echo 'python3: not found' >&2; exit 127")
    lan.node("odd", "echo hello")
    lan.node("loading", told(health="HTTP 503"))
    done = bramble("--json")
    found = {host.host: host for host in FleetStatus.model_validate_json(done.stdout).hosts}
    assert done.exit_code == 1
    assert {name: host.state for name, host in found.items()} == {
        "well": "healthy",
        "untrusted": "unreachable",
        "changed": "unreachable",
        "dead": "unreachable",
        "bare": "unreachable",
        "odd": "unreachable",
        "loading": "loading",
    }
    assert "run `bramble trust untrusted` first" in found["untrusted"].why
    assert "--replace" in found["changed"].why
    assert found["dead"].why.startswith("nothing listens at 127.0.0.1:9")
    assert found["bare"].why.endswith("code 127: python3: not found")
    assert found["odd"].why.startswith("what it says cannot be read")
    table = bramble("-q")
    assert "well " not in table.stdout.splitlines()[1]
    assert table.stdout.splitlines()[-1].startswith("7 hosts: 1 well, not: untrusted, changed")


def test_a_host_that_takes_connections_and_says_nothing_is_waited_for_no_longer_than_the_limit(lan):
    lan.node("well", told())
    lan.node("hangs", "sleep 100")
    found = lan.fleet()
    found.ask(limit_s=3)
    assert found.known["well"].said.health == "HTTP 200"
    assert found.known["hangs"].said is None
    assert found.known["hangs"].is_silent(time.monotonic() + 30)
    assert streams.LIMIT_S == 30


def test_a_node_runs_one_command_and_its_program_comes_on_the_input(lan):
    made = lan.node("pi5-a", told())
    bramble()
    (asked,) = made.commands
    assert asked.startswith("python3 -Iuc 'import sys; exec(sys.stdin.buffer.read(")
    assert len(asked) < 80


def test_a_node_that_prints_without_end_is_left(lan):
    lan.node("floods", "yes '{}'")
    lan.node("long", "head -c 200000 /dev/zero | tr '\\0' x")
    done = bramble("--json")
    found = FleetStatus.model_validate_json(done.stdout).hosts
    whys = {host.host: host.why for host in found}
    assert whys["long"] == "it prints more than was asked for"
    made = lan.fleet()
    events = []
    streams.listen(made.hosts["floods"], events.append, once=False)
    assert events[-1].problem == "it prints more than was asked for"


def until(condition):
    """Wait for it."""
    end_s = time.monotonic() + DEADLINE_S
    never = threading.Event()
    while not condition():
        assert time.monotonic() < end_s, "it did not come"
        never.wait(0.05)


def test_a_connection_that_ends_is_made_again_and_the_host_is_heard_again(lan, monkeypatch):
    monkeypatch.setattr(pauses, "FIRST_S", 0)
    problems, take = [], streams.Fleet._take

    def noted(fleet, event):
        """Take an event up: what it says may be over before the next look."""
        problems.extend([event.problem] if event.problem else [])
        take(fleet, event)

    monkeypatch.setattr(streams.Fleet, "_take", noted)
    node = lan.node("pi5-a", every_second())
    found = lan.fleet()
    found.follow()

    def heard():
        found.take_up()
        return found.known["pi5-a"]

    until(lambda: heard().said)
    node.cut()
    until(lambda: heard() and problems)
    assert problems[0].startswith("the connection ended")
    until(lambda: not heard().problem)
    found.end()
    node.cut()
    assert len(node.commands) == 2


def test_a_program_is_told_now_and_then_that_somebody_listens(lan, monkeypatch):
    monkeypatch.setattr(stream, "BEAT_S", 0)
    beats = lan.folder / "beats"
    # It copies what comes after the program, which ends with a line end.
    lan.node("pi5-a", f"exec 3<&0; cat <&3 >{beats} & {every_second()}")
    found = lan.fleet()
    found.follow()
    text = b"raise SystemExit(code)\n\n\n\n"
    until(lambda: beats.exists() and text in beats.read_bytes())
    found.end()


def test_watch_and_json_do_not_go_together(lan):
    lan.node("pi5-a", told())
    done = bramble("--watch", "--json")
    assert done.exit_code == 2
    assert "--watch is for people" in done.stderr


def test_off_a_terminal_a_line_is_told_for_each_change(lan, monkeypatch):
    lan.host("dead", 9)
    lan.node("pi5-a", every_second())
    seen = []

    def wait(_seconds):
        if len(seen) > 1:
            raise KeyboardInterrupt

    def echo(text, **_more):
        if text.startswith("20"):
            seen.append(text)

    monkeypatch.setattr(live.tell_changes, "__defaults__", (wait,))
    monkeypatch.setattr(live.click, "echo", echo)
    assert bramble("--watch").exit_code == 0
    assert {text.split()[1] for text in seen} == {"dead:", "pi5-a:"}


# On a terminal


class Terminal:
    """A pseudo-terminal: what is drawn on it, and keys that are pressed once something is there."""

    def __init__(self, width=120, height=24):
        self.master, self.slave = os.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.drawn, self.script, self.missed = "", [], []
        self.over = threading.Event()

    def play(self, *script):
        """Press keys, each after its text was drawn."""
        self.script = list(script)
        self.thread = threading.Thread(target=self._play, daemon=True)
        self.thread.start()

    def _play(self):
        since = 0
        end_s = time.monotonic() + DEADLINE_S
        while not self.over.is_set():
            if select.select([self.master], [], [], 0.05)[0]:
                self.drawn += os.read(self.master, 65536).decode(errors="replace")
            if self.script and self.script[0][0] in self.drawn[since:]:
                since = len(self.drawn)
                os.write(self.master, self.script.pop(0)[1])
            elif self.script and time.monotonic() > end_s:
                self.missed.append(self.script.pop(0)[0])
                os.write(self.master, b"q")

    def end(self):
        """Take up what is still to be drawn, and end."""
        while select.select([self.master], [], [], 0.2)[0] and self.thread.is_alive():
            self.over.wait(0.05)
        self.over.set()
        self.thread.join(DEADLINE_S)


@contextmanager
def on_terminal(*script):
    """Have a part of a test run on a terminal, on which these keys are pressed."""
    made = Terminal()
    with (
        open(made.slave, encoding="utf-8") as stdin,
        open(os.dup(made.slave), "w", encoding="utf-8") as stdout,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("TERM", "xterm-256color")
        for name in ("NO_COLOR", "COLUMNS", "LINES"):
            patch.delenv(name, raising=False)
        patch.setattr(sys, "stdin", stdin)
        patch.setattr(sys, "stdout", stdout)
        made.play(*script)
        try:
            yield made
        finally:
            stdout.flush()
            made.end()
    os.close(made.master)
    assert made.missed == []


def hosts():
    return status("pi5-a"), status("pi4-b", throttled=0x1), status("pi4-c", health="HTTP 503")


def test_the_view_shows_the_fleet_and_ends_with_q_leaving_the_terminal_as_it_was():
    with on_terminal(("q quit", b"q")) as terminal:
        before = termios.tcgetattr(terminal.slave)
        live.watch(hosts, lambda: None)
        after = termios.tcgetattr(terminal.slave)
    assert after == before
    assert "3 hosts, 2 well; not: pi4-c" in terminal.drawn
    assert "undervoltage" in terminal.drawn
    # Another screen, which is left at the end.
    assert terminal.drawn.index("\x1b[?1049h") < terminal.drawn.index("\x1b[?1049l")


def test_keys_choose_a_host_and_run_its_commands(monkeypatch):
    ran, renewed = [], []
    monkeypatch.setattr(live, "_run", ran.append)
    script = (
        ("pi5-a: healthy", b"\x1b[B"),
        ("pi4-b: healthy", b"v"),
        ("pi4-b: healthy", b"j"),
        ("pi4-c: its model", b"l"),
        ("pi4-c: its model", b"/"),
        ("/_", b"5"),
        ("/5_", b"\r"),
        ("names with '5'", b"a"),
        ("Ask pi5-a", b"What is 2+2?\n"),
        ("names with '5'", b"q"),
    )
    with on_terminal(*script):
        live.watch(hosts, lambda: renewed.append(1))
    assert ran == [
        ["verify", "pi4-b"],
        ["logs", "pi4-c", "-f"],
        ["ask", "--host", "pi5-a", "--", "What is 2+2?"],
    ]
    assert len(renewed) == 3


def test_a_command_runs_in_the_terminal_and_any_key_leads_back(capfd):
    with on_terminal(("back to the fleet", b" ")) as terminal:
        live._run(["--version"])
    assert capfd.readouterr().out.startswith("bramble, version")
    assert "$ bramble --version" in terminal.drawn


def test_a_terminal_that_is_gone_ends_the_view(monkeypatch):
    ours, theirs = os.pipe()
    os.close(theirs)
    with open(ours, encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert keys.pressed(DEADLINE_S) == ["q"]
        monkeypatch.undo()


def test_on_a_terminal_watch_shows_the_view(lan, monkeypatch):
    lan.host("dead", 9)
    shown = []
    monkeypatch.setattr(command, "is_person", lambda: True)
    monkeypatch.setattr(live, "watch", lambda look, renew: shown.append((look(), renew())))
    assert bramble("--watch").exit_code == 0
    assert shown[0][0][0].host == "dead"
