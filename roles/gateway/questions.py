"""What a gateway asks its nodes: the question of each, and what its answer must have."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bramble.edge.settings import ExposedSettings
from bramble.outputs import ModelFile
from bramble.prepared import Prepared
from bramble.roles.gateway import nodes
from bramble.roles.gateway.nodes import Pool, Sections

UNKNOWN = "no known answer is set"
UNLOADED = "a question would load it"


def asked(pools: Iterable[Pool], prepared: Prepared) -> list[dict[str, Any]]:
    """Return of each node in each pool what it is asked, and why not for other models."""
    return [
        _of_node(pool, one.host, prepared.hosts[one.host], prepared)
        for pool in pools
        for one in pool.servers
    ]


def any_known(several: Iterable[dict[str, Any]]) -> bool:
    """Tell whether any node is asked anything."""
    return any(one["questions"] for one in several)


def _of_node(pool: Pool, host: str, sections: Sections, prepared: Prepared) -> dict[str, Any]:
    serves = nodes.serving(sections)
    assert serves is not None
    questions, skipped = [], []
    for model, expected in _expected(host, sections, serves, prepared):
        if model.name not in pool.models:
            continue
        if expected is None:
            skipped.append(f"{model.name}: {UNKNOWN}")
        elif _is_unloaded(serves, len(nodes.served(host, sections, prepared))):
            skipped.append(f"{model.name}: {UNLOADED}")
        else:
            questions.append(_question(model, expected, serves))
    return {"pool": pool.name, "node": host, "questions": questions, "skipped": skipped}


def _expected(
    host: str, sections: Sections, serves: ExposedSettings, prepared: Prepared
) -> Iterator[tuple[ModelFile, str | None]]:
    """Yield each model of a host with what its answer must have."""
    for at, model in enumerate(nodes.served(host, sections, prepared)):
        yield model, serves.also_expect.get(model.use or "") if at else serves.expect


def _is_unloaded(serves: ExposedSettings, models: int) -> bool:
    """Tell whether models may not be in memory, so that a question would push another one out of it."""
    return serves.idle_unload_s is not None or models > serves.models_at_once


def _question(model: ModelFile, expected: str, serves: ExposedSettings) -> dict[str, Any]:
    width = model.fit.embedding if model.fit else None
    return {
        "name": model.name,
        "task": serves.task,
        "question": serves.question,
        "expect": expected,
        "dimensions": (serves.dimensions or width) if serves.task == "embeddings" else None,
    }


def text(several: list[dict[str, Any]], pools: Iterable[Pool], more: Mapping[str, Any]) -> str:
    """Return the file by which the gateway's host asks, and takes nodes out."""
    models = {pool.name: list(pool.models) for pool in pools}
    return json.dumps({**more, "pools": models, "nodes": several}, indent=1) + "\n"
