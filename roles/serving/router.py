"""Several models on a node: llama-server as a router, with a server of its own for each model.

The router passes each request on to the server of the model that it names, and starts or ends those
servers. What it is started with they are started with too, and that wins over a model's own section
(`server_models::load_models` of tools/server/server-models.cpp). So what all models share is on its
command line, where the process shows it, and the list has nothing but files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bramble import strict_json
from bramble.outputs import ModelOutputs
from bramble.plan import File
from bramble.render import render
from bramble.snapshot import Answer
from bramble.system.process import Program

FOLDER = "/etc/bramble/models"
PATTERN = f"{FOLDER}/*.ini"


def models_file(model: ModelOutputs) -> tuple[File, ...]:
    """Return the list of the models; its text is in its name, so that each unit finds its own."""
    if not model.further:
        return ()
    several = [(one.name, one.path) for one in model.every]
    text = render("serving/models.ini.j2", models=several)
    digits = hashlib.sha256(text.encode()).hexdigest()[:12]
    return (File(path=f"{FOLDER}/{digits}.ini", text=text),)


def loaded_at_once(model: ModelOutputs, models_at_once: int) -> int:
    """Return how many models may be loaded at the same time."""
    return min(models_at_once, 1 + len(model.further))


def arguments(model: ModelOutputs, models_at_once: int) -> Iterator[str]:
    """Yield llama-server's arguments that say what it serves."""
    files = models_file(model)
    if not files:
        yield f"--model {model.path}"
        yield f"--alias {model.name}"
    for file in files:
        yield f"--models-preset {file.path}"
        yield f"--models-max {loaded_at_once(model, models_at_once)}"


def listed(answer: Answer) -> Mapping[str, Mapping[str, Any]] | str:
    """Return what a router says of its models, by their names; or what it says instead."""
    try:
        found = strict_json.loads(answer.body)["data"]
        return {str(one["id"]): one for one in found if isinstance(one["status"]["value"], str)}
    except (ValueError, LookupError, TypeError):
        return (
            f"HTTP {answer.status}, and no list of models" if answer.status else "nothing listens"
        )


def state(one: Mapping[str, Any]) -> str:
    """Return a model's state in a word; one that could not be loaded is listed as unloaded too."""
    return "failed" if one["status"].get("failed") else str(one["status"]["value"])


def context(one: Mapping[str, Any]) -> int | None:
    """Return the context that a conversation gets of a model; None where it is not loaded."""
    told = one.get("meta")
    found = told.get("n_ctx") if isinstance(told, Mapping) else None
    return found if type(found) is int else None


def of_unit(programs: Sequence[Program], unit: str) -> tuple[Program, ...]:
    """Return the processes of the service that have a model."""
    own = (one for one in programs if one.cgroup.endswith(f"/{unit}"))
    return tuple(one for one in own if one.models or one.gone)
