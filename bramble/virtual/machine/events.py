"""How a machine's life ended, from the events that QEMU tells on its QMP channel."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

GREETING = b'{"execute": "qmp_capabilities"}\n'
"""Before this QEMU tells no events."""

RESET = "guest-reset"


@dataclass(frozen=True)
class End:
    """Why QEMU ended: QEMU's own word, and whether the watchdog had bitten."""

    reason: str | None = None
    watchdog: bool = False

    @property
    def again(self) -> bool:
        """Whether the machine is to boot again, and was not switched off."""
        return self.reason == RESET

    @property
    def story(self) -> str:
        """The end in words."""
        if self.watchdog and self.again:
            return "was reset by its watchdog"
        told = {RESET: "rebooted", "guest-shutdown": "powered off"}
        return told.get(self.reason or "", f"ended: {self.reason or 'QEMU said no reason'}")


def end_of(lines: Iterable[str | bytes]) -> End:
    """Reads QEMU's messages up to their end."""
    end = End()
    for line in lines:
        message = json.loads(line)
        if message.get("event") == "WATCHDOG":
            end = End(end.reason, True)
        elif message.get("event") == "SHUTDOWN":
            end = End(message["data"]["reason"], end.watchdog)
    return end
