"""A Raspberry Pi's config.txt: values set in a block of ours at its end, under `[all]`.

Sections are filters: what follows `[pi5]` holds on a Pi 5 only, until the next filter; `[all]` ends
them. Of several values of a name the last wins, so a block under `[all]` at the end has the last word
on every board. All other lines stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

BEGIN = "# bramble: begin of boot.config; change the inventory, not these lines"
END = "# bramble: end of boot.config"
_SECTION = re.compile(r"\[([^\]]*)\]")
_BLOCK = re.compile(
    rf"^{re.escape(BEGIN)}\r?\n(?:(?!{re.escape(BEGIN)}).*\n)*?{re.escape(END)}\r?(?:\n|\Z)", re.M
)


def edited(text: str, wanted: Mapping[str, str]) -> str:
    """The text with every wanted value in force; unchanged where that is so already."""
    bare = _BLOCK.sub("", text)
    if not any(last_word(bare, name) != value for name, value in wanted.items()):
        return bare
    if bare and not bare.endswith("\n"):
        bare += "\n"
    lines = (BEGIN, "[all]", *(f"{name}={value}" for name, value in wanted.items()), END)
    return bare + "".join(f"{line}\n" for line in lines)


def last_word(text: str, name: str) -> str | None:
    """The value of a name that holds on every board: None where there is none, or a filter's is last.

    A parameter of the device tree has a name of its own: `dtparam=audio` is `on` in `dtparam=audio=on`.
    """
    found = None
    for section, given, value in _assignments(text):
        if given == name:
            found = value if section == "all" else None
    return found


def _assignments(text: str) -> Iterator[tuple[str, str, str]]:
    """Each assignment with its section, its name and its value."""
    section = "all"
    for line in text.split("\n"):
        stripped = line.strip()
        filter_ = _SECTION.match(stripped)
        if filter_:
            section = filter_[1].strip().lower()
        elif stripped and not stripped.startswith("#"):
            yield (section, *_assignment(stripped))


def _assignment(line: str) -> tuple[str, str]:
    name, _, value = line.partition("=")
    if name.strip() == "dtparam" and "=" in value:
        parameter, _, value = value.partition("=")
        name = f"dtparam={parameter.strip()}"
    return name.strip(), value.strip()
