"""Draw each of docs/sessions/*.txt as a terminal shows it, into an SVG beside it.

`docs/record.py` records the texts on virtual Pis. A test fails when a picture is not what this draws.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

sys.path.append(str(Path(__file__).parents[1]))

from bramble.layout import wrapped

COLUMNS = 118
TEXTS = Path(__file__).with_name("sessions")
STYLES = {
    r"^\$ .*": "bold",
    r"^--> .*": "cyan",
    r"^ *\[(vpi-1|\.\.\.)\]": "bright_black",
    r"\d+ of \d+ checks pass|\b\d+ pass\b|\b(healthy|ok)\b|(?<=\? )4$|^4$": "green",
    r"\b\d+ (fail|unknown)\b|\b(fail|FAIL|unreachable|stopped|unwell)\b": "red",
    r"\b\d+ warn\b|\bwarn\b": "yellow",
}
"""What stands out, as on a terminal: by pattern."""


def texts() -> list[Path]:
    """Return the recorded sessions, in order."""
    return sorted(TEXTS.glob("*.txt"))


def picture(text: str, title: str) -> str:
    """Draw the text as a terminal shows it, as SVG."""
    lines = [part for line in text.splitlines() for part in wrapped(line, COLUMNS, 8).split("\n")]
    console = Console(
        record=True, width=max(map(len, lines)) + 1, file=io.StringIO(), force_terminal=True
    )
    for line in lines:
        console.print(_styled(line), soft_wrap=True)
    drawn = console.export_svg(title=title, unique_id="session")
    # rich refers to a font on the network; a viewer's own monospaced one is good enough.
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)
    # git reports blanks at a line's end.
    return "\n".join(line.rstrip() for line in drawn.splitlines()) + "\n"


def drawn(session: Path) -> str:
    """Draw a recorded session; its first line is the title."""
    title, _, text = session.read_text(encoding="utf-8").partition("\n")
    return picture(text, title)


def _styled(line: str) -> Text:
    text = Text(line)
    for pattern, style in STYLES.items():
        text.highlight_regex(pattern, style)
    return text


def draw() -> None:
    """Draw all of them."""
    for session in texts():
        session.with_suffix(".svg").write_text(drawn(session), encoding="utf-8")
        print(f"wrote docs/sessions/{session.stem}.svg")


if __name__ == "__main__":
    draw()
