"""Many clients at once on a node, and how it bears them: what they get, its memory, its sshd."""

import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from bramble import virtual
from bramble.virtual import lifecycle
from bramble.virtual.waiting import ssh_banner
from tests.nodes.streams import PATH, Way, ask

CLIENTS = 64
EVERY_S = 3.0
# Sooner than they are told to (Retry-After): what is refused must cost next to nothing.
AGAIN_S = 2.0
LOGIN_S = 120
PROGRAMS = ("haproxy", "llama-server")
UNITS = ("llama-server", "bramble-edge")
LOOK = (
    f"ps -C {','.join(PROGRAMS)} -o comm=,rss=; echo; "
    f"systemctl show -p Id,MainPID,NRestarts {' '.join(UNITS)}"
)


@dataclass(frozen=True)
class Look:
    """The node at one moment, by a connection of its own."""

    banner_s: float
    """Until sshd greeted."""
    login_s: float
    """Until ssh had logged in and a command had ended."""
    rss_mib: Mapping[str, float]
    units: str
    """Their processes and restarts, as systemd tells them."""


@dataclass(frozen=True)
class Borne:
    """What a crowd got, and what was seen of the node before it and meanwhile."""

    outcomes: Mapping[str, int]
    looks: Sequence[Look]

    @property
    def is_undisturbed(self) -> bool:
        """Whether the same processes run as before."""
        return len({look.units for look in self.looks}) == 1

    def most_mib(self, program: str) -> float:
        """The most memory that all processes of a program had."""
        return max(look.rss_mib.get(program, 0.0) for look in self.looks)

    def grown_mib(self, program: str) -> float:
        """How much more than before the crowd."""
        return self.most_mib(program) - self.looks[0].rss_mib.get(program, 0.0)


def look(name: str) -> Look:
    """Look at a virtual Pi; raise where nobody can log in."""
    node = lifecycle.running(name)
    begun = time.monotonic()
    if not ssh_banner(node.address, node.port, timeout_s=LOGIN_S):
        raise TimeoutError(f"sshd of {name} did not greet within {LOGIN_S} s")
    greeted = time.monotonic()
    argv = virtual.ssh_argv(node, LOOK)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LOGIN_S, check=True)
    rss, _, units = done.stdout.partition("\n\n")
    return Look(greeted - begun, time.monotonic() - greeted, resident_mib(rss), units)


def resident_mib(said: str) -> dict[str, float]:
    """What ps says of programs, KiB for each process, as MiB for each program."""
    found = dict.fromkeys(PROGRAMS, 0.0)
    for line in said.splitlines():
        program, kib = line.split()
        found[program] += int(kib) / 1024
    return found


def press(
    ways: Sequence[Way],
    body: Mapping[str, Any],
    seconds: float,
    looking: Callable[[], Look],
    *,
    clients: int = CLIENTS,
    path: str = PATH,
    expect: str = "",
) -> Borne:
    """Have so many clients ask again and again, each its own way; look at the node all the while.

    An answer without the expected text counts as "wrong".
    """
    over, looks = threading.Event(), [looking()]

    def one(way: Way) -> Counter[str]:
        found: Counter[str] = Counter()
        while not over.is_set():
            answer = ask(way, body, path=path)
            right = answer.outcome != "200" or expect in answer.text
            found[answer.outcome if right else "wrong"] += 1
            if answer.status != 200:
                over.wait(AGAIN_S)
        return found

    with ThreadPoolExecutor(clients) as pool:
        asking = [pool.submit(one, ways[number % len(ways)]) for number in range(clients)]
        try:
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                looks.append(looking())
                over.wait(min(EVERY_S, left))
        finally:
            over.set()
        outcomes = sum((each.result() for each in asking), Counter[str]())
    return Borne(dict(outcomes), looks)
