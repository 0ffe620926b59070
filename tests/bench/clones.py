"""Clones of a provisioned virtual Pi, and the inventory that names them; all end with the benchmark."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import yaml
from meter import run, show

from bramble import fleet, project

BRAMBLE = Path(sys.executable).with_name("bramble")
FIRST, MOST = 21, 20
NAMES = tuple(f"vpi-{number}" for number in range(FIRST, FIRST + MOST))
UP_S, DOWN_S, VERIFY_S, PROVISION_S, APT_S = 600, 300, 300, 4 * 3600, 600

Node = dict[str, Any]
"""A virtual Pi as `bramble virtual list --json` tells it."""


class BenchError(Exception):
    """Why there is nothing to measure, in a sentence."""


def say(line: str) -> None:
    """A line of progress, away from the results."""
    print(line, file=sys.stderr, flush=True)


def conclude(main: Callable[[], None]) -> None:
    """Run a benchmark; what ends it early is said in a line, and what it made is ended too."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        main()
    except BenchError as error:
        sys.exit(str(error))
    except subprocess.TimeoutExpired as error:
        sys.exit(f"{error.cmd[0]} took longer than {error.timeout:.0f} s; nothing is printed")
    except KeyboardInterrupt:
        sys.exit("stopped")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def there() -> dict[str, Node]:
    """The virtual Pis of this machine by name."""
    listed = run([BRAMBLE, "virtual", "list", "--json"], VERIFY_S)
    if listed.code:
        raise BenchError(listed.output.strip())
    return {node["name"]: node for node in json.loads(listed.output)}


@contextmanager
def provisioned(name: str) -> Iterator[Node]:
    """The node to clone, brought up and deployed where that is missing; ended if it was not there."""
    is_new = name not in there()
    try:
        if there().get(name, {}).get("state") != "running":
            say(f"{name} does not run: bramble virtual up {name}")
            _must([BRAMBLE, "virtual", "up", name], UP_S)
        if run([BRAMBLE, "verify", name], VERIFY_S).code:
            say(f"{name} is not as planned: bramble up {name} (a first compile takes ten minutes)")
            _must([BRAMBLE, "up", name], PROVISION_S)
        yield there()[name]
    finally:
        if is_new:
            down([name])


@contextmanager
def cloned(source: Node, count: int) -> Iterator[list[Node]]:
    """So many copies of the node, with what Ansible needs on a node besides; they end here."""
    names = NAMES[:count]
    if taken := sorted({source["name"], *there()} & set(names)):
        raise BenchError(f"the clones' names are taken; end them first: {', '.join(taken)}")
    try:
        _clone(source, source["name"], names[:1])
        _prepare_for_ansible(names[0])
        if names[1:]:
            _clone(source, names[0], names[1:])
        found = there()
        yield [found[name] for name in names]
    finally:
        down(names)


def _clone(source: Node, of: str, names: Sequence[str]) -> None:
    say(f"cloning {of}: {names[0]} to {names[-1]}")
    board = ["--board", source["board"]]
    _must([BRAMBLE, "virtual", "up", "--clone", of, *board, *names], UP_S)


def _prepare_for_ansible(name: str) -> None:
    """Ansible's apt module needs python3-apt on the node; bramble needs nothing besides Python."""
    say(f"installing python3-apt on {name}, for Ansible")
    command = "sudo apt-get -q -y -o DPkg::Lock::Timeout=60 install python3-apt"
    refresh = "sudo apt-get -q update"
    words = f"{command} || ({refresh} && {command})"
    done = run([BRAMBLE, "virtual", "ssh", name, "--", words], APT_S)
    if done.code:
        raise BenchError(f"python3-apt could not be installed on {name}:\n{done.output}")


def down(names: Sequence[str]) -> None:
    """End these virtual Pis, those that are there."""
    say(f"ending {names[0]} to {names[-1]}" if names[1:] else f"ending {names[0]}")
    with undisturbed():
        code = show([BRAMBLE, "virtual", "down", *names], DOWN_S)
    if code:
        say(f"they may still be there: bramble virtual down {' '.join(names)}")


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let no second Ctrl-C stop the tidying up, which has a deadline of its own."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _must(argv: Sequence[str | Path], deadline_s: float) -> None:
    code = show(argv, deadline_s)
    if code:
        raise BenchError(f"{' '.join(map(str, argv))}: exit code {code}")


def write_inventory(
    folder: Path, source: str, nodes: Sequence[Node]
) -> tuple[Mapping[str, Any], Path]:
    """A fleet of these nodes in a group set like the source node: how to reach it, and where it is."""
    original = fleet.load(project.folder())
    if source not in original.hosts:
        raise BenchError(f"{source} is not in the inventory {original.folder}")
    group = json.loads(json.dumps(original.hosts[source].values))
    group["ssh"].pop("address", None)
    hosts = {
        node["name"]: {"groups": ["virtual"], "ssh": {"address": node["address"]}} for node in nodes
    }
    (folder / "groups").mkdir(parents=True)
    _write(folder / "groups" / "virtual.yml", group)
    _write(folder / "fleet.yml", {"settings": {}, "hosts": hosts})
    return group["ssh"], folder


def _write(path: Path, value: Any) -> None:
    path.write_text(yaml.safe_dump(value), encoding="utf-8")
