"""Edits of inventory files that leave every other character as it is: a host added, a value set.

An edit is made in the text where YAML's own marks say, and judged by what the text then says: the same
as before with that one difference. Where it is not, nothing is written, and the error has what to write
by hand.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from bramble import durable
from bramble.documents.document import Document, compose, parsed
from bramble.documents.problems import Keys, dotted, shown

Values = dict[str, Any]
_STEP = 2


class EditError(Exception):
    """A file that is not edited; the text says why, and what to write there by hand."""


def added(file: Path, text: str, name: str, entry: Mapping[str, Any]) -> str:
    """Return fleet.yml with a host at the end of its hosts; raise EditError where that is not safe."""
    by_hand = f"write it there by hand, below `hosts:`:\n{_block({name: entry}, _STEP)}"
    said = _said(file, text, by_hand)
    if name in _hosts(said):
        raise EditError(f"{shown(file)} has a host {name} already")
    wanted = copy.deepcopy(said)
    wanted["hosts"] = {**_hosts(said), name: {**entry}}
    hosts = _at(compose(text), ("hosts",))
    made = _with_host(text, hosts, {name: entry}, "hosts" in said)
    return _checked(file, text, made, wanted, by_hand)


def with_value(file: Path, text: str, keys: tuple[str, ...], value: str | int) -> str:
    """Return a file with one value set; raise EditError where that is not safe."""
    by_hand = f"write by hand there: {dotted(keys)}: {json.dumps(value)}"
    said = _said(file, text, by_hand)
    wanted = copy.deepcopy(said)
    _put(wanted, keys, value)
    made = _with_value(text, compose(text), keys, value)
    return _checked(file, text, made, wanted, by_hand)


def text_of(file: Path) -> str:
    """Return a file's text with its own ends of lines; raise EditError where it cannot be read."""
    try:
        return file.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise EditError(f"{shown(file)}: {why}") from error


def keep(file: Path, before: str, after: str) -> None:
    """Replace a file that is still as it was read, and read it back; raise EditError otherwise."""
    if text_of(file) != before:
        raise EditError(f"{shown(file)} was changed meanwhile, and stays as it is; run again")
    try:
        # A link stays one: the file may be kept elsewhere.
        durable.replace(file.resolve(), after.encode())
    except OSError as error:
        raise EditError(f"{shown(file)} was not written: {error.strerror}") from error
    if text_of(file) != after:
        raise EditError(f"{shown(file)} does not say what was written to it; look at it")


def _said(file: Path, text: str, by_hand: str) -> Values:
    """Return what the text says; raise EditError where it is no inventory's."""
    document = parsed(file, text)
    if document.problems:
        raise EditError(f"{document.problems[0]}; {by_hand}")
    return dict(document.values)


def _hosts(said: Values) -> Values:
    hosts = said.get("hosts")
    return hosts if isinstance(hosts, dict) else {}


def _put(values: Values, keys: tuple[str, ...], value: Any) -> None:
    for key in keys[:-1]:
        if not isinstance(values.get(key), dict):
            values[key] = {}
        values = values[key]
    values[keys[-1]] = value


def _checked(file: Path, text: str, made: str | None, wanted: Values, by_hand: str) -> str:
    """Return the new text if it says what is wanted and nothing else; raise EditError otherwise."""
    read: Document | None = parsed(file, made) if made is not None else None
    if made is None or read is None or read.problems or read.values != wanted:
        raise EditError(
            f"{shown(file)} is written in a way that is not edited safely, and stays as it is; {by_hand}"
        )
    if _comments(text) - _comments(made):
        raise EditError(f"{shown(file)} would lose a comment, and stays as it is; {by_hand}")
    return made


def _comments(text: str) -> set[str]:
    return {line.strip() for line in text.splitlines() if line.lstrip().startswith("#")}


def _at(node: yaml.Node | None, keys: Keys) -> yaml.Node | None:
    """Return the node at a path of keys, None where the text has none of its own there."""
    for key in keys:
        if not isinstance(node, yaml.MappingNode):
            return None
        pairs = [child for name, child in node.value if name.value == key]
        node = pairs[0] if pairs else None
    return node


