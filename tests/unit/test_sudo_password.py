"""sudo's password on its way to a run: out of the environment, through a pipe, asked on a terminal."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from bramble import sudo_password
from bramble.cli import main
from bramble.sudo_password import COMMAND, OPTION, VARIABLE, PasswordError

SECRET = "of this very test"


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(sudo_password, "_kept", {})
    for name in (VARIABLE, COMMAND):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.fault("F28")
def test_it_is_taken_out_of_the_environment(monkeypatch):
    monkeypatch.setenv(VARIABLE, SECRET)
    sudo_password.take()
    assert sudo_password.given() == SECRET
    assert VARIABLE not in os.environ
    sudo_password.take()
    assert sudo_password.given() == SECRET


@pytest.mark.parametrize(
    "secret", [SECRET, "ä\udcff", "x" * sudo_password.LONGEST], ids=["words", "bytes", "longest"]
)
def test_a_child_process_takes_it_from_a_pipe_and_has_it_in_no_environment(secret):
    sudo_password.keep(secret, VARIABLE)
    script = (
        "import os\n"
        "from pathlib import Path\n"
        "from bramble import sudo_password\n"
        "sudo_password.take()\n"
        f"assert sudo_password.given() == {secret!r}\n"
        f"assert {os.fsencode(secret)!r} not in Path('/proc/self/environ').read_bytes()\n"
        "assert len(os.listdir('/proc/self/fd')) <= 4\n"
    )
    with sudo_password.handed_on() as (variables, descriptors):
        argv = [sys.executable, "-c", script]
        subprocess.run(argv, env=os.environ | variables, pass_fds=descriptors, check=True)


def test_nothing_is_handed_on_where_nothing_was_given():
    with sudo_password.handed_on() as given:
        assert given == ({}, ())


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("two\nlines", "has more than one line"),
        ("x" * (sudo_password.LONGEST + 1), "has more than 1023 bytes"),
    ],
)
def test_what_sudo_could_not_read_as_one_password_is_refused_without_being_shown(
    monkeypatch, password, why
):
    monkeypatch.setenv(VARIABLE, password)
    done = CliRunner().invoke(main, ["checks"])
    assert done.exit_code == 2
    assert f"{VARIABLE}: the password {why}" in done.output
    assert password[:10] not in done.output


def test_an_empty_variable_is_none(monkeypatch):
    monkeypatch.setenv(VARIABLE, "")
    sudo_password.take()
    assert sudo_password.given() is None
    with pytest.raises(PasswordError, match="is empty"):
        sudo_password.keep("", OPTION)


def test_a_command_that_cannot_be_read_is_wrong_usage(monkeypatch):
    monkeypatch.setenv(COMMAND, "pass 'show")
    done = CliRunner().invoke(main, ["checks"])
    assert (done.exit_code, COMMAND in done.output) == (2, True)


@pytest.mark.parametrize(
    "words", [("verify",), ("up",), ("plan", "pi"), ("bench", "pi"), ("upgrade",)]
)
def test_nobody_is_asked_where_there_is_no_terminal(words):
    done = CliRunner().invoke(main, [*words, OPTION])
    assert done.exit_code == 2
    assert f"{OPTION} needs a terminal to ask on" in done.output
    assert COMMAND in done.output
