"""Output for people: no wider than the terminal, without colours where NO_COLOR is set."""

from __future__ import annotations

import shutil
import sys

import click

from bramble.layout import wrapped


def width(*, err: bool = False) -> int | None:
    """Return the terminal's columns; None where the output goes to a file or another program."""
    there = (sys.stderr if err else sys.stdout).isatty()
    return shutil.get_terminal_size().columns if there else None


def is_person() -> bool:
    """Tell whether a person can be asked: both what is read and what is printed are a terminal's."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def say(text: str, *, err: bool = False, hang: int = 2) -> None:
    """Print text, wrapping lines that are too long for the terminal."""
    click.echo(wrapped(text, width(err=err), hang), err=err)