def _with_host(
    text: str, hosts: yaml.Node | None, block: Mapping[str, Any], is_there: bool
) -> str | None:
    """Put a host's block below the last of the hosts; None where they are not lines of their own."""
    if not is_there:
        return _inserted(text, len(text), f"hosts:\n{_block(block, _STEP)}")
    if isinstance(hosts, yaml.MappingNode) and hosts.value and not hosts.flow_style:
        column = hosts.value[0][0].start_mark.column
        return _inserted(text, _after(text, hosts, column), _block(block, column))
    if isinstance(hosts, yaml.ScalarNode) and not hosts.value:
        line = text.find("\n", hosts.start_mark.index)
        return _inserted(text, len(text) if line < 0 else line + 1, _block(block, _STEP))
    return None


def _after(text: str, mapping: yaml.Node, column: int) -> int:
    """Return where the line after a block begins, and after the comments that are indented as it is."""
    last = _last(mapping)
    end = last.end_mark.index
    # A block of text ends where the next line begins.
    if last.end_mark.column or not end:
        line = text.find("\n", end)
        end = len(text) if line < 0 else line + 1
    while (line := text.find("\n", end)) >= 0:
        words = text[end:line]
        indent = len(words) - len(words.lstrip())
        if not words.lstrip().startswith("#") or indent <= column:
            break
        end = line + 1
    return end


def _last(node: yaml.Node) -> yaml.Node:
    """Return the node that stands last in the text: the mark of a block's own end is beyond comments."""
    if isinstance(node, yaml.MappingNode) and node.value and not node.flow_style:
        return max((_last(part) for pair in node.value for part in pair), key=_end)
    if isinstance(node, yaml.SequenceNode) and node.value and not node.flow_style:
        return max(map(_last, node.value), key=_end)
    return node


def _end(node: yaml.Node) -> int:
    found: int = node.end_mark.index
    return found


def _inserted(text: str, at: int, block: str) -> str:
    """Put lines into a text, in its own kind of lines."""
    before = text[:at]
    if before and not before.endswith("\n"):
        before += "\n"
    made = before + block + text[at:]
    return made.replace("\r\n", "\n").replace("\n", "\r\n") if "\r\n" in text else made


def _block(values: Mapping[str, Any], column: int) -> str:
    """Write values as indented lines."""
    lines = ""
    for key, value in values.items():
        start = f"{' ' * column}{key}:"
        if isinstance(value, Mapping) and value:
            lines += f"{start}\n{_block(value, column + _STEP)}"
        elif isinstance(value, list | tuple):
            lines += f"{start} [{', '.join(map(str, value))}]\n"
        else:
            lines += f"{start} {json.dumps(value)}\n"
    return lines


def _with_value(text: str, root: yaml.Node | None, keys: tuple[str, ...], value: Any) -> str | None:
    """Set a value in the place of the one that is there, or beside its neighbours."""
    node = _at(root, keys)
    if isinstance(node, yaml.ScalarNode) and node.start_mark.index < node.end_mark.index:
        start, end = node.start_mark.index, node.end_mark.index
        return f"{text[:start]}{json.dumps(value)}{text[end:]}"
    parents = [keys[:size] for size in range(len(keys) - 1, 0, -1)]
    for parent in parents:
        around = _at(root, parent)
        if around is not None:
            rest: Any = value
            for key in reversed(keys[len(parent) :]):
                rest = {key: rest}
            return None if node is not None else _beside(text, around, rest)
    return None


def _beside(text: str, around: yaml.Node, values: Values) -> str | None:
    """Put values at the beginning of a mapping, or in the place of one that is empty."""
    start: int = around.start_mark.index
    if isinstance(around, yaml.MappingNode) and around.flow_style:
        inner = json.dumps(values)[1:-1]
        return f"{text[: start + 1]}{inner}{', ' if around.value else ''}{text[start + 1 :]}"
    if isinstance(around, yaml.MappingNode):
        column = around.value[0][0].start_mark.column
        return f"{text[:start]}{_block(values, column).lstrip()}{' ' * column}{text[start:]}"
    if isinstance(around, yaml.ScalarNode) and start == around.end_mark.index:
        return f"{text[:start]} {json.dumps(values)}{text[start:]}"
    return None
