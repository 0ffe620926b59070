"""sudo's password on nodes: given for one run by the environment, a command or the terminal.

It is kept in this process' memory alone: taken out of its environment, which all that it starts would
inherit, and handed to a run of pyinfra through a pipe.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

VARIABLE = "BRAMBLE_SUDO_PASSWORD"
COMMAND = "BRAMBLE_SUDO_PASSWORD_COMMAND"
OPTION = "--ask-sudo-password"
HOST = "{host}"
"""What stands for a host's name in the command's words."""

LONGEST = 1023
"""Bytes that sudo reads of a password (SUDO_CONV_REPL_MAX)."""

_PIPE = "BRAMBLE_SUDO_PASSWORD_FD"
_kept: dict[str, str] = {}


class PasswordError(Exception):
    """A password that cannot be used, or that cannot be had; the text says why, and not what it is."""


def take() -> None:
    """Take the password out of the environment, or out of the pipe that is named there."""
    if (number := os.environ.pop(_PIPE, "")).isdigit():
        with suppress(OSError), open(int(number), "rb") as pipe:
            keep(os.fsdecode(pipe.read(LONGEST + 1)), OPTION)
    if given := os.environ.pop(VARIABLE, ""):
        _kept.setdefault("password", checked(given, VARIABLE))


def keep(password: str, source: str) -> None:
    """Use this password in this run, whatever the environment says."""
    _kept["password"] = checked(password, source)


def given() -> str | None:
    """Return the password that was taken or kept."""
    return _kept.get("password")


def command() -> tuple[str, ...]:
    """Return the words of the command that prints a password; none where none is set."""
    try:
        return tuple(shlex.split(os.environ.get(COMMAND, "")))
    except ValueError as error:
        raise PasswordError(f"{COMMAND} cannot be read: {error}") from error


def words_for(words: Sequence[str], host: str) -> tuple[str, ...]:
    """Return the command's words for a host."""
    return tuple(word.replace(HOST, host) for word in words)


def checked(password: str, source: str) -> str:
    """Return a password that sudo can read as one line; raise PasswordError otherwise."""
    if not password:
        raise PasswordError(f"{source}: the password is empty")
    if any(sign in password for sign in "\n\r\0"):
        raise PasswordError(f"{source}: the password has more than one line")
    if len(os.fsencode(password)) > LONGEST:
        raise PasswordError(f"{source}: the password has more than {LONGEST} bytes")
    return password


@contextmanager
def handed_on() -> Iterator[tuple[dict[str, str], tuple[int, ...]]]:
    """Give what a child process needs to `take` the password: variables, and a descriptor to inherit."""
    password = given()
    if password is None:
        yield {}, ()
        return
    read, write = os.pipe()
    try:
        # A pipe holds more than LONGEST.
        os.write(write, os.fsencode(password))
        os.close(write)
        yield {_PIPE: str(read)}, (read,)
    finally:
        os.close(read)
