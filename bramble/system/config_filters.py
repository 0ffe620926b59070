"""Which filters of a Raspberry Pi's config.txt hold on a board: yes, no, or not to be told from here.

A filter holds for what follows it (raspberrypi/documentation, conditional.adoc). Those of different
kinds must all hold; one of the same kind takes the place of the one before; `[all]` ends them all.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bramble.board import board_type
from bramble.snapshot import DeviceTree

# By the board type of the revision code; a Pi 400 sees what is for a Pi 4 too, and so on.
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
    """What filters ask of a board; None is what is not known, so that a filter for it may hold."""

    board_type: int | None = None
    serial: int | None = None


ANY = Machine()
"""Whatever board the card is put into: no filter is known to hold."""


def machine(tree: DeviceTree | None) -> Machine:
    """The board of a device tree."""
    return Machine(board_type(tree), tree.serial) if tree else ANY


@dataclass
class Filters:
    """The filters in force at a place of the file, as they are read one after the other."""

    on: Machine
    _said: dict[str, str] = field(default_factory=dict)
    _holds: dict[str, bool | None] = field(default_factory=dict)

    def read(self, name: str) -> None:
        """Take one more filter, given without its brackets."""
        name = name.strip()
        word = name.lower()
        if word == "all":
            self._said, self._holds = {}, {}
            return
        if self._holds.get("none") is False:
            # Whether a filter after [none] lets anything through is documented nowhere.
            self._holds["none"] = None
        kind = _kind(word)
        self._said[kind], self._holds[kind] = f"[{name}]", _holds(word, self.on)

    @property
    def hold(self) -> bool | None:
        """Whether what stands here holds; None where that cannot be told."""
        answers = self._holds.values()
        return False if False in answers else None if None in answers else True

    @property
    def said(self) -> str:
        """The filters as they stand in the file."""
        return " ".join(self._said.values())


def _kind(word: str) -> str:
    if word in _MODELS or word.startswith(_BOARD_TYPE):
        return "model"
    return "serial" if word.startswith("0x") else word.partition("=")[0]


def _holds(word: str, on: Machine) -> bool | None:
    """Whether one filter holds. What hangs on a pin, a screen or the way of booting cannot be told."""
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
