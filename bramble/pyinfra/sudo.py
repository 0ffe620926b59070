"""sudo on one host: given its password on standard input, once, when it asks and only then.

pyinfra 3.10 would put the password into the command line of `env` on the node, have it printed by a
program in /tmp, and try it three times, which locks accounts (pam_faillock). Here nobody but sudo reads
it: sudo asks by a prompt that cannot be foretold, and what it starts says that it has begun before it
reads anything.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import gevent
from gevent.lock import BoundedSemaphore
from gevent.subprocess import DEVNULL, PIPE, Popen
from paramiko import Channel
from pyinfra.api import Host, QuoteString, StringCommand
from pyinfra.connectors.util import (
    SUDO_PASSWORD_REQUIRED_LINES,
    OutputLine,
    make_unix_command_for_host,
)

from bramble import sudo_password
from bramble.pyinfra.boundary import Overdue
from bramble.sanitize import sentence
from bramble.sudo_password import COMMAND, OPTION, VARIABLE, PasswordError

COMMAND_LIMIT_S = 60
"""What a command that prints a password may take: a person may have to unlock a key for it."""
ANSWER_S = 30
"""What sudo may take: pam_unix waits for two seconds after a wrong password, a slow board for longer."""
_MOST_WORDS = 2**16
"""Bytes that sudo, or the command, may print meanwhile."""
_ARGUMENTS = ("_sudo", "_sudo_user", "_use_sudo_login", "_preserve_sudo_env", "_sudo_password")

_turn = BoundedSemaphore()
_printed: dict[tuple[str, ...], str | PasswordError] = {}
"""What the command printed, by its words: with the same ones it runs once."""


class SudoError(OSError):
    """sudo on a node cannot be used; the text says why, and what to do."""


@dataclass(frozen=True)
class Dialogue:
    """How one command is begun by a sudo that may ask for a password."""

    sudo: Sudo
    line: StringCommand
    password: str = field(repr=False)
    asks: bytes
    begins: bytes

    def hold(self, channel: Channel, *, pty: bool) -> bytes:
        """Answer sudo, once; return what the command has said since it began.

        Raise SudoError where sudo does not take the password.
        """
        heard = bytearray()
        try:
            with gevent.Timeout(ANSWER_S, Overdue()):
                return self._held(channel, channel.recv if pty else channel.recv_stderr, heard)
        except Overdue as error:
            said = _shown(bytes(heard))
            raise SudoError(
                f"sudo did not begin within {ANSWER_S} s{f': it said {said!r}' if said else ''}"
            ) from error

    def _held(self, channel: Channel, receive: Callable[[int], bytes], heard: bytearray) -> bytes:
        asked = False
        while self.begins not in heard:
            data = receive(4096)
            if not data and not channel.get_transport().is_active():
                raise EOFError
            heard += data
            if self.asks in heard and not asked:
                asked = True
                del heard[: heard.index(self.asks) + len(self.asks)]
                channel.sendall(os.fsencode(f"{self.password}\n"))
            if asked and (self.asks in heard or not data):
                raise self._refused(bytes(heard))
            if not data:
                return bytes(heard)
            if len(heard) > _MOST_WORDS:
                raise SudoError("sudo says much, and neither asks nor begins")
        self.sudo.asks = asked
        return bytes(heard).partition(self.begins)[2]

    def _refused(self, heard: bytes) -> SudoError:
        """Return what is told of a password that sudo does not take, and try it no more."""
        self.sudo.asks = True
        self.sudo.refused.add(self.password)
        said = _shown(heard.partition(self.asks)[0])
        return SudoError(
            f"sudo did not take the password that was given for {self.sudo.user}"
            f"{f' ({said})' if said else ''}; it was tried once, and is not tried again in this run"
        )


def _shown(heard: bytes) -> str:
    """Return what sudo said as one line."""
    return sentence(" ".join(heard.decode("utf-8", "replace").split()))


class Sudo:
    """What this run knows of sudo on one host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.asks = False
        self.refused: set[str] = set()

    @property
    def user(self) -> str:
        """The account that sudo asks."""
        return str(self._host.data.get("ssh_user") or "USER")

    def dialogue(
        self, command: StringCommand, arguments: Mapping[str, Any], *, must: bool = False
    ) -> Dialogue | None:
        """Return how a command is begun with a password; None where sudo is not given one.

        It is where sudo has asked before, or `must` be given one, or the caller has one of its own.
        Raise SudoError where the password is known to be wrong, or cannot be had.
        """
        own = arguments.get("_sudo_password")
        if not arguments.get("_sudo") or not (own or self.asks or must):
            return None
        password = str(own) if own else password_for(self._host.name)
        if password is None:
            return None
        if password in self.refused:
            raise SudoError(f"sudo did not take the password that was given for {self.user}")
        mark = secrets.token_hex(8)
        asks, begins = f"[bramble {mark} asks]", f"[bramble {mark} begins]"
        line = _line(self._host, command, arguments, asks, begins)
        return Dialogue(self, line, password, asks.encode(), begins.encode())

    def asked(self, lines: Collection[OutputLine], arguments: Mapping[str, Any]) -> bool:
        """Tell whether a failed command is one that sudo did not begin, as it may ask nobody.

        Where it speaks another language, nobody but sudo has said anything.
        """
        if not arguments.get("_sudo"):
            return False
        words = [line.line.strip() for line in lines]
        if any(word in SUDO_PASSWORD_REQUIRED_LINES for word in words):
            return True
        return bool(words) and all(word.startswith(("sudo: ", "sudo-rs: ")) for word in words)


