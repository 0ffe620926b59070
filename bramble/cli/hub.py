"""Options of commands that ask the hub: which hub, and with whose token."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

ENDPOINT = click.option(
    "--endpoint",
    envvar="HF_ENDPOINT",
    show_envvar=True,
    help="The hub to ask; default: https://huggingface.co.",
)
TOKEN_FILE = click.option(
    "--token-file",
    envvar="HF_TOKEN_PATH",
    show_envvar=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True, readable=True),
    help="File with a token for gated repositories; default: the variable HF_TOKEN. "
    "It is sent to the hub only, never to a node.",
)


def asks(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a command that asks the hub."""
    return ENDPOINT(TOKEN_FILE(command))


def token_of(file: Path | None) -> str | None:
    """Return the token, from a file or the environment: no list of processes shows either."""
    said = file.read_text(encoding="utf-8") if file else os.environ.get("HF_TOKEN", "")
    return said.strip() or None
