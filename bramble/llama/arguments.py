"""The arguments that the pinned build's llama-server knows, by its own `--help`.

`arguments.json` is that answer as data, with the commit of the build that gave it. `python
docs/arguments.py LLAMA_SERVER` writes it anew when the pin changes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("arguments.json")
_TWO = re.compile(r"[A-Z]+ [A-Z]+")


@dataclass(frozen=True)
class Argument:
    """One argument: its names, what follows it, and its variable in the environment."""

    names: tuple[str, ...]
    value: str | None = None
    env: str | None = None

    @property
    def values(self) -> int:
        """How many words follow it."""
        if self.value is None:
            return 0
        return 2 if _TWO.fullmatch(self.value) else 1

    @property
    def name(self) -> str:
        """The name that it is called by: its first long one."""
        return next((name for name in self.names if name.startswith("--")), self.names[0])


@dataclass(frozen=True)
class Known:
    """All arguments of one build, and the chat templates that it has by name."""

    commit: str
    version: str
    arguments: tuple[Argument, ...]
    chat_templates: tuple[str, ...]

    @cached_property
    def by_name(self) -> Mapping[str, Argument]:
        """The arguments by each of their names."""
        return {name: argument for argument in self.arguments for name in argument.names}

    def find(self, flag: str) -> Argument | None:
        """Return the argument of this name, in which llama-server takes `_` for `-` (common/arg.cpp)."""
        return self.by_name.get(flag.replace("_", "-") if flag.startswith("--") else flag)

    def is_of(self, commit: str) -> bool:
        """Tell whether a commit, in full or by its first digits, is this build's."""
        return bool(commit) and self.commit.startswith(commit)


@cache
def known() -> Known:
    """Return what the pinned build knows."""
    data = json.loads(FILE.read_text(encoding="utf-8"))
    arguments = tuple(
        Argument(**{**one, "names": tuple(one["names"])}) for one in data["arguments"]
    )
    return Known(data["commit"], data["version"], arguments, tuple(data["chat_templates"]))


def written(found: Known) -> str:
    """Return the text of the file, an argument a line."""
    lines = (json.dumps(_plain(argument)) for argument in found.arguments)
    return (
        f'{{"commit": {json.dumps(found.commit)},\n"version": {json.dumps(found.version)},\n'
        f'"chat_templates": {json.dumps(found.chat_templates)},\n'
        '"arguments": [\n' + ",\n".join(lines) + "\n]}\n"
    )


def _plain(argument: Argument) -> dict[str, Any]:
    return {key: value for key, value in vars(argument).items() if value is not None}


def of_help(text: str, commit: str, version: str) -> Known:
    """Read the answer to `llama-server --help`.

    It has an argument's names and value in the first 40 columns, or in a line alone where they are
    longer, and its description from column 40 on (`common_arg::to_string` of common/arg.cpp). What it
    lists to say that it is no more is none.
    """
    arguments = tuple(
        _argument(head, about) for head, about in _entries(text) if not about.startswith(_GONE)
    )
    if not arguments:
        raise ValueError("it has no line with an argument in the form of common/arg.cpp")
    return Known(commit, version, arguments, _templates(text))


_COLUMN = 40
_GONE = "the argument has been removed"
_NAME = re.compile(r"--?[A-Za-z0-9][\w.-]*")


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """Yield each argument's names with its value, and its description in one line."""
    head, about = "", list[str]()
    for line in text.splitlines():
        if not line.startswith("-") or line.startswith("-----"):
            about.append(line.strip())
            continue
        if head:
            yield head, " ".join(about)
        beside = line[_COLUMN - 3 : _COLUMN] == "   "
        head = line[:_COLUMN].strip() if beside else line.strip()
        about = [line[_COLUMN:].strip()] if beside else []
    if head:
        yield head, " ".join(about)


def _argument(head: str, about: str) -> Argument:
    names = list[str]()
    rest = head
    while found := _NAME.match(rest):
        names.append(found[0])
        rest = rest[found.end() :]
        if not rest.startswith(","):
            break
        rest = rest[1:].lstrip()
    env = re.search(r"\(env: (\w+)\)", about)
    return Argument(tuple(names), rest.strip() or None, env and env[1])


def _templates(text: str) -> tuple[str, ...]:
    """Return the names of the chat templates, which the description of --chat-template lists."""
    about = next((said for head, said in _entries(text) if "--chat-template " in head), "")
    listed = re.search(r"list of built-in templates: (.*?) \(env:", about)
    return tuple(re.split(r",\s+", listed[1])) if listed else ()
