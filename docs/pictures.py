"""Draw docs/session.svg, the picture in README.md, from docs/session.txt.

The text is a selection of the lines that its commands printed on 2026-11-29, the deploy's on a fresh
virtual Pi; `[...]` marks longer gaps. A test fails when the picture is not what this draws.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console
from rich.text import Text

TEXT = Path(__file__).with_name("session.txt")
PICTURE = TEXT.with_suffix(".svg")


def picture(text: str) -> str:
    """Draw the text as a terminal shows it, as SVG."""
    lines = text.splitlines()
    console = Console(
        record=True, width=max(map(len, lines)) + 1, file=io.StringIO(), force_terminal=True
    )
    for line in lines:
        console.print(_styled(line), soft_wrap=True)
    drawn = console.export_svg(title="from a fresh Pi to an answer", unique_id="session")
    # rich refers to a font on the network; a viewer's own monospaced one is good enough.
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)
    # git reports blanks at a line's end.
    return "\n".join(line.rstrip() for line in drawn.splitlines()) + "\n"


def _styled(line: str) -> Text:
    text = Text(line)
    text.highlight_regex(r"^\$ .*", "bold")
    text.highlight_regex(r"^--> .*", "cyan")
    text.highlight_regex(r"^ *\[(vpi-1|\.\.\.)\]", "bright_black")
    text.highlight_regex(r"\d+ of \d+ checks pass|\d+ pass(?=,)|(?<=\? )4$|^4$", "green")
    return text


if __name__ == "__main__":
    PICTURE.write_text(picture(TEXT.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote docs/{PICTURE.name}")
