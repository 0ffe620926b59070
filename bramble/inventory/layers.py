"""Layers of settings, merged deeply: default < all < groups < host, and who set each value."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bramble.documents.document import Document
from bramble.documents.problems import Keys, shown


@dataclass(frozen=True)
class Source:
    """Where a value comes from: its layer, and the line of the file that set it."""

    layer: str
    file: Path
    line: int | None

    def __str__(self) -> str:
        return shown(self.file) + ("" if self.line is None else f":{self.line}")


@dataclass(frozen=True)
class Layer:
    """What one part of one file says: `all`, `group pi5` or `host`."""

    name: str
    document: Document


def merge(layers: Iterable[Layer]) -> tuple[dict[str, Any], dict[Keys, Source]]:
    """Lay the layers over each other, the first at the bottom.

    Mappings are merged, everything else is replaced whole. A null takes a setting back to its
    default, and a section with nothing in it says nothing.
    """
    values: dict[str, Any] = {}
    sources: dict[Keys, Source] = {}
    for layer in layers:
        _lay_over(values, sources, layer, layer.document.values, ())
    return values, sources


def _lay_over(
    values: dict[str, Any],
    sources: dict[Keys, Source],
    layer: Layer,
    said: Mapping[str, Any],
    above: Keys,
) -> None:
    for key, value in said.items():
        keys = (*above, key)
        if value is None and not above:
            continue
        if isinstance(value, dict):
            if not isinstance(values.get(key), dict):
                _forget(sources, keys)
                values[key] = {}
            sources[keys] = _source(layer, keys)
            _lay_over(values[key], sources, layer, value, keys)
            continue
        _forget(sources, keys)
        values.pop(key, None)
        sources[keys] = _source(layer, keys)
        if value is not None:
            values[key] = copy.deepcopy(value)
            sources.update((way, _source(layer, way)) for way in _inside(value, keys))


def without_nulls(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is set to null, which means its default."""
    return {
        key: without_nulls(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None
    }


def leaves(values: Mapping[str, Any], above: Keys = ()) -> Iterator[Keys]:
    """Name every value that is not a mapping with something in it."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*above, key))
        else:
            yield (*above, key)


def _source(layer: Layer, keys: Keys) -> Source:
    return Source(layer.name, layer.document.file, layer.document.line(keys))


def _forget(sources: dict[Keys, Source], keys: Keys) -> None:
    for way in [way for way in sources if way[: len(keys)] == keys]:
        del sources[way]


def _inside(value: object, keys: Keys) -> Iterator[Keys]:
    """Name the values inside a list, however deep."""
    pairs: Iterable[tuple[str | int, object]] = ()
    if isinstance(value, list):
        pairs = enumerate(value)
    elif isinstance(value, dict):
        pairs = value.items()
    for key, child in pairs:
        yield (*keys, key)
        yield from _inside(child, (*keys, key))
