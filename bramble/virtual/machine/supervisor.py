"""Keeps one machine: boots it, and boots it again when it reboots or its watchdog resets it.

Run as `python -m bramble.virtual.machine.supervisor NAME` in a mount namespace of its own. QEMU dies
with this process, so a supervisor that is killed leaves nothing behind but the machine's files.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from types import FrameType

from bramble.virtual import processes, spec
from bramble.virtual.machine import card, events, firmware, qemu
from bramble.virtual.supervisor import say


class Supervisor:
    """One machine's keeper."""

    def __init__(self, node: spec.Spec) -> None:
        self._node = node
        self._process: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Boots until the machine powers off or `down` ends this process."""
        signal.signal(signal.SIGTERM, self._on_term)
        record = processes.record_of(os.getpid())
        if record:
            processes.save(record, self._node.record)
        try:
            return self._keep()
        finally:
            self._node.record.unlink(missing_ok=True)

    def _keep(self) -> int:
        card.dress(self._node)
        while True:
            end = self._boot(firmware.power_on(self._node))
            say(f"{self._node.name} {end.story}")
            if not end.again:
                return 0 if end.reason else 1

    def _boot(self, cmdline: str) -> events.End:
        """One life of the machine, from power-on to its end."""
        say(f"{self._node.name} boots: {cmdline}")
        argv = qemu.command(self._node, cmdline)
        self._node.booted.touch()
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            self._process = process
            assert process.stdin
            assert process.stdout
            with suppress(BrokenPipeError):  # it may have ended at once; its log says why
                process.stdin.write(events.GREETING)
                process.stdin.flush()
            return events.end_of(process.stdout)

    def _on_term(self, _signal: int, _frame: FrameType | None) -> None:
        """`down` throws the machine's files away, so there is nothing to shut down in order."""
        if self._process:
            self._process.kill()
        sys.exit(0)


def main() -> int:
    return Supervisor(spec.load(sys.argv[1])).run()


if __name__ == "__main__":
    raise SystemExit(main())
