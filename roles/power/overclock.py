"""What config.txt asks of a board's clocks and voltages, beside what the board is sold with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bramble.board import Board
from bramble.firmware import config_txt
from bramble.firmware.config_filters import machine
from bramble.firmware.config_txt import Included, Word
from bramble.system.devicetree import DeviceTree

# MHz, by the documentation's table of defaults (raspberrypi/documentation, overclocking.adoc).
_PI4 = {
    **dict.fromkeys(
        ("gpu_freq", "core_freq", "h264_freq", "isp_freq", "v3d_freq", "hevc_freq"), 500
    ),
    "arm_freq": 1500,
    "sdram_freq": 3200,
}
_PI5 = {
    **dict.fromkeys(("gpu_freq", "core_freq", "isp_freq", "v3d_freq", "hevc_freq"), 910),
    "arm_freq": 2400,
    "sdram_freq": 4267,
}
_STOCK_MHZ = {
    "pi4": _PI4,
    "pi400": _PI4 | {"arm_freq": 1800},
    "cm4": _PI4,
    "pi5": _PI5,
    "cm5": _PI5,
    "pi500": _PI5,
}
# From this revision of the Pi 4 on, arm_boost=1 of the stock config.txt gives it 1800.
_BOOSTED_REVISION, _BOOSTED_MHZ = 4, 1800
_CLOCK = re.compile(r"(\w+_freq)(_min)?")
VOLTAGE, TURBO = "over_voltage", "force_turbo"


@dataclass(frozen=True)
class Asked:
    """The lines that raise something above what is sold: surely, or perhaps; and those that lower it."""

    raised: tuple[Word, ...]
    perhaps: tuple[Word, ...]
    lowered: tuple[Word, ...]

    @property
    def burns_the_warranty_bit(self) -> bool:
        """Whether force_turbo and a raised voltage come together."""
        names = {word.name for word in (*self.raised, *self.perhaps)}
        return TURBO in names and any(name.startswith(VOLTAGE) for name in names)


def stock_mhz(board: Board, tree: DeviceTree | None) -> Mapping[str, int] | None:
    """Return the clock rates of a board as sold; None where they are not known."""
    stock = _STOCK_MHZ.get(board.kind)
    boosted = tree and tree.revision and tree.revision & 0xF >= _BOOSTED_REVISION
    if stock and board.kind == "pi4" and boosted:
        return stock | {"arm_freq": _BOOSTED_MHZ}
    return stock


def asked(
    text: str, included: Included, tree: DeviceTree | None, stock: Mapping[str, int]
) -> Asked:
    """Return what a config.txt requests of a board."""
    found = tuple(config_txt.words(text, machine(tree), included))
    made: dict[str, list[Word]] = {"raised": [], "perhaps": [], "lowered": []}
    for name in dict.fromkeys(word.name for word in found):
        candidates = config_txt.candidates(found, name)
        verdicts = [_verdict(word, stock) for word in candidates]
        for word, verdict in zip(candidates, verdicts, strict=True):
            if word is not None and verdict is not None:
                sure = verdict == "lowered" or all(one == "raised" for one in verdicts)
                made[verdict if sure else "perhaps"].append(word)
    return Asked(**{kind: tuple(dict.fromkeys(words)) for kind, words in made.items()})


def _verdict(word: Word | None, stock: Mapping[str, int]) -> str | None:
    """Tell whether a line raises or lowers a clock or a voltage; None for neither."""
    if word is None:
        return None
    if not word.name:
        return "perhaps"
    clock = _CLOCK.fullmatch(word.name)
    voltage = word.name.startswith(VOLTAGE)
    if not (clock or voltage or word.name == TURBO):
        return None
    if not re.fullmatch(r"-?\d+", word.value):
        return "raised"
    value = int(word.value)
    if clock and clock[1] not in stock:
        return "perhaps" if value else None
    limit = stock[clock[1]] if clock else 0
    return "raised" if value > limit else "lowered" if voltage and value < 0 else None
