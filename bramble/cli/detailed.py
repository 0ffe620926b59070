"""`--detailed-exitcode`: 0 for nothing to do, 2 for changes, and 1 for every error, wrong usage too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

OPTION = "--detailed-exitcode"
NOTHING, ERROR, CHANGES = 0, 1, 2

DETAILED = click.option(
    OPTION,
    "detailed",
    is_flag=True,
    help="End with 2 where something would change, 0 where nothing would, 1 for every error.",
)


class SomethingChanges(click.exceptions.Exit):
    """The end of a command that found changes, which code 2 says of no error."""

    def __init__(self) -> None:
        super().__init__(CHANGES)


@contextmanager
def told_apart(words: Sequence[str]) -> Iterator[None]:
    """End wrong usage and a wrong inventory with 1 instead of 2, where these words have the option."""
    try:
        yield
    except SomethingChanges:
        raise
    except click.exceptions.Exit as error:
        raise click.exceptions.Exit(ERROR) if _mistaken(error, words) else error from None
    except click.UsageError as error:
        if not _mistaken(error, words):
            raise
        error.show()
        raise click.exceptions.Exit(ERROR) from None


def _mistaken(error: click.exceptions.Exit | click.UsageError, words: Sequence[str]) -> bool:
    """Tell whether this end would be taken for changes."""
    ours = words[: words.index("--")] if "--" in words else words
    return error.exit_code == CHANGES and OPTION in ours
