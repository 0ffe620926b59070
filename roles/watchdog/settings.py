"""Settings of the role watchdog."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from bramble.settings import Section, option

MODULUS_S = 16
LEAST_REMAINDER_S = 10


def _safe(seconds: int) -> int:
    """Take only times that every kernel of a Pi keeps.

    The counter of bcm2835_wdt ends at 16 s. Before raspberrypi/linux PR 7432 (June 2026) a longer
    time was masked to what is left when it is divided by 16, while the kernel pings every 8 s.
    """
    left = seconds % MODULUS_S
    if seconds < MODULUS_S or left >= LEAST_REMAINDER_S:
        return seconds
    raise ValueError(
        f"{seconds} s is not safe: allowed are 1 to 15, and times that leave 10 or more when divided "
        f"by 16 (60, 90, 300). Kernels without raspberrypi/linux PR 7432 (bcm2835_wdt) count the "
        f"remainder only, here {left} s, and ping every 8 s: the board may reset for nothing"
    )


Seconds = Annotated[int, AfterValidator(_safe)]


class Settings(Section):
    """The hardware watchdog: it resets a board whose kernel or whose systemd hangs."""

    enabled: bool = option(
        True, help="Arm the watchdog; false disarms it, whatever the system's own default is."
    )
    runtime_s: Seconds = option(
        300,
        help="How long systemd may be silent before the board is reset; 1 to 15, or a time that "
        "leaves 10 or more when divided by 16. A kernel that hangs is reset within 16 s anyway.",
        unit="s",
        example=60,
        ge=1,
        le=3600,
    )
    reboot_s: Seconds = option(
        300,
        help="How long the last phase of a reboot may hang before the board is reset; the same rule.",
        unit="s",
        example=90,
        ge=1,
        le=3600,
    )
