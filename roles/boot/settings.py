"""Settings of the role boot."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from bramble.settings import Section, option

# Each line of these adds to the others, so that there is no value to set.
REPEATED = ("device_tree_param", "dtoverlay", "dtparam", "gpio", "include", "initramfs")

ConfigName = Annotated[str, Field(pattern=r"^(dtparam=)?[A-Za-z][A-Za-z0-9_]*$", max_length=48)]
# The firmware reads no more than 98 characters of a line.
ConfigValue = Annotated[str, Field(pattern=r"^[!-~]+$", max_length=48)]


class Eeprom(Section):
    """The bootloader of a Pi 4, 5, 400, 500 and CM5."""

    update: bool = option(
        False, help="Whether bramble may update the bootloader; if not, an old one is warned of."
    )
    channel: Literal["default", "latest"] = option(
        "default", help="Releases that an update is taken from; of effect with `update` only."
    )


class Settings(Section):
    """What a Raspberry Pi's firmware and kernel are told at boot; other machines are left alone."""

    memory_cgroup: bool = option(
        True,
        help="Give the kernel cgroup_enable=memory: without it units' memory limits do nothing.",
    )
    psi: bool = option(
        True, help="Give the kernel psi=1, so that it tells in /proc/pressure what is short."
    )
    config: dict[ConfigName, ConfigValue] = option(
        {},
        help="Values of config.txt, in force on every board: name and value, `dtparam=NAME` for "
        "those of the device tree.",
        example={"arm_freq": "2000", "dtparam=pciex1_gen": "3"},
    )
    eeprom: Eeprom = option(Eeprom(), help="The bootloader; not set: it is only looked at.")
    reboot: Literal["when_needed", "never"] = option(
        "when_needed",
        help="Whether a deploy may reboot the node, once, for what takes effect at boot only.",
    )
    reboot_deadline_s: int = option(
        600, help="How long the node may take until it answers again.", unit="s", ge=30, le=3600
    )

    @model_validator(mode="after")
    def _single(self) -> Settings:
        if "force_turbo" in self.config:
            raise ValueError(
                "config.force_turbo cannot be set: beside an over_voltage it burns the board's "
                "warranty bit. power.governor: performance keeps the clock up too"
            )
        for name, value in self.config.items():
            if name.startswith("dtparam=") and "," in value:
                raise ValueError(
                    f"config.{name} is {value!r}: a comma begins the next parameter. Give each of them "
                    "a line of its own, dtparam=NAME"
                )
            if name in REPEATED:
                raise ValueError(
                    f"config.{name} cannot be set: its lines add up. Allowed are names with one "
                    "value, and dtparam=NAME for a parameter of the device tree"
                )
        return self
