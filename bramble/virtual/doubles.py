"""Doubles of a Pi's own tools, with the recordings they replay, for a node's files."""

from collections.abc import Iterator
from pathlib import Path

from bramble.virtual.layers import Upper

TOOLS = ("vcgencmd", "rpi-eeprom-update", "rpi-eeprom-config")
HEALTHY = "healthy"
AFTER_UPDATE = "after-update"
PLACE = "usr/lib/virtual-pi"

_HERE = Path(__file__).parent
RECORDED = _HERE / "recorded"


def recorded_faults(board: str) -> list[str]:
    """Return the faults that were recorded for a board."""
    cases = (path.name for path in (RECORDED / board).iterdir() if path.is_dir())
    return sorted(name for name in cases if name not in {HEALTHY, AFTER_UPDATE})


def recordings(board: str, case: str) -> dict[str, bytes]:
    """Return the recordings of a case: those of a healthy board, with what the fault changes."""
    found: dict[str, bytes] = {}
    for folder in (HEALTHY, case):
        base = RECORDED / board / folder
        found.update({str(path.relative_to(base)): path.read_bytes() for path in _files(base)})
    return found


def _files(base: Path) -> Iterator[Path]:
    yield from sorted(path for path in base.rglob("*") if path.is_file())


def install(upper: Upper, board: str, fault: str | None) -> None:
    """Install the tools and every case that this node can come to; `current` links to the one in use."""
    program = (_HERE / "doubles" / "replay.sh").read_bytes()
    for tool in TOOLS:
        upper.write(f"usr/bin/{tool}", program, mode=0o755)
    for case in {fault or HEALTHY, AFTER_UPDATE}:
        for path, content in recordings(board, case).items():
            upper.write(f"{PLACE}/{board}-{case}/{path}", content)
    upper.link(f"{PLACE}/current", f"{board}-{fault or HEALTHY}")
