"""Which conditional filters of config.txt apply to a board: yes, no, or unknown.

A filter applies to what follows it (raspberrypi/documentation, conditional.adoc). Filters of different
kinds must all match; one of the same kind replaces the one before; `[all]` ends them all.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bramble.board import board_type
from bramble.system.devicetree import DeviceTree

# By the board type of the revision code; a Pi 400 also reads what is for a Pi 4, and so on.
_SEEN_BY = {
    0x11: {"pi4"},
    0x13: {"pi4", "pi400"},
    0x14: {"pi4", "cm4"},
    0x15: {"pi4", "cm4s"},
    0x17: {"pi5"},
    0x18: {"pi5", "cm5"},
    0x19: {"pi5", "pi500"},
    0x1A: {"pi5", "cm5"},
}
_MODELS = {
    *("pi0", "pi0w", "pi02", "pi1", "pi2", "pi3", "pi3+", "pi4", "pi400", "pi5", "pi500"),
    *("cm0", "cm1", "cm3", "cm3+", "cm4", "cm4s", "cm5"),
}
_BOARD_TYPE = "board-type"


@dataclass(frozen=True)
class Machine:
    """What filters ask of a board; None where it is not known, so that a filter for it may match."""

    board_type: int | None = None
    serial: int | None = None


ANY = Machine()
"""Any board that the card may be put into: no filter is known to match."""


def machine(tree: DeviceTree | None) -> Machine:
    """Return the board that a device tree describes."""
    return Machine(board_type(tree), tree.serial) if tree else ANY


@dataclass
class Filters:
    """The filters in force at a place of the file, updated as they are read in order."""

    on: Machine
    _said: dict[str, str] = field(default_factory=dict)
    _holds: dict[str, bool | None] = field(default_factory=dict)

    def read(self, name: str) -> None:
        """Read one more filter, given without its brackets."""
        name = name.strip()
        word = name.lower()
        if word == "all":
            self._said, self._holds = {}, {}
            return
        if self._holds.get("none") is False:
            # Whether a filter after [none] can match is documented nowhere.
            self._holds["none"] = None
        kind = _kind(word)
        self._said[kind], self._holds[kind] = f"[{name}]", _holds(word, self.on)

    @property
    def hold(self) -> bool | None:
        """Whether the lines at this place apply; None where that is unknown."""
        answers = self._holds.values()
        return False if False in answers else None if None in answers else True

    @property
    def said(self) -> str:
        """The filters in force, as they are written in the file."""
        return " ".join(self._said.values())


def _kind(word: str) -> str:
    if word in _MODELS or word.startswith(_BOARD_TYPE):
        return "model"
    return "serial" if word.startswith("0x") else word.partition("=")[0]


def _holds(word: str, on: Machine) -> bool | None:
    """Return whether one filter matches; None for those by pin, display or boot mode."""
    if word == "none":
        return False
    if word in _MODELS:
        seen = _SEEN_BY.get(on.board_type) if on.board_type is not None else None
        return None if seen is None else word in seen
    name, _, value = word.partition("=")
    if name == _BOARD_TYPE:
        return _same(value, on.board_type)
    if not word.startswith("0x") or on.serial is None:
        return None
    # The documentation's example has the lower half of the number in /proc/cpuinfo.
    return _same(word, on.serial) or _same(word, on.serial & 0xFFFFFFFF)


def _same(text: str, number: int | None) -> bool | None:
    try:
        return None if number is None else int(text, 0) == number
    except ValueError:
        return None
