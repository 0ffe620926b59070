"""Start supervisors and wait until their nodes answer on ssh."""

import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from bramble.virtual import kinds, processes, spec
from bramble.virtual.errors import VirtualPiError
from bramble.virtual.model import address_of, port_of
from bramble.virtual.waiting import ssh_banner

SUPERVISOR_DEADLINE_S = 15.0


def start(node: spec.Spec) -> None:
    """Start the node's supervisor, which outlives this command and is no child of it."""
    # Not there until this start comes to the boot: an ssh banner before that is another node's.
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
            check=True,
        )


def wait_for_supervisors(started: Sequence[spec.Spec]) -> None:
    """Wait until each node counts as running, so that nobody starts it twice."""
    for node in started:
        processes.wait_until(partial(_begun, node), deadline_s=SUPERVISOR_DEADLINE_S)


def wait_for_ssh(started: Sequence[spec.Spec]) -> None:
    """Wait until each node answers; raise with the end of its console where one does not."""
    begun = time.monotonic()
    for node in started:
        left_s = kinds.BACKENDS[node.kind].patience.boot_s - (time.monotonic() - begun)
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
    """Return whether waiting is over: the node answers, or its supervisor ended."""
    return not node.running() or _answers(node)


def _answers(node: spec.Spec) -> bool:
    address, port = address_of(node.name), port_of(node.name)
    patience_s = kinds.BACKENDS[node.kind].patience.banner_s
    return node.booted.exists() and ssh_banner(address, port, timeout_s=patience_s)


def tail(path: Path, lines: int = 25) -> str:
    """Return the last lines of a file."""
    with suppress(FileNotFoundError):
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    return "(there is none)"
