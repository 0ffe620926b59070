"""A kernel command line: edited as cmdline.txt needs it, and read as the kernel does.

cmdline.txt is one line. What follows it is ignored by the firmware, and the kernel takes the last of
several values, so both matter: the position of a token, and that there is no second line.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

# Quotes keep the spaces of a value together; the kernel reads them so too.
_TOKEN = re.compile(r'(?:[^ \t\r\n"]|"[^"\n]*"?)+')


@dataclass(frozen=True, kw_only=True)
class Desired:
    """What a command line must hold.

    `flags` are whole tokens, as a name may be given several times (`cgroup_enable=cpuset` beside
    `cgroup_enable=memory`), each with the token that undoes it. Of `values` a name has one only.
    """

    flags: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def tokens(self) -> tuple[str, ...]:
        """All of it as tokens."""
        return (*self.flags, *(f"{name}={value}" for name, value in self.values.items()))


def tokens(line: str) -> tuple[str, ...]:
    """Return the tokens of a line, in order."""
    return tuple(_TOKEN.findall(line))


def is_one_line(text: str) -> bool:
    """Tell whether a cmdline.txt is exactly one line that is not blank."""
    return bool(text.strip()) and "\n" not in text.removesuffix("\n")


def edited(text: str, desired: Desired) -> str:
    """Edit a cmdline.txt: one line with the desired tokens, the order and all others unchanged.

    Of several lines the first that is not blank counts. A text without any is left as it is: there
    is nothing to boot from in it, and tokens alone would not correct that.
    """
    first = next((line for line in text.split("\n") if line.strip()), "")
    before = tokens(first)
    if not before:
        return text
    after = _with_values(_with_flags(before, desired.flags), desired.values)
    if after == before and is_one_line(text):
        return text
    return " ".join(after) + ("\n" if text.endswith("\n") else "")


def _with_flags(found: Sequence[str], flags: Mapping[str, str]) -> tuple[str, ...]:
    undoing = set(flags.values())
    kept = tuple(filter(None, (_without(token, undoing) for token in found)))
    return (*kept, *(flag for flag in flags if _last(kept, flag) < 0))


def _single(token: str) -> tuple[str, ...]:
    """Split a token with a list, such as `cgroup_disable=cpu,memory`, into single ones."""
    name, equals, value = token.partition("=")
    return tuple(f"{name}={part}" for part in value.split(",")) if equals else (token,)


def _without(token: str, undoing: Collection[str]) -> str:
    """Remove from a token what undoes a flag; return an empty text where nothing is left."""
    kept = [single for single in _single(token) if single not in undoing]
    if len(kept) == len(_single(token)):
        return token
    name = token.partition("=")[0]
    return f"{name}={','.join(single.partition('=')[2] for single in kept)}" if kept else ""


def _with_values(found: Sequence[str], values: Mapping[str, str]) -> tuple[str, ...]:
    """Set each value at the first occurrence of its name, drop further ones, and append new ones."""
    made: list[str] = []
    placed: set[str] = set()
    for token in found:
        name = token.partition("=")[0]
        if name not in values:
            made.append(token)
        elif name not in placed:
            placed.add(name)
            made.append(f"{name}={values[name]}")
    new = (f"{name}={value}" for name, value in values.items() if name not in placed)
    return (*made, *new)


def without(text: str, desired: Desired) -> str:
    """Return a cmdline.txt's text without the desired tokens; a text of more than one line stays."""
    if not is_one_line(text):
        return text
    before = tokens(text)
    after = tuple(token for token in before if token not in desired.tokens)
    if after == before or not after:
        return text
    return " ".join(after) + ("\n" if text.endswith("\n") else "")


def missing(line: str, desired: Desired) -> tuple[str, ...]:
    """Return the wanted tokens that a line lacks, or that a later token undoes."""
    found = tokens(line)
    flags = tuple(
        flag
        for flag, undoing in desired.flags.items()
        if _last(found, flag) <= _last(found, undoing)
    )
    given = {name: value for name, _, value in (token.partition("=") for token in found)}
    values = (f"{n}={value}" for n, value in desired.values.items() if given.get(n) != value)
    return (*flags, *values)


def _last(found: Sequence[str], token: str) -> int:
    """Return the index of a token's last occurrence, alone or in a list; -1 where there is none."""
    return max((place for place, one in enumerate(found) if token in _single(one)), default=-1)
