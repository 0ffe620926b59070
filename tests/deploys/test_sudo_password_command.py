"""The command that prints sudo's password: run as a shell would run it, and told of in words."""

import time
from types import SimpleNamespace

import pytest
from pyinfra.connectors.util import OutputLine

from bramble import sudo_password
from bramble.pyinfra import sudo
from bramble.sudo_password import COMMAND

SECRET = "canary"


@pytest.fixture
def ask(monkeypatch):
    """The password for a host, when the command is this one."""
    monkeypatch.setattr(sudo_password, "_kept", {})
    monkeypatch.setattr(sudo, "_printed", {})

    def asked(command, host="pi5-a"):
        monkeypatch.setenv(COMMAND, command)
        return sudo.password_for(host)

    return asked


def test_its_first_line_is_the_password(ask):
    assert ask(f"printf '{SECRET}\\r\\nuser: pi\\n'") == SECRET


def test_no_command_is_no_password(ask):
    assert ask("") is None


def test_it_runs_once_for_all_hosts_and_once_for_each_that_it_is_given(ask, tmp_path):
    noted = f"sh -c 'echo ran >>{tmp_path}/ran; echo {SECRET}'"
    assert [ask(noted, host) for host in ("a", "b", "a")] == [SECRET] * 3
    assert (tmp_path / "ran").read_text() == "ran\n"
    own = f"sh -c 'echo $0 >>{tmp_path}/own; echo {SECRET}-$0' {{host}}"
    printed = [ask(own, host) for host in ("a", "b", "a")]
    assert printed == [f"{SECRET}-{host}" for host in ("a", "b", "a")]
    assert (tmp_path / "own").read_text() == "a\nb\n"


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (
            f"sh -c 'echo {SECRET}; echo {SECRET} >&2; exit 3'",
            "ended with exit code 3; run sh your",
        ),
        ("no-such-program show", "no-such-program cannot be run: No such file or directory"),
        ("true", "the password is empty"),
    ],
)
def test_its_failure_is_told_without_what_it_printed(ask, capfd, command, why):
    for _ in range(2):
        with pytest.raises(sudo.SudoError, match=why) as caught:
            ask(command)
        assert SECRET not in str(caught.value)
    assert SECRET not in "".join(capfd.readouterr())


def test_it_is_ended_where_it_takes_too_long_and_so_is_nobody_who_waits(ask, monkeypatch):
    monkeypatch.setattr(sudo, "COMMAND_LIMIT_S", 0.2)
    began_s = time.monotonic()
    with pytest.raises(sudo.SudoError, match=r"took longer than 0\.2 s"):
        # What it has started keeps its output open.
        ask("sh -c 'sleep 100 & wait'")
    assert time.monotonic() - began_s < 60


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        (["sudo: a password is required"], True),
        (["sudo-rs: interactive authentication is required"], True),
        (["sudo: Ein Passwort ist notwendig"], True),
        (["welcome", "sudo: a password is required"], True),
        (["half of it", "sudo: Ein Passwort ist notwendig"], False),
        (["E: no such package"], False),
        ([], False),
    ],
)
def test_a_sudo_that_began_nothing_is_known_by_its_words_or_by_nobody_elses(said, asked):
    lines = [OutputLine("stderr", line) for line in said]
    known = sudo.Sudo(SimpleNamespace(data={}))
    assert known.asked(lines, {"_sudo": True}) is asked
    assert not known.asked(lines, {})
