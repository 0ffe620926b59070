"""What is wrong with an inventory: one line for each problem, all of them at once."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bramble.sanitize import sanitize

Keys = tuple[str | int, ...]
"""The path to a value: keys of mappings and indexes of lists."""

# `ctx_tokens` is a number of tokens; a key is a secret where it ends a name (`api_key`).
_SECRET = re.compile(r"(?i)passw|passphrase|secret|credential|private|(^|[_-])(token|(api)?keys?)$")
# What keys of bramble's own look like, and those of services that people use.
_KEY = re.compile(
    r"brk_[A-Za-z0-9_-]{20,}|\bsk-[A-Za-z0-9_-]{20,}|\bhf_[A-Za-z0-9]{20,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{30,}|\bglpat-[A-Za-z0-9_-]{18,}|\bAKIA[0-9A-Z]{16}\b"
    r"|\bxox[abpr]-[A-Za-z0-9-]{20,}|-----BEGIN [A-Z ]*PRIVATE KEY-----|AGE-SECRET-KEY-1[0-9A-Z]{20,}"
)
# A key itself, by its form or an argument's name, or an address with a name and password in it.
_SECRET_IN = re.compile(
    r"PRIVATE KEY|://[^/\s]*@|\b(hf_|gh[pousr]_|sk-)[\w-]{16}"
    r"|(?i:(^|\s)--?([\w-]*[_-])?(token|hft|secret|passw(or)?d|(api[_-]?)?key)[\s=])"
)
_LONGEST = 40
_LONGEST_KEY, _LONGEST_MESSAGE = 100, 1000
_MOST_MEANT = 3
MOST_PROBLEMS = 200
"""How many problems are told at once: nobody mends more, and each takes a search for what was meant."""


@dataclass(frozen=True)
class Problem:
    """One thing to correct: where it is, what was found, what is allowed."""

    file: str
    line: int | None
    message: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        # Names of files, hosts and settings are in it, and those may hold anything.
        return sanitize(f"{where}: {self.message[:_LONGEST_MESSAGE]}")


class InventoryError(Exception):
    """The inventory cannot be used; its text is one line for each problem."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        once = dict.fromkeys(problems)
        self.problems = tuple(sorted(once, key=lambda p: (p.file, p.line or 0)))
        more = len(self.problems) - MOST_PROBLEMS
        told = [str(problem) for problem in self.problems[:MOST_PROBLEMS]]
        if more > 0:
            told[-1] += "; correct these first, there are more"
        super().__init__("\n".join(told))


def shown(file: Path) -> str:
    """Name a file as the user would: from the working directory when it lies below it."""
    here = Path.cwd()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


def dotted(keys: Keys) -> str:
    """Write the path to a value as `storage.mounts[0].path`."""
    cut = (key if isinstance(key, int) else key[:_LONGEST_KEY] for key in keys)
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in cut)
    return text.removeprefix(".")


def is_secret(keys: Keys) -> bool:
    """Tell whether any key on the path to a value names something that must not be printed."""
    return any(isinstance(key, str) and _SECRET.search(key) for key in keys)


def looks_like_a_key(text: str) -> bool:
    """Tell whether a key is in a text, by its form alone."""
    return _KEY.search(text) is not None


def holds_secret(text: str) -> bool:
    """Tell whether a text has the form of a secret, or of an argument that is followed by one."""
    return looks_like_a_key(text) or _SECRET_IN.search(text) is not None


def found(keys: Keys, value: object) -> str:
    """Name the value that was found, in YAML's terms, unless it may be a secret."""
    if isinstance(value, dict):
        return "found a mapping"
    if isinstance(value, list):
        return "found a list"
    if isinstance(value, str) and (is_secret(keys) or holds_secret(value)):
        return "found a value (not shown: it may be a secret)"
    text = json.dumps(value, ensure_ascii=False)
    if len(text) > _LONGEST:
        text = text[: _LONGEST - 4] + '..."'
    return f"found {text}"


def unknown(word: str, known: Iterable[str], elsewhere: Iterable[str] = ()) -> str:
    """Say what an unknown name may have meant, or else which names are known.

    `elsewhere` are dotted names of other places, which count by their last part and, where they are as
    near, after those that are known here.
    """
    names = list(known)
    word = word[:_LONGEST]
    near = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    best = _likeness(word, near[0]) if near else 0.6
    there = [(_likeness(word, path.rpartition(".")[2]), path) for path in elsewhere]
    most = max((like for like, _ in there), default=0.0)
    if most > best or (most == best and not near):
        meant = [f"'{path}'" for like, path in there if like == most]
        return f"did you mean {' or '.join(meant[:_MOST_MEANT])}?"
    if near:
        return f"did you mean '{near[0]}'?"
    return f"known: {', '.join(names)}" if names else "there are none"


def _likeness(word: str, name: str) -> float:
    return difflib.SequenceMatcher(None, word.lower(), name).ratio()
