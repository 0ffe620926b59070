"""Supervise one node: boot it, and boot it again when it reboots.

Run as `python -m bramble.virtual.supervisor NAME` in a mount namespace of its own. What the node runs
on ends with this process, so a supervisor that is killed leaves nothing behind but the node's files.
"""

import os
import signal
import sys
import time
from types import FrameType

from bramble.virtual import kinds, processes, spec
from bramble.virtual.backend import Hardware


def supervise(node: spec.Spec, hardware: Hardware) -> None:
    """Boot the node until it powers off or `down` ends this process."""
    signal.signal(signal.SIGTERM, _end)
    record = processes.record_of(os.getpid())
    if record:
        processes.save(record, node.record)
    try:
        with hardware.ready():
            while _boot(node, hardware):
                pass
    finally:
        node.record.unlink(missing_ok=True)


def _boot(node: spec.Spec, hardware: Hardware) -> bool:
    """Boot the node once and wait for its end; return whether it is to boot again."""
    cmdline = hardware.power_on()
    say(f"{node.name} boots: {cmdline}")
    node.booted.touch()
    end = hardware.run(cmdline)
    say(f"{node.name} {end.summary}")
    return end.reboots


def _end(_signal: int, _frame: FrameType | None) -> None:
    """End at once: `down` throws the node's files away, so there is nothing to shut down in order."""
    # `down` asks twice, and the clean-up that follows this must not be cut short.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(0)


def say(message: str) -> None:
    """Write a line of our own into the console log."""
    now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    print(f"[supervisor {now}Z] {message}", flush=True)


def main() -> None:
    """Supervise the node that the command line names."""
    name = sys.argv[1]
    node = spec.load(name)
    supervise(node, kinds.backend_of(name).hardware(node))


if __name__ == "__main__":
    main()
