"""Arguments of llama-server beyond the settings: which may be given, and how they stand in the unit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import AfterValidator

from bramble.documents.problems import holds_secret, unknown
from bramble.llama.arguments import Argument, known
from bramble.roles.serving.reserved import STALE, why_not

_FORM = re.compile(r"(?P<flag>--?[A-Za-z][\w.-]*)(?:(?:=| +)(?P<value>.*))?")
_UNQUOTED = re.compile(r"[\w@%+=:,./^~<>()\[\]{}|*?!&#-]*")


def _may_be_given(text: str) -> str:
    """Check what does not depend on the build: the form, what bramble gives, what must not be given."""
    flag, value = parted(text)
    argument = known().find(flag)
    if why := why_not(argument.name if argument else flag):
        called = f"{flag} ({argument.name})" if argument and argument.name != flag else flag
        raise ValueError(f"{called} is not given here: {why}")
    if holds_secret(text):
        raise ValueError(
            f"what follows {flag} may be a secret, and would stand in the unit, in reports and in every "
            "list of processes: give none"
        )
    if value is not None and value[:1] in ("'", '"') and value[:1] == value[-1:]:
        raise ValueError(f"{flag}: no shell takes the quotes away; write the value without them")
    if more := next((word for word in (value or "").split() if known().find(word)), None):
        raise ValueError(f"{flag} is followed by {more}; make that an entry of its own")
    return text


ExtraArgument = Annotated[str, AfterValidator(_may_be_given)]
"""An argument with its value: `--top-k 20`, `--top-k=20` or `--no-perf`."""


def parted(text: str) -> tuple[str, str | None]:
    """Return an argument and its value, None where it is given alone."""
    found = _FORM.fullmatch(text.strip())
    if found is None or not text.isprintable():
        raise ValueError(
            "this is no argument; write --flag, --flag VALUE or --flag=VALUE, each as an entry"
        )
    value = found["value"]
    return found["flag"], value if value is None else value.strip()


def words(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the arguments as the command line has them: one with its value a word."""
    parts = (parted(text) for text in texts)
    return tuple(flag if value is None else f"{flag} {value}" for flag, value in parts)


def twice(texts: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Find arguments that are given more than once, by whichever name, each by its place."""
    seen = dict[str, str]()
    for at, text in enumerate(texts):
        flag, _ = parted(text)
        argument = known().find(flag)
        name = argument.name if argument else flag
        if name in seen:
            also = f" (as {seen[name]})" if seen[name] != flag else ""
            yield (
                at,
                f"{flag} is given twice{also}, and llama-server takes the last alone: keep one",
            )
        seen.setdefault(name, flag)


def against(texts: Sequence[str], names: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Find arguments of these names, which would undo that weights are locked."""
    for at, text in enumerate(texts):
        flag, _ = parted(text)
        argument = known().find(flag)
        if argument and argument.name in names:
            yield at, f"{flag} would undo serving.lock_weights: give one of the two"


def wrong(texts: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Find what the build that bramble knows would not start with."""
    for at, text in enumerate(texts):
        flag, value = parted(text)
        argument = known().find(flag)
        problem = _wrong(argument, flag, value) if argument else _lacks(flag)
        if problem:
            yield at, problem


def _wrong(argument: Argument, flag: str, value: str | None) -> str | None:
    if argument.values > 1:
        return f"{flag} wants two values ({argument.value}), which cannot be given here"
    if argument.values and not value:
        return f"{flag} wants a value ({argument.value}), such as `{flag} VALUE`"
    if not argument.values and value is not None:
        others = [name for name in argument.names if name.startswith("--") and name != flag]
        instead = f"; its other names are {', '.join(others)}" if others else ""
        return f"{flag} takes no value{instead}"
    return None


def _lacks(flag: str) -> str:
    build = known()
    stale = STALE.get(flag.replace("_", "-"))
    what = stale or unknown(flag, [name for name in build.by_name if name.startswith("--")])
    return f"llama-server of {build.commit[:9]} has no {flag}: {what}"


def not_known(texts: Sequence[str], more: Sequence[str], commit: str) -> str | None:
    """Return what to say where another commit is built than the one whose arguments are known."""
    build = known()
    names = [*(parted(text)[0] for text in texts), *more]
    if not names or build.is_of(commit):
        return None
    return (
        f"serving: whether llama-server of commit {commit[:9]} takes {', '.join(names)} is not known "
        f"before it starts: bramble knows the arguments of {build.commit[:9]}"
    )


def unit_word(word: str) -> str:
    """Return an argument with its value as a line of ExecStart= (systemd.service(5))."""
    flag, blank, value = word.partition(" ")
    return f"{flag}{blank}{_quoted(value)}"


def _quoted(value: str) -> str:
    plain = value.replace("%", "%%").replace("$", "$$")
    if _UNQUOTED.fullmatch(value):
        return plain
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
