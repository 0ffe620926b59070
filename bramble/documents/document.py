"""One YAML file as plain data, in which every value knows its line and no key is there twice."""

from __future__ import annotations

import itertools
import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bramble import durable
from bramble.documents.problems import Keys, Problem, dotted, shown

_TAG = "tag:yaml.org,2002:"
# What no inventory has: PyYAML takes time by the square of the depth, and anchors may say much with
# little text.
_MOST_BYTES = 1 << 20
_DEEPEST = 50
_MOST_VALUES = 50_000
_MOST_DIGITS = 40


@dataclass(frozen=True)
class Document:
    """A file's mapping, or a part of it, with the line of each value in it."""

    file: Path
    values: dict[str, Any] = field(default_factory=dict)
    lines: Mapping[Keys, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def problem(self, keys: Keys, message: str) -> Problem:
        """Make a problem of the value at `keys`, or of the nearest one around it."""
        return Problem(shown(self.file), self.line(keys), message)

    def line(self, keys: Keys) -> int | None:
        """Return the line of a value, or of the nearest one around it."""
        around = (self.lines.get(keys[:end]) for end in range(len(keys), -1, -1))
        return next((line for line in around if line is not None), None)

    def part(self, *keys: str) -> Document:
        """Take a mapping inside this one; what is null, or no mapping, counts as empty."""
        values: Any = self.values
        for key in keys:
            values = values.get(key) if isinstance(values, dict) else None
        size = len(keys)
        lines = {way[size:]: line for way, line in self.lines.items() if way[:size] == keys}
        return Document(self.file, values if isinstance(values, dict) else {}, lines)


def read(file: Path) -> Document:
    """Read a file; what is wrong with it as YAML is among the problems of the document."""
    try:
        return parsed(file, _text(file))
    except OSError as error:
        return Document(file, problems=(Problem(shown(file), None, f"{error.strerror}"),))
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return Document(file, problems=(Problem(shown(file), line, "not text in UTF-8"),))
    except _TooMuch as much:
        return Document(file, problems=(Problem(shown(file), much.line, str(much)),))


def parsed(file: Path, text: str) -> Document:
    """Read what a file holds, or is to hold; what is wrong is among the problems of the document."""
    try:
        return _document(file, compose(text))
    except yaml.YAMLError as error:
        return Document(file, problems=(_syntax(file, error),))
    except _TooMuch as much:
        return Document(file, problems=(Problem(shown(file), much.line, str(much)),))


def compose(text: str) -> yaml.Node | None:
    """Return the nodes of a text, which know where in it they stand; raise yaml.YAMLError."""
    return yaml.compose(text, _Loader)


def _text(file: Path) -> str:
    """Return a file's text; raise _TooMuch for one that is longer than any inventory."""
    with file.open("rb") as stream:
        content = stream.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise _TooMuch(None, f"longer than {_MOST_BYTES >> 20} MiB")
    return content.decode()


def _document(file: Path, root: yaml.Node | None) -> Document:
    """Build a document from a file's YAML nodes."""
    if root is None:
        return Document(file)
    tree = _Tree(file, itertools.count())
    values = tree.value(root, ())
    if values is not None and not isinstance(values, dict):
        tree.problem(root, "the file must hold a mapping (`key: value` lines)")
    values = values if isinstance(values, dict) else {}
    return Document(file, values, tree.lines, tuple(tree.problems))


def write(file: Path, text: str) -> None:
    """Replace a file by one rename: readers see either all of the old text or all of the new one."""
    durable.replace(file, text)


class _TooMuch(Exception):
    """More than is believed, and the line where it is too much."""

    def __init__(self, line: int | None, message: str) -> None:
        super().__init__(message)
        self.line = line


class _Loader(yaml.SafeLoader):
    """Reads plain scalars as YAML 1.2 and editors do: `off` and `22:30` and `0644` are text."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - PyYAML's own interface
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a node, and refuse one that is nested too deeply before it is read."""
        self._depth += 1
        if self._depth > _DEEPEST:
            events: Any = self
            raise _TooMuch(events.peek_event().start_mark.line + 1, "nested too deeply")
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


for _kind, _words, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+|0o[0-7]+", "-+0123456789"),
    ("float", r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(rf"^(?:{_words})$"), list(_first))


def _syntax(file: Path, error: yaml.YAMLError) -> Problem:
    """Return the parser's error on one line."""
    mark = getattr(error, "problem_mark", None)
    said = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"
    said = said.removeprefix("but ").replace("'<stream end>'", "the end of the file")
    if "'\\t'" in said:
        said = "found a tab; indent with spaces"
    return Problem(shown(file), mark.line + 1 if mark else None, f"not valid YAML: {said}")


class _Tree:
    """Turns nodes into plain data, and collects lines and problems meanwhile."""

    def __init__(
        self, file: Path, numbers: Iterator[int], inside: tuple[yaml.Node, ...] = ()
    ) -> None:
        self.file = file
        self._numbers = numbers
        self.lines: dict[Keys, int] = {}
        self.problems: list[Problem] = []
        self._inside = list(inside)

    def problem(self, node: yaml.Node, message: str) -> None:
        self.problems.append(Problem(shown(self.file), node.start_mark.line + 1, message))

    def value(self, node: yaml.Node, keys: Keys) -> Any:
        """Return the plain value of a node."""
        self.lines.setdefault(keys, node.start_mark.line + 1)
        if next(self._numbers) >= _MOST_VALUES:
            words = f"more than {_MOST_VALUES} values, with what anchors repeat"
            raise _TooMuch(node.start_mark.line + 1, words)
        if any(node is outer for outer in self._inside):
            self.problem(node, f"{dotted(keys)}: an anchor that contains itself")
            return None
        self._inside.append(node)
        try:
            return self._plain(node, keys)
        finally:
            self._inside.pop()

    def _plain(self, node: yaml.Node, keys: Keys) -> Any:
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, keys)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self.value(item, (*keys, at)) for at, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag.removeprefix(_TAG) in _SCALARS:
            return self._scalar(node, keys)
        tag = node.tag.replace(_TAG, "!!")
        self.problem(node, f"{dotted(keys)}: the tag {tag} has no meaning here")
        return None

    def _scalar(self, node: yaml.ScalarNode, keys: Keys) -> Any:
        kind = node.tag.removeprefix(_TAG)
        if kind == "str" and not _is_text(node.value):
            self.problem(node, f"{dotted(keys)}: {_NO_TEXT}")
            return None
        if kind == "int" and len(node.value) > _MOST_DIGITS:
            self.problem(node, f"{dotted(keys)}: a number of more than {_MOST_DIGITS} digits")
            return None
        try:
            return _SCALARS[kind](node.value)
        except ValueError:  # only an explicit tag on other text, such as `!!int x`
            self.problem(node, f"{dotted(keys)}: the text is no {kind}")
            return None

    def _mapping(self, node: yaml.MappingNode, keys: Keys) -> dict[str, Any]:
        values: dict[str, Any] = {}
        first: dict[Hashable, int] = {}
        for key, child in node.value:
            if key.tag == _TAG + "merge":
                continue
            if not isinstance(key, yaml.ScalarNode):
                self.problem(key, f"{dotted(keys)}: a key must be a word")
                continue
            if not _is_text(key.value):
                self.problem(key, f"{dotted(keys)}: a key of {_NO_TEXT}")
                continue
            line = key.start_mark.line + 1
            if key.value in first:
                under = f" under {dotted(keys)}" if keys else ""
                self.problem(
                    key, f"'{key.value}' is there twice{under}, first in line {first[key.value]}"
                )
                continue
            first[key.value] = line
            self.lines[(*keys, key.value)] = line
            values[key.value] = self.value(child, (*keys, key.value))
        for key, child in node.value:
            if key.tag == _TAG + "merge":
                self._merged_in(child, keys, values)
        return values

    def _merged_in(self, node: yaml.Node, keys: Keys, values: dict[str, Any]) -> None:
        """Merge the mappings of `<<`, which the mapping's own keys override."""
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for part in parts:
            if not isinstance(part, yaml.MappingNode):
                self.problem(node, f"{dotted(keys)}: `<<` takes a mapping or a list of mappings")
                continue
            apart = _Tree(self.file, self._numbers, tuple(self._inside))
            brought = apart.value(part, keys) or {}
            self.problems += [p for p in apart.problems if p not in self.problems]
            for name in brought.keys() - values.keys():
                values[name] = brought[name]
                way = (*keys, name)
                inner = {k: n for k, n in apart.lines.items() if k[: len(way)] == way}
                self.lines.update(inner)


_NO_TEXT = "half a surrogate pair (\\ud800 to \\udfff), which is no text"


def _is_text(value: str) -> bool:
    """Tell whether a text can be written as UTF-8: escapes of YAML make others too."""
    return not any("\ud800" <= c <= "\udfff" for c in value)


def _whole_number(text: str) -> int:
    return int(text, 0) if text.lstrip("-+")[:2] in ("0x", "0o") else int(text)


_SCALARS: dict[str, Any] = {
    "str": str,
    "int": _whole_number,
    "float": float,
    "bool": lambda text: text.lower() == "true",
    "null": lambda text: None,
}
