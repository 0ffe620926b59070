"""Tell by the files of a card's boot volume which release is on it, and what its first boot reads.

Images of Raspberry Pi OS have `issue.txt` there, of the tool that made them. Those of Bookworm start
`firstboot` once, by cmdline.txt, which reads custom.toml; those of Trixie since November 2025 have the
three files of cloud-init. Nothing is guessed: any other volume is refused with what was found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

CMDLINE, CONFIG, ISSUE = "cmdline.txt", "config.txt", "issue.txt"
CUSTOM_TOML = "custom.toml"
USER_DATA, META_DATA, NETWORK_CONFIG = CLOUD_INIT = ("user-data", "meta-data", "network-config")

Way = Literal["custom.toml", "cloud-init"]

FIRSTBOOT = "init=/usr/lib/raspberrypi-sys-mods/firstboot"
# Line 1 has the day of the image, line 2 the tool (pi-gen, scripts/common, update_issue).
_ISSUE = re.compile(
    r"\ARaspberry Pi reference (?P<day>\d{4}-\d\d-\d\d)\r?\nGenerated using pi-gen\b"
)
# Kernels that images of 64 bits do not have.
_32_BIT = ("kernel.img", "kernel7.img", "kernel7l.img")
# Bookworm's config.txt has it, and that of Bullseye, which has `firstboot` too, has not.
_SINCE_BOOKWORM = re.compile(r"(?m)^auto_initramfs=1\s*$")
# Files that make an account of their own, which ours would be in the way of.
_OTHERS = ("firstrun.sh", "rpi-preseed.toml", "userconf", "userconf.txt")
SSH_SWITCHES = ("ssh", "ssh.txt")
_MOST_NAMED = 12
_MOST_BYTES = 1 << 20
FLASH = "flash Raspberry Pi OS Lite (64-bit) without customisation, and mount its boot partition"


class VolumeError(Exception):
    """A volume that is not written to; the text says what was found, and what to do."""


@dataclass(frozen=True)
class Volume:
    """The boot volume of a card that was never started."""

    folder: Path
    way: Way
    day: str
    cmdline: str
    switches: tuple[str, ...] = ()

    @property
    def release(self) -> str:
        """The release on the card, for people."""
        return "Trixie" if self.way == "cloud-init" else "Bookworm"

    def text(self, name: str) -> str | None:
        """Return the text of a file; None where there is none."""
        return _text(self.folder, name)


def read(folder: Path) -> Volume:
    """Return what the volume is; raise VolumeError where that is not certain."""
    names = _names(folder)
    if not {CMDLINE, CONFIG, ISSUE} <= names:
        raise VolumeError(
            f"{folder} is no boot volume of Raspberry Pi OS: {_listed(names)}; {FLASH}"
        )
    issue = _text(folder, ISSUE) or ""
    made = _ISSUE.match(issue)
    if made is None:
        first = issue.partition("\n")[0][:80]
        raise VolumeError(
            f"{folder / ISSUE} names no image of Raspberry Pi OS: found {first!r}; {FLASH}"
        )
    if wrong := sorted(names.intersection(_32_BIT)):
        raise VolumeError(f"{folder} has {wrong[0]}, which a 32-bit system has; {FLASH}")
    cmdline = _one_line(folder)
    _refuse_others(folder, names, cmdline)
    way = _way(folder, names, cmdline, made["day"])
    switches = tuple(name for name in SSH_SWITCHES if name in names)
    return Volume(folder, way, made["day"], cmdline, switches)


def _way(folder: Path, names: set[str], cmdline: str, day: str) -> Way:
    """Return how the first boot is told things; raise VolumeError where no way is known."""
    cloud = [name for name in CLOUD_INIT if name in names]
    if len(cloud) == len(CLOUD_INIT):
        return "cloud-init"
    if cloud:
        lacks = ", ".join(name for name in CLOUD_INIT if name not in names)
        raise VolumeError(
            f"{folder} has {', '.join(cloud)} of cloud-init and lacks {lacks}; {FLASH}"
        )
    words = cmdline.split()
    if FIRSTBOOT in words:
        if not _SINCE_BOOKWORM.search(_text(folder, CONFIG) or ""):
            said = f"{folder / CONFIG} has no auto_initramfs=1, as Bookworm's has: the release is older"
            raise VolumeError(f"{said}; {FLASH}")
        return "custom.toml"
    if "resize" in words:
        raise VolumeError(
            f"{folder} is of {day}, with neither the files of cloud-init nor {FIRSTBOOT} in "
            f"{CMDLINE}, as the first image of Trixie (2025-10-01): take a later one; {FLASH}"
        )
    raise VolumeError(
        f"{folder} is of a card that was started before: {CMDLINE} has no {FIRSTBOOT}, which the "
        f"first boot takes away, so nothing would read what is written; {FLASH}, or log in and run "
        "`bramble trust`"
    )


def _one_line(folder: Path) -> str:
    """Return the kernel's command line; raise VolumeError where it is not one line with a root."""
    text = _text(folder, CMDLINE) or ""
    lines = text.splitlines()
    if len(lines) != 1:
        raise VolumeError(
            f"{folder / CMDLINE} has {len(lines)} lines, and must have one: the kernel reads no "
            f"other; {FLASH}"
        )
    if not any(word.startswith("root=") for word in lines[0].split()):
        raise VolumeError(
            f"{folder / CMDLINE} names no root=, so the board would not start; {FLASH}"
        )
    return lines[0]


def _refuse_others(folder: Path, names: set[str], cmdline: str) -> None:
    """Refuse a card that something else customised: two makers of one account lock each other out."""
    for name in _OTHERS:
        if name in names:
            raise VolumeError(
                f"{folder / name} is there, by which the first boot makes an account of its own: "
                f"remove it, or {FLASH}"
            )
    if word := next((word for word in cmdline.split() if word.startswith("systemd.run")), None):
        raise VolumeError(f"{folder / CMDLINE} has {word}, which Raspberry Pi Imager adds; {FLASH}")


def _names(folder: Path) -> set[str]:
    """Return the names of the files, in lower case as FAT compares them."""
    try:
        return {file.name.lower() for file in folder.iterdir() if file.is_file()}
    except OSError as error:
        raise VolumeError(
            f"{folder} cannot be read: {error.strerror}; mount the card's boot partition"
        ) from error


def _text(folder: Path, name: str) -> str | None:
    try:
        with (folder / name).open("rb") as file:
            return file.read(_MOST_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise VolumeError(f"{folder / name} cannot be read: {error.strerror}") from error


def _listed(names: set[str]) -> str:
    """Name what was found, for people."""
    named = sorted(names)
    more = ", ..." if len(named) > _MOST_NAMED else ""
    return f"found {', '.join(named[:_MOST_NAMED])}{more}" if named else "found no file"
