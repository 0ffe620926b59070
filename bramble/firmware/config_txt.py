"""A Raspberry Pi's config.txt: values set in bramble's own block at its end, under `[all]`.

Sections are filters: what follows `[pi5]` applies to a Pi 5 only, until `[all]` ends it. Of several
values of a name the last one that applies wins, so a block under `[all]` at the end overrides all
others on every board. All other lines stay as they are.

Parameters of the device tree and overlays add up, so each has a name of its own: `dtparam=audio` is
`on` in `dtparam=audio=on`, and `dtoverlay=gpio-fan` is `gpiopin=14` in
`dtoverlay=gpio-fan,gpiopin=14`. A `dtparam=` after a `dtoverlay=` goes to that overlay where it has
such a parameter, until the next one; `dtoverlay=` alone ends that (raspberrypi/documentation,
device-tree.adoc).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from bramble.firmware.config_filters import ANY, Filters, Machine

BEGIN = "# bramble: begin of boot.config; change the inventory, not these lines"
END = "# bramble: end of boot.config"
OVERLAY, PARAMETER = "dtoverlay=", "dtparam="
# The firmware reads no more of a line.
LINE_LIMIT = 98
_INCLUDE_DEPTH = 8
_INCLUDE = re.compile(r"include\s+(\S+)$")
_SECTION = re.compile(r"\[([^\]]*)\]")
# Each with its older name.
_OVERLAYS, _PARAMETERS = ("dtoverlay", "device_tree_overlay"), ("dtparam", "device_tree_param")
_BLOCK = re.compile(
    rf"^{re.escape(BEGIN)}\r?\n((?:(?!{re.escape(BEGIN)}).*\n)*?){re.escape(END)}\r?(?:\n|\Z)", re.M
)

Included = Mapping[str, str | None]
"""The text of each file that config.txt includes, None where there is no such file."""


@dataclass(frozen=True)
class Word:
    """What one line sets a name to, and whether it applies: None where that is unknown.

    `said` is the line with its filters, for people; `ours` says that it stands in bramble's block. The
    name of an included file that was not read is empty: it may set anything.
    """

    name: str
    value: str
    holds: bool | None
    said: str
    ours: bool


def edited(text: str, wanted: Mapping[str, str], included: Included | None = None) -> str:
    """Return the text with every wanted value in force; unchanged where they already are."""
    bare, before = text, None
    # What is left around a removed block may form another one.
    while bare != before:
        bare, before = _BLOCK.sub("", bare), bare
    if not any(last_word(bare, name, included) != value for name, value in wanted.items()):
        return bare
    if bare and not bare.endswith("\n"):
        bare += "\n"
    return bare + "".join(f"{line}\n" for line in (BEGIN, "[all]", *_lines_of(wanted), END))


def _lines_of(wanted: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines that set these: parameters outside the scope of any overlay, and overlays last."""
    parameters = [name for name in wanted if name.startswith(PARAMETER)]
    overlays = [name for name in wanted if name.startswith(OVERLAY)]
    yield from (f"{n}={v}" for n, v in wanted.items() if n not in (*parameters, *overlays))
    if parameters:
        yield OVERLAY
    yield from (f"{name}={wanted[name]}" for name in parameters)
    yield from (f"{name},{wanted[name]}" if wanted[name] else name for name in overlays)


def without(text: str, names: Collection[str], included: Included | None = None) -> str:
    """Return the text with these names removed from bramble's block, which goes once it is empty."""
    block = _BLOCK.search(text)
    if block is None:
        return text
    ours = {word.name: word.value for word in words(block[1])}
    left = {name: value for name, value in ours.items() if name not in names}
    return text if left == ours else edited(text, left, included)


def last_word(text: str, name: str, included: Included | None = None) -> str | None:
    """Return a name's value that applies on every board; None where there is none, or it depends."""
    values = {word.value if word else None for word in candidates(words(text, ANY, included), name)}
    return values.pop() if len(values) == 1 else None


def candidates(found: Collection[Word] | Iterator[Word], name: str) -> list[Word | None]:
    """Return what a name may be set to at the end; None is among them where nothing may set it."""
    made: list[Word | None] = [None]
    for word in found:
        if word.name not in (name, ""):
            continue
        if word.holds:
            made = [word]
        elif word.holds is None:
            made.append(word)
    return made


def words(text: str, on: Machine = ANY, included: Included | None = None) -> Iterator[Word]:
    """Yield all that the file sets, with whether it applies to this machine."""
    return _Reader(Filters(on), included or {}).read(text)


class _Reader:
    """A reader of config.txt, line by line, as the firmware does."""

    def __init__(self, filters: Filters, included: Included) -> None:
        self.filters = filters
        self.included = included
        self.ours = False
        # The overlay in whose scope lines stand now, with its parameters so far.
        self.overlay: tuple[str, str] | None = None

    def read(self, text: str, depth: int = 0) -> Iterator[Word]:
        for line in text.split("\n"):
            # Bramble's markers are comments, which may be longer than the firmware reads.
            self.ours = {BEGIN: True, END: False}.get(line.rstrip("\r"), self.ours)
            yield from self._line(line[:LINE_LIMIT].strip(), depth)

    def _line(self, line: str, depth: int) -> Iterator[Word]:
        section, include = _SECTION.match(line), _INCLUDE.match(line)
        if section:
            self.filters.read(section[1])
        elif include:
            yield from self._include(line, include[1], depth)
        elif line and not line.startswith("#"):
            yield from self._assignment(line)

    def _include(self, line: str, name: str, depth: int) -> Iterator[Word]:
        if self.filters.hold is False:
            return
        text = self.included.get(name, "")
        read = name in self.included and depth < _INCLUDE_DEPTH
        if not read or (text and self.filters.hold is None):
            yield self._word("", "", line, None)
        elif text:
            yield from self.read(text, depth + 1)

    def _assignment(self, line: str) -> Iterator[Word]:
        key, _, value = (part.strip() for part in line.partition("="))
        if key in _OVERLAYS:
            yield from self._overlay(line, value)
        elif key in _PARAMETERS:
            for parameter in value.split(","):
                yield from self._parameter(line, parameter.strip())
        else:
            yield self._word(key, value, line, self.filters.hold)

    def _overlay(self, line: str, value: str) -> Iterator[Word]:
        name, parameters = (*(part.strip() for part in re.split("[,:]", value, maxsplit=1)), "")[:2]
        holds = self.filters.hold
        if name:
            yield self._word(f"{OVERLAY}{name}", parameters, line, holds)
        if name and holds is not False:
            self.overlay = (name, parameters)
        elif not name and holds:
            self.overlay = None

    def _parameter(self, line: str, parameter: str) -> Iterator[Word]:
        holds, (name, _, value) = self.filters.hold, parameter.partition("=")
        if self.overlay is not None and holds is not False:
            overlay, before = self.overlay
            self.overlay = (overlay, ",".join(filter(None, (before, parameter))))
            yield self._word(f"{OVERLAY}{overlay}", self.overlay[1], line, holds)
            # Of the board's own tree only where the overlay has no such parameter.
            holds = None
        yield self._word(f"{PARAMETER}{name.strip()}", value.strip(), line, holds)

    def _word(self, name: str, value: str, line: str, holds: bool | None) -> Word:
        return Word(name, value, holds, f"{self.filters.said} {line}".strip(), self.ours)
