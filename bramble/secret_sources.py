"""Where a secret is kept on this computer: in a variable, in a file, or with a command that prints it.

An inventory says where, and never what: settings of this kind stand below a name that errors take for a
secret's, so that one that was written there by mistake is not repeated. Each is read once in a run, when
the first plan asks for it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import field_validator, model_validator

from bramble.settings import LocalPath, Section, option

TIMEOUT_S = 60
LONGEST = 4096
_INSTEAD = (
    "say where it is kept, by one of {environment: VARIABLE}, {file: PATH} and {command: WORDS}; "
    "an inventory is no place for the secret itself"
)


@dataclass(frozen=True)
class Missing:
    """Why a secret was not given in this run."""

    why: str


class Source(Section):
    """Where a secret is kept on this computer."""

    environment: str | None = option(
        None, help="Name of the variable of this computer that has it.", example="NTFY_ADDRESS"
    )
    file: LocalPath | None = option(None, help="File of this computer that has it.")
    command: str | None = option(
        None, help="Command on this computer that prints it.", example="pass show pi/ntfy"
    )

    @field_validator("environment")
    @classmethod
    def _is_name(cls, value: str | None) -> str | None:
        if value is not None and not value.replace("_", "a").isidentifier():
            raise ValueError(f"this is no name of a variable; {_INSTEAD}")
        return value

    @field_validator("command")
    @classmethod
    def _is_command(cls, value: str | None) -> str | None:
        if value is not None and not shlex.split(value):
            raise ValueError("it has no word; the command that prints the secret is needed")
        return value

    @model_validator(mode="after")
    def _one(self) -> Source:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"{len(given)} sources are given; {_INSTEAD}")
        return self


Read = Callable[[Source], "str | Missing"]


# Hosts of a run are planned side by side, and a command may ask a person for something.
_turn = threading.Lock()


def read(source: Source) -> str | Missing:
    """Return the secret, or why there is none; each source is asked once in a run."""
    with _turn:
        return _asked(source)


@cache
def _asked(source: Source) -> str | Missing:
    """Ask a source; a secret has one line."""
    if source.environment is not None:
        said: str | Missing = os.environ.get(source.environment, "")
        where = f"the variable {source.environment}"
    elif source.file is not None:
        said, where = _of_file(source.file), str(source.file)
    else:
        words = shlex.split(source.command or "")
        said, where = _of_command(words), f"`{words[0]}`"
    if isinstance(said, Missing):
        return said
    secret = said.strip()
    if not secret:
        return Missing(f"{where} is not set or empty")
    if len(secret) > LONGEST or not secret.isprintable():
        return Missing(f"{where} has more than one line of {LONGEST} characters")
    return secret


def _of_file(path: Path) -> str | Missing:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        return Missing(f"{path}: {why}")


def _of_command(words: list[str]) -> str | Missing:
    """Run it without a shell; what it says of an error is shown nowhere."""
    quiet, taken = subprocess.DEVNULL, subprocess.PIPE
    try:
        done = subprocess.run(
            words, stdin=quiet, stdout=taken, stderr=quiet, text=True, timeout=TIMEOUT_S
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return Missing(f"`{words[0]}` did not run: {type(error).__name__}")
    return (
        done.stdout
        if done.returncode == 0
        else Missing(f"`{words[0]}` ended with {done.returncode}")
    )
