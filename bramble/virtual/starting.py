"""Starts supervisors and waits until their nodes answer on ssh."""

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import bramble
from bramble.virtual import cgroups, paths, processes, spec
from bramble.virtual.errors import VirtualPiError
from bramble.virtual.model import address_of
from bramble.virtual.waiting import ssh_banner

BOOT_DEADLINE_S = 120.0
SUPERVISOR_DEADLINE_S = 15.0


def refuse_foreign(names: Iterable[str]) -> None:
    """Names and addresses are the machine's: another state folder may run a node of this name."""
    for name in names:
        for pid in cgroups.keepers(name):
            raise VirtualPiError(
                f"{name} is already run by process {pid}, which belongs to another state folder "
                f"than {paths.state_dir()}: use other names, or 'bramble virtual down {name}' with "
                "the BRAMBLE_STATE that it was started with"
            )


def start(node: spec.Spec) -> None:
    """Starts the node's supervisor, which outlives this command and is no child of it."""
    source = str(Path(bramble.__file__).parent.parent)
    # Not there until this start has come to the boot: an ssh banner before that is an old one's.
    node.booted.unlink(missing_ok=True)
    with node.console.open("a") as console:
        subprocess.run(
            [
                *("setsid", "--fork", "unshare", "--mount", "--propagation", "slave"),
                *(sys.executable, "-m", "bramble.virtual.supervisor", node.name),
            ],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            cwd="/",
            env={**os.environ, "PYTHONPATH": source},
            check=True,
        )


def wait_for_ssh(started: Sequence[spec.Spec]) -> None:
    begun = time.monotonic()
    for node in started:
        processes.wait_until(partial(_begun, node), deadline_s=SUPERVISOR_DEADLINE_S)
        left_s = BOOT_DEADLINE_S - (time.monotonic() - begun)
        processes.wait_until(partial(_settled, node), deadline_s=left_s)
        if not _answers(node):
            waited_s = time.monotonic() - begun
            raise VirtualPiError(
                f"{node.name} {'does' if node.running() else 'ended and did'} not answer on ssh "
                f"after {waited_s:.0f} s; the end of its console log {node.console}:\n"
                f"{tail(node.console)}"
            )


def _begun(node: spec.Spec) -> bool:
    return node.running() is not None


def _settled(node: spec.Spec) -> bool:
    """Whether waiting is over: the node answers, or its supervisor ended."""
    return not node.running() or _answers(node)


def _answers(node: spec.Spec) -> bool:
    return node.booted.exists() and ssh_banner(address_of(node.name))


def tail(path: Path, lines: int = 25) -> str:
    with suppress(FileNotFoundError):
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    return "(there is none)"
