"""A model on all hosts of a run that need it: read from its origin once, then passed from node to node.

The nodes do the work: each that has the file, or is receiving it, serves it by a separate program
(`bramble/remote/pass_on.py`), which the run stops, and which stops by itself after a run was killed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pyinfra.api import Host

from bramble import remote
from bramble.models import cache
from bramble.models.swarm import From, Member, Origin, Refused, Swarm
from bramble.plan import identity
from bramble.pyinfra import connection, patience, sharing
from bramble.pyinfra.telling import say
from bramble.remote.follow import STEPS
from bramble.report import Report
from bramble.sanitize import address, sentence
from bramble.steps import Shared, Step, systemd

# How long the origin is left to a host that has a part of the file already, or a wire.
COMES_FIRST_S = 15
START_TIMEOUT_S = 60
BRIEF_ATTEMPTS = 3
# It reads one file and listens; there is nothing else for it to do. A Pi's kernel may know no MemoryMax
# (docs/explanation/security.md), and then LimitDATA bounds what it can allocate.
PROPERTIES = {
    "MemoryMax": "128M",
    "MemorySwapMax": "0",
    "LimitDATA": "128M",
    "LimitNOFILE": "128",
    "LimitCORE": "0",
    "TasksMax": "48",
    "Nice": "10",
    "IOSchedulingClass": "idle",
    "OOMScoreAdjust": "900",
    "RuntimeMaxSec": "86400",
    "CapabilityBoundingSet": "CAP_DAC_READ_SEARCH",
    "NoNewPrivileges": "yes",
    "PrivateDevices": "yes",
    "PrivateTmp": "yes",
    "ProtectHome": "read-only",
    "ProtectSystem": "strict",
    "ReadWritePaths": "/run/bramble/steps",
    "RestrictAddressFamilies": "AF_INET AF_INET6",
}

Source = Mapping[str, Any]

_swarms: dict[str, Swarm] = {}
_places: dict[tuple[str, str], tuple[Host, Shared]] = {}
"""Where each host has a file, by the file's sha256 and the host's name."""


def expect(host: Host, step: Step) -> None:
    """Register before execution which hosts have a file, and which need it."""
    if step.shared is not None:
        _swarm(host, step.shared, has=step.why is None)


def have(host: Host, step: Step, shared: Shared, report: Report) -> str | None:
    """Ensure this host has the file, from the best source; return an error message or None."""
    swarm = _swarm(host, shared, has=False)
    # What was taken for whole before a reboot, or before a disk was mounted, may not be there.
    swarm.settle(host.name, "needs")
    if swarm.needs_more(host.name):
        _start(host.name, swarm, shared)
    problem: str | None = "it was ended"
    try:
        problem = _taken(host, step, shared, swarm, report)
    finally:
        swarm.settle(host.name, "out" if problem else "has")
        # Hosts that take the file from one that failed choose another source.
        over = list(swarm.members) if not swarm.needs_more() else [host.name] * bool(problem)
        _end(over, swarm, shared)
    return problem


def _swarm(host: Host, shared: Shared, *, has: bool) -> Swarm:
    """Register the host in the swarm of a file, and return the swarm."""
    swarm = _swarms.setdefault(shared.sha256, Swarm())
    swarm.gone = {failed.name for failed in host.state.failed_hosts}
    swarm.expect(
        Member(
            name=host.name,
            wireless=shared.wireless,
            there_bytes=shared.there_bytes,
            sized=shared.size_bytes is not None,
            state="has" if has else "needs",
        )
    )
    _places[shared.sha256, host.name] = (host, shared)
    return swarm


def _taken(host: Host, step: Step, shared: Shared, swarm: Swarm, report: Report) -> str | None:
    """Take the file from one host after another, or from its origin; return an error message or None."""
    tried: set[str] = set()

    def ask(waited_s: float) -> From | Origin | Refused | None:
        swarm.gone = {failed.name for failed in host.state.failed_hosts}
        return swarm.choose(host.name, tried, patient=waited_s < COMES_FIRST_S)

    def tell(waited_s: float) -> None:
        say(host, f"waiting for its turn to get the model ({waited_s:.0f} s so far)")

    while True:
        choice = patience.until(ask, tell, step.timeout_s)
        if choice is None or isinstance(choice, Refused):
            problem = choice.why if choice else "its turn to get the model did not come"
            say(host, problem, "red")
            return problem
        sources = (
            _of_hosts(choice, swarm, shared)
            if isinstance(choice, From)
            else _of_origin(host, shared, swarm)
        )
        if isinstance(choice, From):
            tried.update(choice.givers)
        if not sources:
            swarm.settle(host.name, "needs")
            continue
        brief = isinstance(choice, Origin) and choice.brief
        more = {"sources": sources, "attempts": BRIEF_ATTEMPTS if brief else None}
        ok, output, reported = connection.followed(host, step, more)
        if ok:
            source = reported.get("source", "this node")
            report.write("fetch", host=host.name, sha256=shared.sha256, source=source)
            return None
        problem = output.strip() or "it failed without a word"
        if not reported.get("no_source"):
            return problem
        if isinstance(choice, Origin):
            swarm.unread[host.name] = problem.splitlines()[-1]
            return problem
        say(host, "no node can give it the model")
        swarm.settle(host.name, "needs")


def _of_hosts(choice: From, swarm: Swarm, shared: Shared) -> list[Source]:
    """Return the hosts among the givers that can serve the file, and start serving where needed."""
    sources: list[Source] = []
    for name in choice.givers:
        giver = swarm.members[name]
        if giver.url is None:
            _start(name, swarm, shared)
        if giver.url is not None:
            sources.append({"url": giver.url, "name": name, "direct": True})
    return sources


def _of_origin(host: Host, shared: Shared, swarm: Swarm) -> list[Source]:
    """Return this computer's copy as a source, then the file's origins."""
    sources: list[Source] = []
    kept = cache.find(shared.sha256)
    if kept is not None:
        try:
            url = sharing.url(host, kept)
            sources.append({"url": url, "name": "your computer", "direct": True})
        except sharing.SharingError as error:
            say(host, f"it cannot have it from your computer: {error}", "yellow")
    sources += [{"url": url, "name": address(url), "direct": False} for url in shared.sources]
    others = len(swarm.needs_more(host.name))
    say(host, f"reads {sources[0]['name']}" + (f", also for {others} others" if others else ""))
    return sources


def _start(name: str, swarm: Swarm, wanted: Shared) -> None:
    """Start serving the file on a host; where that fails, the others use other sources."""
    member, (host, shared) = swarm.members[name], _places[wanted.sha256, name]
    try:
        address = sharing.address_of(host)
    except sharing.SharingError as error:
        member.passes = False
        say(host, f"it cannot pass the model on: {error}", "yellow")
        return
    unit = _unit(shared)
    peers = f"{STEPS}/{unit}/peers"
    inner = {
        "path": shared.path,
        "size_bytes": shared.size_bytes,
        "address": address,
        "peers": peers,
    }
    query = {
        "unit": unit,
        "peers": _addresses(swarm, wanted),
        "program": remote.program("pass_on", inner),
        "properties": PROPERTIES,
        "whole": shared.path if member.state == "has" else None,
    }
    ok, output = connection.run(host, "start_passing", query, START_TIMEOUT_S)
    try:
        member.url = _at(address, remote.answer(output, url=str)["url"]) if ok else None
    except ValueError as error:
        output = f"its answer cannot be read: {error}"
    if member.url is None:
        member.passes = False
        say(host, f"it cannot pass the model on: {output.strip()}", "yellow")


def _at(address: str, url: str) -> str:
    """Return where a node serves the file; raise ValueError for a place that is not on that node."""
    shown = f"[{address}]" if ":" in address else address
    if not re.fullmatch(rf"http://{re.escape(shown)}:[0-9]{{1,5}}/[A-Za-z0-9_-]+", url):
        raise ValueError(f"{sentence(url)} is not at {shown}")
    return url


def _addresses(swarm: Swarm, shared: Shared) -> list[str]:
    """Return the addresses of all hosts of this run that need the file: only they are let in."""
    places = [_places[shared.sha256, name][1] for name in swarm.members]
    return sorted({address for place in places for address in place.addresses})


def _unit(shared: Shared) -> str:
    """Return the unit that serves a file: the same in every run."""
    return f"bramble-pass-on-{identity([shared.path, shared.sha256])}"


def _end(names: list[str], swarm: Swarm, wanted: Shared) -> None:
    """Stop serving the file on these hosts."""

    def end(name: str) -> None:
        host, shared = _places[wanted.sha256, name]
        step = systemd("End passing on", "nobody needs it", stop=[f"{_unit(shared)}.service"])
        swarm.members[name].url = None
        connection.run(host, step.program, step.query, START_TIMEOUT_S)

    passing = [name for name in names if swarm.members[name].url]
    if passing:
        with ThreadPoolExecutor(len(passing)) as pool:
            list(pool.map(end, passing))
