"""Options that say where a secret comes from, which no command takes as an argument."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bramble.cli.inventory import refuse

_NAMES = ("from_env", "from_file", "from_command")


def sources(what: str, example: str, prefix: str = "") -> Callable[..., Any]:
    """Return a decorator that adds the options of one secret, whose names begin with `prefix`."""
    texts = (
        ("VARIABLE", f"Take {what} from the environment."),
        ("FILE", f"Take {what} from a file's only line."),
        ("COMMAND", f"Take {what} from what a command prints, such as '{example}'."),
    )

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for name, (metavar, text) in zip(_NAMES, texts, strict=True):
            of_file = name == "from_file"
            kind = click.Path(dir_okay=False, path_type=Path) if of_file else None
            option = f"--{prefix}{name.replace('_', '-')}"
            function = click.option(option, metavar=metavar, type=kind, help=text)(function)
        return function

    return add


def given(what: str, named: dict[str, Any], prefix: str = "") -> str | None:
    """Return the secret that the options name, None where none is named, or end the command."""
    from pydantic import ValidationError

    from bramble.secret_sources import Missing, Source, read

    variable, file, command = (named[f"{prefix.replace('-', '_')}{name}"] for name in _NAMES)
    several = [source for source in (variable, file, command) if source is not None]
    if not several:
        return None
    if len(several) > 1:
        first, second, third = (f"--{prefix}{name.replace('_', '-')}" for name in _NAMES)
        refuse(f"give one of {first}, {second} and {third}")
    try:
        source = Source(environment=variable, file=file, command=command)
    except ValidationError as error:
        why = error.errors()[0]["msg"].removeprefix("Value error, ")
        refuse(f"where {what} is from: {why}; nothing was changed")
    said = read(source)
    if isinstance(said, Missing):
        refuse(f"there is no {what.removeprefix('the ')}: {said.why}; nothing was changed")
    return said
