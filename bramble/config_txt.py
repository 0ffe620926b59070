"""A Raspberry Pi's config.txt: values set in a block of ours at its end, under `[all]`.

Sections are filters: what follows `[pi5]` holds on a Pi 5 only, until the next filter; `[all]` ends
them. Of several values of a name the last wins, so a block under `[all]` at the end has the last word
on every board. All other lines stay as they are.

Parameters of the device tree and overlays add up, so each has a name of its own: `dtparam=audio` is
`on` in `dtparam=audio=on`, and `dtoverlay=gpio-fan` is `gpiopin=14` in `dtoverlay=gpio-fan,gpiopin=14`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

BEGIN = "# bramble: begin of boot.config; change the inventory, not these lines"
END = "# bramble: end of boot.config"
OVERLAY = "dtoverlay="
_SECTION = re.compile(r"\[([^\]]*)\]")
_BLOCK = re.compile(
    rf"^{re.escape(BEGIN)}\r?\n((?:(?!{re.escape(BEGIN)}).*\n)*?){re.escape(END)}\r?(?:\n|\Z)", re.M
)


def edited(text: str, wanted: Mapping[str, str]) -> str:
    """The text with every wanted value in force; unchanged where that is so already."""
    bare, before = text, None
    # What is left around a block may be one again.
    while bare != before:
        bare, before = _BLOCK.sub("", bare), bare
    if not any(last_word(bare, name) != value for name, value in wanted.items()):
        return bare
    if bare and not bare.endswith("\n"):
        bare += "\n"
    # An overlay ends the scope of the parameters before it, so overlays come last.
    names = sorted(wanted, key=lambda name: name.startswith(OVERLAY))
    lines = (BEGIN, "[all]", *(_line(name, wanted[name]) for name in names), END)
    return bare + "".join(f"{line}\n" for line in lines)


def without(text: str, names: Collection[str]) -> str:
    """The text with these names taken out of our block, which goes when nothing is left in it."""
    block = _BLOCK.search(text)
    if block is None:
        return text
    ours = {name: value for _, name, value in _assignments(block[1])}
    left = {name: value for name, value in ours.items() if name not in names}
    return text if left == ours else edited(text, left)


def last_word(text: str, name: str) -> str | None:
    """The value of a name that holds on every board: None where there is none, or a filter's is last."""
    found = None
    for section, given, value in _assignments(text):
        if given == name:
            found = value if section == "all" else None
    return found


def _line(name: str, value: str) -> str:
    """The line that sets a name."""
    if name.startswith(OVERLAY):
        return f"{name},{value}" if value else name
    return f"{name}={value}"


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
    elif name.strip() == "dtoverlay":
        overlay, _, value = value.partition(",")
        name = f"{OVERLAY}{overlay.strip()}"
    return name.strip(), value.strip()
