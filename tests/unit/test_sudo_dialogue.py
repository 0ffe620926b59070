"""A sudo that neither asks nor begins ends its host with what it said, and within its limit."""

from types import SimpleNamespace

import gevent
import pytest
from pyinfra.api import StringCommand

from bramble.pyinfra import sudo

LINE = StringCommand("true")


def channel(receive):
    """A channel whose transport is up, and from which this is received."""
    transport = SimpleNamespace(is_active=lambda: True)
    return SimpleNamespace(
        recv_stderr=receive, get_transport=lambda: transport, sendall=lambda data: None
    )


def dialogue():
    """A dialogue with a sudo of the account pi."""
    of = SimpleNamespace(asks=False, refused=set(), user="pi")
    return sudo.Dialogue(of, LINE, "secret", b"[asks]", b"[begins]")


def test_one_that_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(sudo, "ANSWER_S", 0.05)
    said = iter([b"Welcome\n"])

    def receive(_size):
        for words in said:
            return words
        gevent.sleep(60)
        return b""

    with pytest.raises(sudo.SudoError, match=r"did not begin within 0.05 s: it said 'Welcome'"):
        dialogue().hold(channel(receive), pty=False)


def test_one_that_says_much_is_given_up():
    with pytest.raises(sudo.SudoError, match="says much, and neither asks nor begins"):
        dialogue().hold(channel(lambda size: b"x" * size), pty=False)


def test_a_wrong_password_is_given_once():
    asked = iter([b"[asks]", b"Sorry, try again.\n[asks]"])
    talk = dialogue()
    with pytest.raises(sudo.SudoError, match="tried once, and is not tried again in this run"):
        talk.hold(channel(lambda size: next(asked)), pty=False)
    assert talk.sudo.refused == {"secret"}


def test_what_a_command_says_behind_the_mark_is_its_own():
    said = iter([b"[asks]", b"[begins]own words"])
    assert dialogue().hold(channel(lambda size: next(said)), pty=False) == b"own words"
