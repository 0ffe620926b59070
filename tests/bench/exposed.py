"""A virtual Pi that is exposed in every way at once, and the unit of an article beside it."""

import ctypes
import hashlib
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import weights
from clones import NAMES, BenchError, down, say, there

from bramble import virtual
from bramble.virtual import lifecycle
from bramble.virtual.model import GATEWAY, address_of
from tests.nodes.fleet import ROOT, Lasting
from tests.nodes.streams import Way
from tests.unit.remote.scripted_server import serving

NAME = NAMES[0]
RUN_S = 600
LOCAL, LAN, TLS, ARTICLE = 8080, 8081, 8443, 8089
CLONE_NEWNET = 0x40000000
DEMO = ROOT / "models" / "bramble-demo-q8_0.gguf"
# The unit of `lan` goes on beside that of `tls`, with its own configuration.
BESIDE = """\
cp -a /etc/bramble/edge /etc/bramble/edge-of-lan
sed s,/etc/bramble/edge,/etc/bramble/edge-of-lan,g /etc/systemd/system/bramble-edge.service \\
  >/run/systemd/system/edge-of-lan.service
"""
# As "Raspberry Pi 4 8GB as a Headless Local-LLM Sidecar" (2026-05-15) has it, but for the program, the
# model and the port: `serving` has 8080 on the same node.
UNIT = """\
[Unit]
Description=llama.cpp server
After=network.target

[Service]
ExecStart={program} -m {model} --host 0.0.0.0 --port {port} --ctx-size 2048 \\
  --n-predict 512 --cache-prompt
User=pi
Restart=on-failure
RestartSec=5

[Install]
WantedBy=multi-user.target
"""
T = TypeVar("T")


def on(command: str) -> str:
    """What a command of the node's root printed."""
    argv = virtual.ssh_argv(lifecycle.running(NAME), f"sudo sh -ec {shlex.quote(command)}")
    done = subprocess.run(argv, capture_output=True, text=True, timeout=RUN_S)
    if done.returncode:
        raise BenchError(f"{NAME}: {command}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


class Exposed(Lasting):
    """The node's inventory: a model of random weights that can be talked to, one slot, all cores."""

    model: Mapping[str, Any]
    """Where the node fetches it: it is too large to go over SSH."""

    def wants(self, expose: str) -> None:
        """Write how it is to be exposed; all else is as it comes."""
        own: Mapping[str, Any] = {
            "node": {"roles": ["base", "engine", "model", "serving"]},
            "model": {"name": "random", "path": None, **self.model},
            "serving": {"expose": expose, "ctx_tokens": 2048, "threads": None, "expect": None},
        }
        self.write([NAME], {NAME: own})

    def must(self, *words: str) -> str:
        """What a bramble command printed, which must succeed."""
        say(f"bramble {' '.join(words)}")
        done = self.bramble(*words)
        if done.returncode:
            raise BenchError(f"bramble {' '.join(words)} failed:\n{done.stdout}")
        return done.stdout

    @property
    def authority(self) -> Path:
        """What clients of `tls` trust."""
        return self.folder / "tls" / "ca.crt"

    def ways(self, key: str) -> dict[str, Way]:
        """Every way to the model by its name, the article's as well."""
        address = address_of(NAME)
        found = (
            Way("local", "127.0.0.1", LOCAL),
            Way("lan", address, LAN, key),
            Way("tls", address, TLS, key, self.authority),
            Way("article", address, ARTICLE),
        )
        return {way.name: way for way in found}


@contextmanager
def fresh(folder: Path) -> Iterator[Exposed]:
    """The node, without anything on it yet; ended afterwards."""
    if NAME in there():
        raise BenchError(f"{NAME} is there; end it first: bramble virtual down {NAME}")
    fleet = Exposed(folder)
    content = weights.write(folder / "random.gguf", "Q8_0", DEMO).read_bytes()
    try:
        virtual.up([NAME], on_progress=say)
        with serving(content, GATEWAY) as hub:
            fleet.model = {"url": hub.url, "sha256": hashlib.sha256(content).hexdigest()}
            yield fleet
    finally:
        down([NAME])


def keep_lan() -> None:
    """Keep what the node has for `lan`, before it gets `tls`."""
    on(BESIDE)


def start_beside() -> None:
    """Start the way in of `lan` and the article's unit, with the program and the model of `serving`."""
    argv = on(
        "tr '\\0' '\\n' </proc/$(systemctl show -p MainPID --value llama-server)/cmdline"
    ).split()
    unit = UNIT.format(program=argv[0], model=argv[argv.index("--model") + 1], port=ARTICLE)
    on(
        f"printf %s {shlex.quote(unit)} >/run/systemd/system/article.service; "
        "systemctl daemon-reload; systemctl start edge-of-lan article; "
        f"timeout 120 sh -c 'until curl -sf http://127.0.0.1:{ARTICLE}/health; do sleep 0.2; done'"
    )


def end_beside() -> None:
    """End what is not bramble's."""
    on("systemctl stop edge-of-lan article")


def inside(work: Callable[[], T]) -> T:
    """Do something in the node's own network, so that no link is in its times."""
    with ThreadPoolExecutor(1, initializer=_enter) as thread:
        return thread.submit(work).result()


def _enter() -> None:
    """Have this thread, and no other, use the node's network from now on."""
    with _network().open() as file:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"the network of {NAME} cannot be entered")


def _network() -> Path:
    """The node's network: that of the first process below its supervisor with one of its own."""
    pids = [lifecycle.running(NAME).pid]
    for pid in pids:
        network = Path(f"/proc/{pid}/ns/net")
        if os.readlink(network) != os.readlink("/proc/self/ns/net"):
            return network
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
        pids += map(int, children.split())
    raise BenchError(f"{NAME} has no network of its own")
