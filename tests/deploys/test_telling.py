"""What is said of a host in the terminal, and what a host may send: bounded, and nothing that acts."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from bramble.pyinfra import releases, telling
from tests.deploys.fake_hosts import FakeHost


@dataclass
class Fleet:
    """What hosts log."""

    state: object = field(default_factory=SimpleNamespace)
    logged: list[str] = field(default_factory=list)


def said(text):
    fleet = Fleet()
    telling.say(FakeHost("pi", fleet), text)
    return fleet.logged


def test_each_line_has_the_hosts_name_and_nothing_that_controls_a_terminal():
    assert said("one\n\x1b[2Jtwo") == ["[pi] one", "[pi] ?[2Jtwo"]


def test_a_host_does_not_scroll_away_what_is_said_of_the_others():
    lines = said("line\n" * (telling.MOST_LINES + 3))
    assert lines == ["[pi] line"] * telling.MOST_LINES + ["[pi] (3 more lines)"]
    assert said("x" * 2 * telling.LONGEST) == ["[pi] " + "x" * telling.LONGEST]


def test_a_release_that_never_ends_is_left_at_its_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(releases, "MOST_BYTES", 100)
    with releases._Limited(tmp_path / "release", "wb") as file:
        assert file.write(b"-" * 100) == 100
        with pytest.raises(OSError, match="it sends more than"):
            file.write(b"-")
    assert (tmp_path / "release").stat().st_size == 100
