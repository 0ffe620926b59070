"""A clock is waited for, then set forward, and never back."""

from types import SimpleNamespace

import pytest

from bramble.remote import set_clock


@pytest.fixture
def node(monkeypatch):
    """A node whose time passes by asking; NTP comes after some questions, or never."""
    made = SimpleNamespace(wall=1000.0, spent=0.0, synchronised_after=None, orders=[], set_to=None)

    def run(argv, **options):
        made.orders.append(" ".join(argv[1:]))
        if argv[1] == "set-ntp":
            return SimpleNamespace(returncode=int(made.refuses), stderr="NTP not supported\n")
        asked = len([order for order in made.orders if order.startswith("show")])
        ok = made.synchronised_after is not None and asked > made.synchronised_after
        return SimpleNamespace(stdout="yes\n" if ok else "no\n")

    def sleep(seconds):
        made.spent += seconds
        made.wall += seconds

    def clock_settime(clock, seconds):
        if made.container:
            raise PermissionError("Operation not permitted")
        made.set_to = seconds

    made.refuses = made.container = False
    fake = SimpleNamespace(
        time=lambda: made.wall,
        monotonic=lambda: made.spent,
        sleep=sleep,
        clock_settime=clock_settime,
        CLOCK_REALTIME=0,
    )
    monkeypatch.setattr(set_clock, "time", fake)
    monkeypatch.setattr(set_clock, "subprocess", SimpleNamespace(run=run))
    return made


def brought(**changes):
    query = {"ntp": False, "wait_s": 10, "right_at_s": 5000, "tolerance_s": 60}
    return set_clock.main(query | changes)


def test_ntp_that_comes_in_time_sets_the_clock(node):
    node.synchronised_after = 3
    assert brought(ntp=True) == 0
    assert node.orders[0] == "set-ntp true"
    assert node.set_to is None


def test_without_ntp_the_clock_is_set_forward_by_what_passed_meanwhile_too(node, capsys):
    assert brought() == 0
    assert node.set_to == 5000 + node.spent
    assert "set forward by 4000 s" in capsys.readouterr().out


def test_a_clock_that_is_ahead_is_never_set_back(node, capsys):
    assert brought(right_at_s=500) == 1
    assert node.set_to is None
    assert "500 s ahead of the computer that deploys" in capsys.readouterr().err


def test_a_clock_that_became_right_meanwhile_is_left_alone(node):
    node.wall = 4990
    assert brought() == 0
    assert node.set_to is None


def test_a_clock_that_cannot_be_set_is_said(node, capsys):
    node.container = True
    assert brought() == 1
    assert "4000 s behind and cannot be set" in capsys.readouterr().err


def test_only_ntp_is_switched_on_where_the_clock_is_right(node, capsys):
    assert brought(ntp=True, wait_s=None) == 0
    assert node.orders == ["set-ntp true"]
    node.refuses = True
    assert brought(ntp=True, wait_s=None) == 1
    assert "NTP not supported" in capsys.readouterr().err
