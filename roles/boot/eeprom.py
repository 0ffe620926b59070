"""The state of a Pi's bootloader EEPROM, read from what rpi-eeprom-update says.

Its exit code 0 is not "up to date": it is 0 too on boards without an EEPROM, on a CM4, and where there
is no board information. Only its own sentence counts, and of its dates only the seconds in
parentheses, as the rest is in the node's language.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from bramble.snapshot import Output

State = Literal["up_to_date", "update_available", "pending_reboot", "not_applicable", "unknown"]

# Bookworm's script; 2020's wrote "up-to-date".
_CURRENT, _OLD = re.compile("up[ -]to[ -]date"), "update available"
_SENTENCE = re.compile(rf"^BOOTLOADER:[ \t]*({_CURRENT.pattern}|{_OLD})[ \t]*$", re.M)
# The USB controller of a Pi 4 has firmware of its own, until revision 1.3 in an EEPROM of its own.
_USB = re.compile(r"^[ \t]*VL805:[ \t]*(.*)$", re.M)
_PENDING = re.compile(r"EEPROM updates? pending", re.I)
_NONE = re.compile(
    r"No Raspberry Pi board info found|Skipping bootloader update|not enabled by default on CM4",
    re.I,
)
_CHANNEL = re.compile(r"^[ \t]*(?:export[ \t]+)?FIRMWARE_RELEASE_STATUS=[\"']?(\w+)", re.M)
# Names of old, which are links to today's.
_RENAMED = {"critical": "default", "stable": "latest"}


@dataclass(frozen=True)
class Eeprom:
    """What is known of the bootloader; versions are seconds since 1970, `said` is for people."""

    state: State
    said: str
    current_s: int | None = None
    latest_s: int | None = None


def read(seen: Output | None, *, staged: bool = False, recovery: bool = False) -> Eeprom:
    """Return the state by rpi-eeprom-update's output (None: no such program) and the boot folder.

    `staged` says that pieeprom.upd is there, `recovery` that recovery.bin does: the bootloader
    renames that one once it has written the update, so with it an update is still to come.
    """
    if seen is None:
        return Eeprom("not_applicable", "rpi-eeprom-update is not installed")
    found = _told(seen)
    if staged and found.state != "not_applicable" and (recovery or found.state != "up_to_date"):
        said = "an update is staged for the next boot"
        return Eeprom("pending_reboot", said, found.current_s, found.latest_s)
    return found


def _told(seen: Output) -> Eeprom:
    text = seen.output
    none = _NONE.search(text)
    if none:
        return Eeprom("not_applicable", _line_of(text, none.start()))
    sentence = _SENTENCE.search(text)
    if seen.code not in (0, 1) or sentence is None:
        if seen.code in (0, 1) and _PENDING.search(text):
            return Eeprom("pending_reboot", "an update is staged for the next boot")
        said = f"rpi-eeprom-update ended with {seen.code} and said {text.strip()[:200]!r}"
        return Eeprom("unknown", said)
    current_s, latest_s = (_epoch(text[sentence.end() :], name) for name in ("CURRENT", "LATEST"))
    said = f"{sentence[1]}: {current_s}, latest {latest_s}"
    if sentence[1] == _OLD:
        return Eeprom("update_available", said, current_s, latest_s)
    line = _USB.search(text)
    usb = line[1].strip() if line else None
    if usb == _OLD:
        said = f"the bootloader is {said}; but the USB controller's firmware (VL805): {usb}"
        return Eeprom("update_available", said, current_s, latest_s)
    if (usb is not None and not _CURRENT.fullmatch(usb)) or seen.code == 1:
        # Exit code 1 says that something is to be updated, whatever it is.
        what = (
            f"the USB controller's firmware (VL805): {usb}"
            if usb is not None
            else text.strip()[:200]
        )
        return Eeprom("unknown", f"rpi-eeprom-update ended with {seen.code}; {what}")
    return Eeprom("up_to_date", said, current_s, latest_s)


def _epoch(text: str, name: str) -> int | None:
    """Return the seconds in parentheses of the first line of this name: later ones are the VL805's."""
    found = re.search(rf"^[ \t]*{name}:.*\((\d{{1,12}})\)[ \t]*$", text, re.M)
    return int(found[1]) if found else None


def _line_of(text: str, place: int) -> str:
    """Return the whole line around a position of the text."""
    return text[text.rfind("\n", 0, place) + 1 :].split("\n")[0].strip()


def channel(text: str | None) -> str:
    """Return the channel that /etc/default/rpi-eeprom-update names, by its current name."""
    named = _CHANNEL.findall(text or "")
    return _RENAMED.get(named[-1], named[-1]) if named else "default"
