"""Record docs/sessions/ on three fresh virtual Pis: `python docs/record.py`, as root on Debian.

One session is a first deploy, shortened. The others are a fleet of three in which one card was flashed
anew and one node was tampered with: what is found, how it is mended, the fleet's state, and the page of
its report as a browser shows it. Then it draws the pictures (docs/pictures.py).
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # it runs from any folder

from bramble import virtual
from bramble.virtual import source
from bramble.virtual.model import address_of
from docs import pictures

BIN = Path(sys.executable).parent
FIRST = "vpi-1"
PIS = {"pi5-a": "vpi-195", "pi5-b": "vpi-196", "pi5-c": "vpi-197"}
HOST = """\
  {name}:
    groups: [virtual]
    ssh: {{address: {address}, known_hosts: {known_hosts}}}
    node: {{virtual: true}}
"""
# What is done to two of the three behind bramble's back.
TAMPER = (
    "chmod 666 /etc/systemd/system/llama-server.service; "
    "mkdir -p /etc/systemd/system/llama-server.service.d; "
    "printf '[Service]\\nNice=5\\n' >/etc/systemd/system/llama-server.service.d/mine.conf; "
    "rm /etc/systemd/zram-generator.conf; systemctl daemon-reload; systemctl stop llama-server"
)
BROWSERS = ("chromium-headless-shell", "chromium", "google-chrome")
SCREENS = {"page": (1100, 900, 1), "page-phone": (390, 900, 0)}
"""The width and height of each picture of the page, and whether it is a light one."""


class Session:
    """A terminal in a folder, whose commands and what they printed are kept."""

    def __init__(self, folder: Path) -> None:
        """Begin without anything kept."""
        self.folder = folder
        self.lines: list[str] = []

    def run(self, command: str, *ends: int, shown: bool = True) -> str:
        """Run a command that must end with one of these codes (0 by default)."""
        print(f"$ {command}", flush=True)
        path = f"{BIN}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "NO_COLOR": "1"}
        done = subprocess.run(
            ["bash", "-c", f"{command} 2>&1"],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        print(done.stdout, flush=True)
        if done.returncode not in (ends or (0,)):
            sys.exit(f"{command!r} ended with {done.returncode}")
        if shown:
            said = done.stdout.rstrip().replace(str(self.folder), "~/fleet")
            self.lines += [f"$ {command}", *said.splitlines()]
        return done.stdout

    def keep(self, name: str, title: str) -> None:
        """Write what was kept as a session of this name, and begin anew."""
        text = "\n".join((title, *(line.rstrip() for line in self.lines)))
        (pictures.TEXTS / f"{name}.txt").write_text(text + "\n", encoding="utf-8")
        self.lines = []


def shortened(lines: list[str]) -> Iterator[str]:
    """Leave out of a deploy's lines what repeats itself; `[...]` marks gaps."""
    left_out = False
    percent = 0
    for line in lines:
        if not line.strip():
            continue
        found = re.search(r"(\d+) %", line)
        shown = not re.search(r"\] (Success|No changes)|^\s*$|\| Looking", line)
        if found and shown:
            shown = 45 <= int(found[1]) <= 55 and not percent
            percent = percent or (int(found[1]) if shown else 0)
        if shown and left_out:
            yield "    [...]"
        left_out = not shown
        if shown:
            yield line


def first(folder: Path) -> None:
    """Record the three commands of a first run."""
    session = Session(folder)
    session.run("bramble init . --virtual", shown=False)
    session.run("pyinfra inventory.py deploys/node.py -y")
    session.lines = [*shortened(session.lines)]
    session.run(f"bramble verify {FIRST}")
    session.run(f'bramble ask --host {FIRST} "What is 2+2?"')
    session.keep("first", "from a fresh Pi to an answer")


def fleet(folder: Path) -> None:
    """Record a fleet in which two of three are not what they were."""
    session = Session(folder)
    session.run("bramble init . --virtual", shown=False)
    known_hosts = folder / "inventory" / "known_hosts"
    known_hosts.touch()
    hosts = (
        HOST.format(name=name, address=address_of(node), known_hosts=known_hosts)
        for name, node in PIS.items()
    )
    (folder / "inventory" / "fleet.yml").write_text("hosts:\n" + "".join(hosts), encoding="utf-8")
    for name in PIS:
        session.run(f"bramble trust {name} --fingerprint {fingerprint(name)}", shown=False)
    session.run("bramble up --quiet", shown=False)

    virtual.down([PIS["pi5-b"]])
    virtual.up([PIS["pi5-b"]])
    on_node("pi5-c", f"sudo sh -ec {shlex.quote(TAMPER)}")
    session.run("bramble verify --report html=fleet.html", 1)
    photograph(folder / "fleet.html")
    session.keep("found", "one card flashed anew, one node tampered with")
    session.run("bramble audit pi5-c", 2)
    session.keep("audited", "what differs, who did it, and when")

    session.run(f"bramble trust pi5-b --replace --fingerprint {fingerprint('pi5-b')}")
    session.run("bramble plan pi5-c")
    session.run("bramble up --quiet")
    reports = "--report html=fleet.html --report junit=verify.xml --report prometheus=fleet.prom"
    session.run(f"bramble verify {reports}")
    session.run("bramble status")
    session.keep("mended", "trusted again, mended, and checked")


def fingerprint(name: str) -> str:
    """Return what the Pi itself says of its key, as one reads it off its screen."""
    return on_node(name, "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]


def on_node(name: str, command: str) -> str:
    """Return what a command prints that must succeed on the node."""
    (node,) = (node for node in virtual.nodes() if node.name == PIS[name])
    argv = virtual.ssh_argv(node, command)
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout


def photograph(page: Path) -> None:
    """Have a browser draw the page as a desk and a telephone show it."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"there is no Chromium: none of {', '.join(BROWSERS)}")
    for name, (width, height, scheme) in SCREENS.items():
        argv = [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            f"--user-data-dir={page.parent / 'profile'}",
            f"--blink-settings=preferredColorScheme={scheme}",
            f"--window-size={width},{height}",
            f"--screenshot={pictures.TEXTS / name}.png",
            page.as_uri(),
        ]
        subprocess.run(argv, check=True, stderr=subprocess.DEVNULL)


def recorded(session: Callable[[Path], None], pis: list[str]) -> None:
    """Record a session on fresh virtual Pis, and leave none of them behind."""
    taken = sorted({node.name for node in virtual.nodes()} & {*pis})
    if taken:
        sys.exit(f"end these first: bramble virtual down {' '.join(taken)}")
    with tempfile.TemporaryDirectory() as place:
        virtual.up(pis)
        try:
            session(Path(place))
        finally:
            virtual.down(pis)


if __name__ == "__main__":
    source.fetch(print)
    recorded(first, [FIRST])
    recorded(fleet, [*PIS.values()])
    pictures.draw()
