"""What a machine runs on: QEMU, which dies with the supervisor that started it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from bramble.virtual.machine import card, events, firmware, qemu
from bramble.virtual.spec import Spec


class MachineHardware:
    """What one machine runs on."""

    def __init__(self, node: Spec) -> None:
        self._node = node

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Give a new machine its identity; nothing outlives one boot but its disks."""
        card.personalize(self._node)
        yield

    def power_on(self) -> str:
        """Play the firmware; return the kernel command line."""
        return firmware.power_on(self._node)

    def run(self, cmdline: str) -> events.End:
        """Boot the machine and wait for its end."""
        argv = qemu.command(self._node, cmdline)
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin
            assert process.stdout
            try:
                with suppress(BrokenPipeError):  # it may have ended at once; its log says why
                    process.stdin.write(events.GREETING)
                    process.stdin.flush()
                return events.end_of(process.stdout)
            except BaseException:
                process.kill()
                raise
