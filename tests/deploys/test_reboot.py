"""A reboot as this computer sees it: the boot's identity decides, whatever the connection does."""

from types import SimpleNamespace

import pytest
from pyinfra.api.exceptions import ConnectError
from pyinfra.connectors.ssh import SSHConnector

from bramble.pyinfra import connection, reboot

QUERY = {"always": True, "when": []}


class Connector(SSHConnector):
    """A connection to a host that says one thing at each attempt, and the last for ever."""

    def __init__(self, host, said):
        self.host, self.said, self.closed = host, list(said), 0
        self.client = SimpleNamespace(close=self.close, get_transport=lambda: None)

    def close(self):
        self.closed += 1

    def connect(self):
        now = self.said.pop(0) if len(self.said) > 1 else self.said[0]
        if isinstance(now, Exception) and not isinstance(now, TimeoutError):
            raise now
        self.host.now = now


class Host:
    """As much of pyinfra's host as a reboot needs."""

    name = "pi5-a"

    def __init__(self, *said):
        self.lines, self.connected, self.now = [], True, None
        self.boot_is = "running"
        self.connector = Connector(self, said)

    def log(self, line):
        self.lines.append(line)

    def disconnect(self):
        self.connected = False

    def run_shell_command(self, command, _timeout):
        said = self.boot_is if command == reboot.SETTLED else self.now
        if isinstance(said, Exception):
            raise said
        return True, SimpleNamespace(stdout=f"{said}\n", stderr="")


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    """The program's answer, and a clock that only sleeping moves."""
    made = SimpleNamespace(answer=(True, '{"rebooting": true, "boot_id": "one"}'), now_s=0.0)
    monkeypatch.setattr(connection, "run", lambda *_args: made.answer)
    monkeypatch.setattr(reboot.time, "monotonic", lambda: made.now_s)

    def sleep(seconds):
        made.now_s += seconds

    monkeypatch.setattr(reboot.time, "sleep", sleep)
    return made


def once(host, deadline_s=60):
    return reboot.once(host, "reboot", QUERY, 60, deadline_s)


def test_a_host_that_is_slow_to_go_down_is_not_taken_for_one_that_came_back():
    host = Host("one", "one", ConnectError("refused"), TimeoutError(), OSError("reset"), "two")
    assert once(host) is None
    assert host.connected
    assert host.lines == ["rebooted in 10 s"]


def test_the_old_connection_and_every_one_that_did_not_help_is_let_go():
    host = Host("one", ConnectError("refused"), "two")
    once(host)
    assert host.connector.closed == 3


def test_waiting_is_told_every_now_and_then():
    host = Host(*["one"] * 20, "two")
    assert once(host) is None
    assert host.lines == [
        "waiting for the next boot: 16 of 60 s, it has not gone down yet",
        "waiting for the next boot: 32 of 60 s, it has not gone down yet",
        "rebooted in 40 s",
    ]


def test_what_to_do_is_said_once_the_deadline_has_passed():
    refused = "pi@node does not take id_ed25519: put the public key there (`ssh-copy-id pi@node`)"
    host = Host(ConnectError(refused))
    assert refused in once(host, deadline_s=30)
    assert host.lines == ["waiting for the next boot: 16 of 30 s, pi@node does not take id_ed25519"]


def test_a_boot_that_is_not_through_is_told_and_gone_on_from():
    host = Host("two")
    host.boot_is = ""  # what timeout ended
    assert once(host) is None
    assert host.lines == [
        "rebooted in 0 s",
        "its boot is not through after 180 s; going on with what there is",
    ]


def test_a_host_that_is_lost_again_while_it_boots_fails():
    host = Host("two")
    host.boot_is = OSError("reset")
    assert once(host) == "the node answered after its reboot, and then no more: reset"


def test_a_host_that_does_not_come_back_is_given_up_at_the_deadline(asked):
    problem = once(Host(ConnectError("no route")), deadline_s=30)
    assert "did not come back within 30 s (no route)" in problem
    assert "boot.reboot_deadline_s" in problem
    assert 30 < asked.now_s <= 30 + reboot.TRY_EVERY_S


def test_nothing_to_reboot_for_leaves_the_connection_alone(asked):
    asked.answer = (True, '{"rebooting": false, "boot_id": "one"}')
    host = Host("one")
    assert once(host) is None
    assert host.connected
    assert host.connector.closed == 0


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ((False, "a build must end first\n"), "a build must end first"),
        ((False, ""), "the reboot was refused without a word"),
        ((True, "Welcome!"), "the node's answer cannot be read"),
    ],
)
def test_a_reboot_that_was_not_begun_is_not_waited_for(asked, answer, problem):
    asked.answer = answer
    host = Host("one")
    assert problem in once(host)
    assert host.connected


def test_only_what_is_reached_over_ssh_is_rebooted():
    host = Host("one")
    host.connector = object()
    assert "over SSH" in once(host)
