"""Settings of the role power."""

from __future__ import annotations

from typing import Literal

from bramble.settings import Section, option

Governor = Literal["conservative", "ondemand", "performance", "powersave", "schedutil"]


class Settings(Section):
    """Supply, clock and heat; nothing here overclocks."""

    governor: Governor | None = option(
        None,
        help="Governor of the processor's clock; not set: as the system has it (Raspberry Pi OS: "
        "ondemand), and a governor that was set before stays.",
        example="performance",
    )
    temperature_warn_c: int = option(
        70,
        help="Temperature above which to warn. Bare boards rest at 50 to 60 degrees, a Pi 5's fan "
        "starts at 50, and the firmware slows the processor down from 80 on.",
        unit="°C",
        ge=40,
        le=85,
    )
    psu_warn_ma: int = option(
        5000,
        help="Current below which to warn of a Pi 5's supply; 3000 for one that is meant to be small. "
        "With less than 5000 the board allows its USB ports 600 mA in all.",
        unit="mA",
        ge=0,
        le=10000,
    )
