"""Settings of the role power."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from bramble.settings import Section, option

Governor = Literal["conservative", "ondemand", "performance", "powersave", "schedutil"]
Degrees = Annotated[int, Field(ge=30, le=80)]


class Fan(Section):
    """A fan that the board itself switches: by a pin on a Pi 4, on its own connector on a Pi 5."""

    gpio_pin: int | None = option(
        None,
        help="Pi 4: GPIO that switches the fan; not set: there is none.",
        example=14,
        ge=0,
        le=27,
    )
    on_above_c: int = option(
        60, help="Pi 4: temperature from which the fan runs.", unit="°C", ge=40, le=80
    )
    levels_c: tuple[Degrees, Degrees, Degrees, Degrees] | None = option(
        None,
        help="Pi 5: temperatures at which the fan takes its four speeds; not set: the firmware's "
        "50, 60, 67.5 and 75.",
        unit="°C",
        example=[45, 55, 62, 70],
    )

    @model_validator(mode="after")
    def _rising(self) -> Fan:
        levels = self.levels_c
        if levels and any(low >= high for low, high in pairwise(levels)):
            raise ValueError(
                f"fan.levels_c is {list(levels)}: each must be above the one before; four rising "
                "temperatures of 30 to 80 are allowed"
            )
        return self


class Overclock(Section):
    """More than the board is made for: it may compute wrongly, hang, and wear out sooner."""

    i_accept_the_risk: bool = option(
        False, help="Needed for any of the others; every check run warns as long as one is set."
    )
    arm_freq_mhz: int | None = option(
        None, help="Highest clock of the processor.", unit="MHz", example=2600, ge=600, le=3000
    )
    over_voltage_delta_uv: int | None = option(
        None,
        help="Added to the processor's voltage; force_turbo is then set to 0, as both together burn "
        "the warranty bit.",
        unit="µV",
        example=50000,
        ge=-50000,
        le=100000,
    )

    @model_validator(mode="after")
    def _accepted(self) -> Overclock:
        wanted = self.arm_freq_mhz is not None or self.over_voltage_delta_uv is not None
        if wanted and not self.i_accept_the_risk:
            raise ValueError(
                "overclock needs i_accept_the_risk: true beside its values; a board that is not "
                "stable silently computes wrong results. Leave it out, or accept that"
            )
        return self


class Settings(Section):
    """Supply, clock and heat; nothing overclocks unless `overclock` says so."""

    governor: Governor | None = option(
        None,
        help="Governor of the processor's clock; not set: as the system has it (Raspberry Pi OS: "
        "ondemand).",
        example="performance",
    )
    fan: Fan = option(Fan(), help="The fan; not set: as the system has it.")
    overclock: Overclock = option(Overclock(), help="Overclocking; not set: none.")
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
