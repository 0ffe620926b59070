"""The kinds of Pi that a virtual Pi can be, with the numbers that a real one reports."""

from dataclasses import dataclass

from bramble.virtual.errors import VirtualPiError

MEMORY_GIB = {1: 2, 2: 3, 4: 4, 8: 5, 16: 6}
SOC = {"bcm2711": 3, "bcm2712": 4}


def revision_code(*, soc: str, board_type: int, revision: int, memory_gib: int) -> int:
    """Return a new-style revision code: ...F MMM CCCC PPPP TTTTTTTT RRRR, F set, made by Sony UK (0).

    Source: revision-codes.adoc of raspberrypi/documentation.
    """
    return 1 << 23 | MEMORY_GIB[memory_gib] << 20 | SOC[soc] << 12 | board_type << 4 | revision


@dataclass(frozen=True)
class Board:
    """One kind of Pi."""

    name: str
    model: str
    compatible: tuple[str, ...]
    revision: int
    psu_ma: int | None = None
    """The supply's current in chosen/power/max_current; only a Pi 5 negotiates one."""


BOARDS = {
    "pi4": Board(
        name="pi4",
        model="Raspberry Pi 4 Model B Rev 1.5",
        compatible=("raspberrypi,4-model-b", "brcm,bcm2711"),
        revision=revision_code(soc="bcm2711", board_type=0x11, revision=5, memory_gib=8),
    ),
    "pi5": Board(
        name="pi5",
        model="Raspberry Pi 5 Model B Rev 1.0",
        compatible=("raspberrypi,5-model-b", "brcm,bcm2712"),
        revision=revision_code(soc="bcm2712", board_type=0x17, revision=0, memory_gib=8),
        psu_ma=5000,
    ),
}


def board(name: str) -> Board:
    """Return the board of this name; raise VirtualPiError for an unknown one."""
    if name not in BOARDS:
        known = ", ".join(BOARDS)
        raise VirtualPiError(f"board {name!r} is not known: allowed are {known}")
    return BOARDS[name]
