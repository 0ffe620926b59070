"""What a board reports of its supply, its clock and its heat, through vcgencmd or sysfs.

The bits of get_throttled are those of vcgencmd(1): 0 to 3 are the present, 16 to 19 any time since the
board was booted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeVar

from bramble.snapshot import FileState, Output, Snapshot, Unknown

GET_THROTTLED = "vcgencmd get_throttled"
MEASURE_TEMP = "vcgencmd measure_temp"
COMMANDS = (GET_THROTTLED, MEASURE_TEMP)

# The folder's name has an address in it on some boards (soc@107c000000 on a Pi 5), and newer kernels
# have the firmware at the top. In a pattern of fnmatch, `*` matches slashes too.
THROTTLED_FILE = "/sys/devices/platform/*firmware/get_throttled"
_THROTTLED_DEEPER = "/sys/devices/platform/soc*/*firmware/get_throttled"
TEMP_FILE = "/sys/class/thermal/thermal_zone0/temp"
FILES = (THROTTLED_FILE, _THROTTLED_DEEPER, TEMP_FILE)

T = TypeVar("T")

UNDERVOLTAGE = "undervoltage"
_WORDS = (UNDERVOLTAGE, "clock capped", "throttled", "soft temperature limit")


@dataclass(frozen=True)
class Throttled:
    """The conditions that hold now, and those that held at some time since boot."""

    now: tuple[str, ...]
    since_boot: tuple[str, ...]


def decoded(bits: int) -> Throttled:
    """Decode the bits of get_throttled to words; a bit without a word is given by its number."""
    now, since_boot = (
        tuple(_word(shift, bit) for bit in range(16) if bits >> shift + bit & 1)
        for shift in (0, 16)
    )
    return Throttled(now, since_boot)


def _word(shift: int, bit: int) -> str:
    return _WORDS[bit] if bit < len(_WORDS) else f"bit {shift + bit}, whose meaning is not known"


def get_throttled(text: str) -> Throttled:
    """Parse what `vcgencmd get_throttled` printed."""
    found = re.search(r"^throttled=0x([0-9a-fA-F]+)$", text, re.MULTILINE)
    if not found:
        raise ValueError(f"no throttled= in {text.strip()!r}")
    return decoded(int(found[1], 16))


def firmware_throttled(text: str) -> Throttled:
    """Parse the kernel's own get_throttled: the same bits, hexadecimal without 0x."""
    return decoded(int(text, 16))


def measure_temp(text: str) -> float:
    """Parse what `vcgencmd measure_temp` printed, in degrees Celsius."""
    found = re.search(r"^temp=(-?[\d.]+)'C$", text, re.MULTILINE)
    if not found:
        raise ValueError(f"no temp= in {text.strip()!r}")
    return float(found[1])


def thermal_zone(text: str) -> float:
    """Convert a thermal zone's millidegrees to degrees Celsius."""
    return int(text) / 1000


def throttled(snapshot: Snapshot) -> Throttled | Unknown | None:
    """Return the conditions of a board; None where nothing reports them (no Raspberry Pi)."""
    seen = _first_file(snapshot, THROTTLED_FILE)
    return _first_reported(snapshot.command(GET_THROTTLED), get_throttled, seen, firmware_throttled)


def temperature_c(snapshot: Snapshot) -> float | Unknown | None:
    """Return the processor's temperature; None where nothing reports it."""
    seen = _first_file(snapshot, TEMP_FILE)
    return _first_reported(snapshot.command(MEASURE_TEMP), measure_temp, seen, thermal_zone)


def _first_reported(
    said: Output | Unknown | None,
    of_command: Callable[[str], T],
    seen: FileState | Unknown | None,
    of_file: Callable[[str], T],
) -> T | Unknown | None:
    """Return the command's value, else the file's.

    Unknown where a source exists and fails and the other has no value; None where there is no source.
    """
    from_command = _parsed(said, of_command)
    if from_command is not None and not isinstance(from_command, Unknown):
        return from_command
    from_file = _parsed(seen, of_file)
    return from_command if from_file is None else from_file


def _parsed(
    source: Output | FileState | Unknown | None, parse: Callable[[str], T]
) -> T | Unknown | None:
    if source is None or isinstance(source, Unknown):
        return source
    if isinstance(source, Output) and source.code:
        return Unknown(f"vcgencmd ended with {source.code}: {source.output.strip()}")
    text = source.output if isinstance(source, Output) else source.text
    try:
        return parse(text or "")
    except ValueError as error:
        return Unknown(str(error))


def _first_file(snapshot: Snapshot, pattern: str) -> FileState | Unknown | None:
    """Return the first file that matches a pattern."""
    if isinstance(snapshot.files, Unknown):
        return snapshot.files
    found = (seen for path, seen in snapshot.files.items() if fnmatchcase(path, pattern))
    return next(found, None)
