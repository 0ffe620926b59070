"""How a machine ended, from the events that QEMU reports on its QMP channel."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

GREETING = b'{"execute": "qmp_capabilities"}\n'
"""Before this QEMU reports no events."""

RESET = "guest-reset"


@dataclass(frozen=True)
class End:
    """Why QEMU ended: QEMU's own word, and whether the watchdog had bitten."""

    reason: str | None = None
    watchdog: bool = False

    @property
    def reboots(self) -> bool:
        """Return whether the machine is to boot again, and was not switched off."""
        return self.reason == RESET

    @property
    def summary(self) -> str:
        """Return in words how the machine ended."""
        if self.watchdog and self.reboots:
            return "was reset by its watchdog"
        known = {RESET: "rebooted", "guest-shutdown": "powered off"}
        return known.get(self.reason or "", f"ended: {self.reason or 'QEMU said no reason'}")


def end_of(lines: Iterable[str | bytes]) -> End:
    """Read QEMU's messages up to their end; return how it ended."""
    end = End()
    for line in lines:
        message = json.loads(line)
        if message.get("event") == "WATCHDOG":
            end = End(end.reason, True)
        elif message.get("event") == "SHUTDOWN":
            end = End(message["data"]["reason"], end.watchdog)
    return end
