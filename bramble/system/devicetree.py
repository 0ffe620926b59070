"""What a board is, by the device tree that its firmware gives the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class DeviceTree:
    """What the board says it is; absent properties are None.

    `psu_ma` is the current that the power supply offered to the firmware (Pi 5).
    """

    model: str | None
    compatible: tuple[str, ...]
    revision: int | None
    psu_ma: int | None = None
    serial: int | None = None


def read(part: Mapping[str, str] | None) -> DeviceTree | None:
    """Parse the properties that the probe read, which are hexadecimal; None where there is no tree."""
    if part is None:
        return None
    text = {
        name: bytes.fromhex(value).rstrip(b"\0").decode("utf-8", "replace")
        for name, value in part.items()
    }
    return DeviceTree(
        model=text.get("model"),
        compatible=tuple(filter(None, text.get("compatible", "").split("\0"))),
        revision=_number(part.get("system/linux,revision", "")),
        psu_ma=_number(part.get("chosen/power/max_current", "")),
        serial=int(text["serial-number"], 16) if text.get("serial-number") else None,
    )


def _number(digits: str) -> int | None:
    """Return a device tree's number from big-endian bytes; None for none."""
    return int.from_bytes(bytes.fromhex(digits), "big") if digits else None
