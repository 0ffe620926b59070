"""A model reaches every host of a run by one reading of its origin; what fails is gone round."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from bramble.models import cache
from bramble.pyinfra import connection, delivery, patience, peers, sharing
from bramble.steps import Shared, Step
from tests.deploys.fake_hosts import FakeHost, at_once

WAIT_S = 20
ORIGIN = "http://hub/model.gguf"
SHA256 = "a" * 64
NOTHING = "the model was not fetched: 404"


@dataclass
class Fleet:
    """Hosts that fetch by words alone: which sources give nothing, and what was asked of whom."""

    broken: set[tuple[str, str]] = field(default_factory=set)
    full: set[str] = field(default_factory=set)
    mute: set[str] = field(default_factory=set)
    before_fetching: Callable[[str], None] = lambda name: None
    state: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(failed_hosts=set()))
    let_in: list[list[str]] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    offered: dict[str, list[list[str]]] = field(default_factory=dict)
    attempts: list[int | None] = field(default_factory=list)
    events: list[tuple[str, str]] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)

    def step(self, why="it is not there", **options):
        shared = Shared(
            sha256=SHA256,
            path="/models/toy.gguf",
            size_bytes=options.get("size_bytes", 7),
            there_bytes=options.get("there_bytes", 0),
            wireless=options.get("wireless", False),
            sources=(ORIGIN,),
            addresses=options.get("addresses", ()),
        )
        return Step(
            "Fetch", why, "fetch_model", {"sources": []}, detached=True, timeout_s=60, shared=shared
        )

    def host(self, name):
        return FakeHost(name, self)

    def expect(self, *names, why="it is not there", **options):
        for name in names:
            peers.expect(self.host(name), self.step(why, **options))

    def deliver(self, *names, **options):
        """What came of the step on each of these hosts, all at once."""
        self.expect(*names, **options)
        return at_once(
            names,
            lambda name: delivery.deliver(self.host(name), self.step(**options), self),
        )

    def write(self, event, **values):
        assert event == "fetch"
        self.events.append((values["host"], values["source"]))

    def run(self, host, program, query, timeout_s, *, live=False):
        if program == "systemd":
            self.ended += [f"{host.name} {query['stop'][0].partition('-pass-on-')[0]}"]
            return True, ""
        assert program == "start_passing"
        self.let_in.append(query["peers"])
        self.started.append(host.name)
        if host.name in self.mute:
            return False, "cannot assign requested address"
        return True, json.dumps({"url": f"http://10.0.0.1:8000/secret-{host.name}"})

    def followed(self, host, step, more):
        names = [source["name"] for source in more["sources"]]
        self.attempts.append(more["attempts"])
        self.offered.setdefault(host.name, []).append(names)
        self.before_fetching(host.name)
        if host.name in self.full:
            return False, "the model was not fetched: /models has 3 MiB free", {}
        for name in names:
            if (host.name, name) not in self.broken and ("any", name) not in self.broken:
                return True, "100 %\ninstalled /models/toy.gguf", {"source": name}
        return False, NOTHING, {"no_source": True}


@pytest.fixture
def fleet(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "models"))
    fleet = Fleet()
    monkeypatch.setattr(connection, "run", fleet.run)
    monkeypatch.setattr(connection, "followed", fleet.followed)
    monkeypatch.setattr(sharing, "address_of", lambda host: "10.0.0.1")
    monkeypatch.setattr(sharing, "url", lambda host, path: f"http://here/{path.name}")
    monkeypatch.setattr(peers, "_swarms", {})
    monkeypatch.setattr(peers, "_places", {})
    monkeypatch.setattr(patience, "ASK_EVERY_S", 0.01)
    return fleet


NAMES = ("n1", "n2", "n3", "n4")


def test_one_of_many_hosts_reads_the_origin_and_the_others_take_from_each_other(fleet):
    assert fleet.deliver(*NAMES) == dict.fromkeys(NAMES)
    readers = [name for name in NAMES if fleet.offered[name] == [[ORIGIN]]]
    assert len(readers) == 1
    assert sorted(name for name, _ in fleet.events) == list(NAMES)
    assert [name for name, source in fleet.events if source == ORIGIN] == readers
    assert any(f"[{readers[0]}] reads {ORIGIN}" in line for line in fleet.logged)


def test_what_passes_it_on_is_ended_when_all_have_it_and_its_address_is_told_to_nobody(fleet):
    fleet.deliver(*NAMES)
    assert sorted(fleet.ended) == sorted(f"{name} bramble" for name in set(fleet.started))
    assert not any("secret" in line for line in fleet.logged)


def test_who_passes_it_on_lets_in_every_host_that_is_to_have_it_and_nobody_else(fleet):
    fleet.expect("n1", why=None, addresses=("10.0.0.1",))
    assert fleet.deliver("n2", addresses=("10.0.0.2", "fd00::2")) == {"n2": None}
    assert fleet.let_in == [["10.0.0.1", "10.0.0.2", "fd00::2"]]


def test_a_host_alone_starts_nothing_on_any_node(fleet):
    assert fleet.deliver("n1") == {"n1": None}
    assert (fleet.started, fleet.ended, fleet.offered["n1"]) == ([], [], [[ORIGIN]])


def test_a_host_of_the_run_that_has_it_gives_it(fleet):
    fleet.expect("n1", why=None)
    assert fleet.deliver("n2") == {"n2": None}
    assert fleet.offered == {"n2": [["n1"]]}
    assert fleet.events == [("n2", "n1")]
    assert (fleet.started, fleet.ended) == (["n1"], ["n1 bramble"])


@pytest.mark.parametrize("why_not", ["gone", "failed", "mute"])
def test_a_host_that_cannot_give_it_is_gone_round(fleet, why_not):
    fleet.expect("n1", why=None)
    if why_not == "failed":
        fleet.state.failed_hosts.add(fleet.host("n1"))
    elif why_not == "mute":
        fleet.mute.add("n1")
    else:
        fleet.broken.add(("n2", "n1"))
    assert fleet.deliver("n2") == {"n2": None}
    assert fleet.events == [("n2", ORIGIN)]
    if why_not == "mute":
        assert "[n1] \x1b[33mit cannot pass the model on: cannot assign" in fleet.logged[0]


def test_where_the_reader_s_disk_is_full_the_next_one_reads(fleet):
    failed = []

    def first_is_full(name):
        if not failed:
            failed.append(name)
            fleet.full.add(name)

    fleet.before_fetching = first_is_full
    fleet.broken = {(name, other) for name in NAMES for other in failed}
    problems = fleet.deliver(*NAMES)
    assert {name for name, problem in problems.items() if problem} == set(failed)


def test_an_origin_that_gives_nothing_is_asked_by_five_hosts_and_told_by_all(fleet):
    fleet.broken.add(("any", ORIGIN))
    names = [f"n{n}" for n in range(1, 8)]
    problems = [fleet.deliver(name)[name] for name in names]
    assert list(fleet.offered) == names[:5]
    assert fleet.attempts == [None, None, 3, 3, 3]
    assert problems[:5] == [NOTHING] * 5
    said = f"{', '.join(names[:5])} could not have it, so it is not tried once more: {NOTHING}"
    assert problems[5:] == [said] * 2


def test_what_this_computer_keeps_comes_before_the_origin(fleet):
    cache.folder().mkdir()
    cache.place(SHA256).write_bytes(b"GGUF")
    assert fleet.deliver("n1") == {"n1": None}
    assert fleet.offered["n1"] == [["your computer", ORIGIN]]
    assert fleet.events == [("n1", "your computer")]


def test_a_computer_that_cannot_serve_is_said_and_the_origin_read(fleet, monkeypatch):
    cache.folder().mkdir()
    cache.place(SHA256).write_bytes(b"GGUF")

    def refuse(host, path):
        raise sharing.SharingError("it is reached through another host")

    monkeypatch.setattr(sharing, "url", refuse)
    assert fleet.deliver("n1") == {"n1": None}
    assert any("it cannot have it from your computer: it is reached" in e for e in fleet.logged)


def test_a_node_without_an_address_that_others_reach_takes_and_does_not_give(fleet, monkeypatch):
    def refuse(host):
        raise sharing.SharingError("it does not say by which address it is reached")

    monkeypatch.setattr(sharing, "address_of", refuse)
    assert fleet.deliver("n1", "n2") == {"n1": None, "n2": None}
    assert sorted(fleet.events) == [("n1", ORIGIN), ("n2", ORIGIN)]
    assert fleet.started == []


def test_a_file_that_was_there_at_the_look_and_is_not_any_more_is_fetched(fleet):
    fleet.expect("n1", why=None)
    assert delivery.deliver(fleet.host("n1"), fleet.step(), fleet) is None
    assert fleet.offered["n1"] == [[ORIGIN]]
