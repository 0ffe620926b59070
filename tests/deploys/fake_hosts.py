"""Doubles of pyinfra's hosts, as much of them as a delivery needs, and a delivery to several at once."""

import threading
from dataclasses import dataclass
from typing import Any

WAIT_S = 20


@dataclass(frozen=True)
class FakeHost:
    """A host of a fleet, which has the state and takes what is logged."""

    name: str
    fleet: Any

    def __hash__(self):
        return hash(self.name)

    @property
    def state(self):
        return self.fleet.state

    def log(self, message):
        self.fleet.logged.append(f"[{self.name}] {message}")


def at_once(names, deliver):
    """What came of it on each of these hosts."""
    problems = {}

    def one(name):
        problems[name] = deliver(name)

    threads = [threading.Thread(target=one, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive()
    return problems
