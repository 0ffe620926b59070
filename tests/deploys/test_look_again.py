"""A step that later ones depend on is followed by a look that they go by."""

import time
from functools import partial
from types import SimpleNamespace

import pytest

from bramble.ops import connection, run
from bramble.snapshot import Snapshot, System, Unknown
from bramble.steps import Step

QUERY = {"files": []}
SYSTEM = System(
    os_id="debian",
    codename="bookworm",
    rpi_issue=None,
    architecture="arm64",
    long_bit=64,
    page_size=4096,
    machine="aarch64",
    kernel="6.12",
    cores=4,
    cpu_part=None,
    cpu_features=frozenset(),
    boot_id="one",
    hostname="pi5-a",
)
SEEN = Snapshot(system=SYSTEM)


@pytest.fixture
def deploy(monkeypatch):
    """A run whose steps go well and whose looks show one thing, unless a test says otherwise."""
    made = SimpleNamespace(said=(True, ""), seen=SEEN, looks=0, events=[], changed=set())
    made.seen_anew = {}
    made.report = SimpleNamespace(write=lambda kind, **event: made.events.append(event))
    made.stepped = partial(run.Run.stepped, made)

    def look(host, query):
        assert query == QUERY
        made.looks += 1
        return made.seen

    monkeypatch.setattr(run, "this_run", lambda: made)
    monkeypatch.setattr(connection, "run", lambda *args, **options: made.said)
    monkeypatch.setattr(connection, "look", look)
    return made


def carried_out(**changes):
    host = SimpleNamespace(name="pi5-a", log=lambda line: None)
    step = Step("Mount the SSD", "it is not mounted", "mount_disk", **changes)
    return run._carry_out(None, host, step, QUERY)


def test_a_program_that_needs_the_time_is_told_that_of_its_sending(deploy, monkeypatch):
    """Not that of the look, which may be minutes older where another host hung."""
    sent = []

    def send(host, program, query, timeout_s):
        sent.append(query)
        return True, ""

    monkeypatch.setattr(connection, "run", send)
    before_s = time.time()
    assert carried_out(query={"wait_s": 10}, sent_at="right_at_s")
    assert sent[0]["wait_s"] == 10
    assert before_s <= sent[0]["right_at_s"] <= time.time()
    assert carried_out(query={"wait_s": 10})
    assert sent[1] == {"wait_s": 10}


def test_later_steps_go_by_what_is_seen_after_it(deploy):
    assert carried_out(look_again=True)
    assert deploy.seen_anew == {"pi5-a": SEEN}


def test_another_step_costs_no_look(deploy):
    assert carried_out()
    assert (deploy.looks, deploy.seen_anew) == (0, {})


def test_a_step_that_failed_is_not_looked_after(deploy):
    deploy.said = (False, "no such disk")
    assert not carried_out(look_again=True)
    assert deploy.looks == 0


def test_a_look_that_shows_nothing_fails_the_step(deploy):
    deploy.seen = Snapshot(system=Unknown("the connection is gone"))
    assert not carried_out(look_again=True)
    assert deploy.events[-1]["problem"] == "the connection is gone"
    assert deploy.seen_anew == {}