def _line(
    host: Host, command: StringCommand, arguments: Mapping[str, Any], asks: str, begins: str
) -> StringCommand:
    """Return the shell command: sudo without its cache, which says `begins` before the command."""
    rest = {name: value for name, value in arguments.items() if name not in _ARGUMENTS}
    inner = make_unix_command_for_host(host.state, host, command, **rest)
    words: list[Any] = ["sudo", "-H", "-k", "-S", "-p", QuoteString(asks)]
    words += ["-i"] if arguments.get("_use_sudo_login") else []
    words += ["-E"] if arguments.get("_preserve_sudo_env") else []
    if user := arguments.get("_sudo_user"):
        words += ["-u", QuoteString(user)]
    told = StringCommand("printf", "%s", QuoteString(begins), ">&2;", inner)
    return StringCommand(*words, "sh", "-c", QuoteString(told))


def password_for(host: str) -> str | None:
    """Return the password for a host, None where none was given; raise SudoError if it cannot be had."""
    if (password := sudo_password.given()) is not None:
        return password
    try:
        command = sudo_password.command()
        if not command:
            return None
        words = sudo_password.words_for(command, host)
        with _turn:
            if words not in _printed:
                _printed[words] = _run(words)
            found = _printed[words]
    except PasswordError as error:
        found = error
    if isinstance(found, PasswordError):
        raise SudoError(str(found)) from found
    return found


def _run(words: tuple[str, ...]) -> str | PasswordError:
    """Return the first line that a command prints, or why there is none."""
    advice = f"; run {words[0]} yourself to see why"
    try:
        process = Popen(words, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL)
    except OSError as error:
        return PasswordError(f"{COMMAND}: {words[0]} cannot be run: {error.strerror}")
    try:
        with gevent.Timeout(COMMAND_LIMIT_S, Overdue()):
            printed = process.stdout.read(_MOST_WORDS)
            code = process.wait()
    except Overdue:
        return PasswordError(f"{COMMAND} took longer than {COMMAND_LIMIT_S} s{advice}")
    finally:
        # What it has started may keep its output open: that is not waited for.
        process.kill()
        process.stdout.close()
    if code:
        return PasswordError(f"{COMMAND} ended with exit code {code}{advice}")
    first = os.fsdecode(printed.partition(b"\n")[0].rstrip(b"\r"))
    try:
        return sudo_password.checked(first, COMMAND)
    except PasswordError as error:
        return error


def told(user: str) -> str:
    """Say what to do where sudo asks and no password was given."""
    return (
        f"sudo asks {user} for a password, and none was given: {OPTION} asks you for it, "
        f"{COMMAND} names a command that prints it (pass show pi), {VARIABLE} has it. "
        "base.passwordless_sudo: true in the inventory ends the asking (docs/how-to/sudo-password.md)"
    )
