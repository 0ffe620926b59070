"""The way in for a host that opens by a password alone: our key, put there once and tried anew."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko

from bramble import remote
from bramble.sanitize import sentence
from bramble.settings import SshSettings
from bramble.ssh.client import PROBLEMS, SshError, connect, connect_by
from bramble.ssh.config import target
from bramble.ssh.keys import load

FILE = "~/.ssh/authorized_keys"
_USUAL = ("id_ed25519", "id_ecdsa", "id_rsa")
_LIMIT_S = 60
_MOST_BYTES = 1 << 16
_MODEL = "tr -d '\\0' < /proc/device-tree/model"
_NO_SUDO = "sudo -n true"


@dataclass(frozen=True)
class OwnKey:
    """A key that this computer can log in with, and what it is called here."""

    key: paramiko.PKey
    name: str

    @property
    def line(self) -> str:
        """The public half as a line of authorized_keys."""
        return f"{self.key.get_name()} {self.key.get_base64()} bramble"


@dataclass(frozen=True)
class Inside:
    """What a host says inside: its model, empty if it names none, and whether sudo asks."""

    model: str
    sudo_asks: bool


def opens(host: str, ssh: SshSettings) -> bool:
    """Tell whether a host lets us in as every command does; raise SshError where it is not that."""
    try:
        connect(host, ssh).close()
    except SshError as error:
        cause = error.__cause__
        no_key = "No authentication methods" in str(cause)
        if isinstance(cause, paramiko.AuthenticationException) or no_key:
            return False
        raise
    return True


def own_key(ssh: SshSettings) -> OwnKey:
    """Return the key that commands will log in with; raise SshError where there is none."""
    there = target(ssh)
    usual = [Path("~/.ssh").expanduser() / name for name in _USUAL]
    for path in there.keys or usual:
        if (found := _of_file(path)) is not None:
            return OwnKey(found, str(path))
    if ssh.key is None:
        for held in _of_agent():
            return OwnKey(held, "a key of the agent")
    raise SshError(
        "there is no key on this computer to put there: `ssh-keygen -t ed25519` makes one, `ssh-add` "
        "gives the agent one that has a passphrase"
    )


def put(host: str, ssh: SshSettings, own: OwnKey, password: str) -> None:
    """Let our key into the account by its password, and see that it opens it in a new connection.

    Raise SshError where either fails.
    """
    with _by_password(host, ssh, password) as client:
        query = {"path": FILE, "key": own.line}
        _said(client, host, remote.COMMAND, remote.program("authorize_key", query))
    try:
        connect_by(host, ssh, key=own.key).close()
    except SshError as error:
        raise SshError(
            f"the key is in {FILE} of {host}, and does not open it ({error}): see that the home and "
            "~/.ssh there are writable for nobody else, and what `sshd -T` says of keys"
        ) from error


def _by_password(host: str, ssh: SshSettings, password: str) -> paramiko.SSHClient:
    try:
        return connect_by(host, ssh, password=password)
    except SshError as error:
        if not isinstance(error.__cause__, paramiko.AuthenticationException):
            raise
        there = target(ssh)
        raise SshError(
            f"{there.user}@{there.address} does not take the password that was given, or no password "
            "at all; it was tried once, and nothing was changed there"
        ) from error


def look_inside(host: str, ssh: SshSettings) -> Inside:
    """Log in as commands do, and ask what the board is."""
    with connect(host, ssh) as client:
        model, _ = _ended(client, host, _MODEL)
        _, code = _ended(client, host, _NO_SUDO)
    return Inside(sentence(model.strip()), code != 0)


def _of_file(path: Path) -> paramiko.PKey | None:
    try:
        return load(path) if path.is_file() else None
    except (paramiko.PasswordRequiredException, OSError):
        return None


def _of_agent() -> Iterator[paramiko.PKey]:
    if os.environ.get("SSH_AUTH_SOCK"):
        yield from paramiko.Agent().get_keys()


def _said(client: paramiko.SSHClient, host: str, command: str, stdin: str) -> None:
    text, code = _ended(client, host, command, stdin)
    if code:
        raise SshError(f"{host} did not take the key: {sentence(text.strip()) or f'code {code}'}")


def _ended(client: paramiko.SSHClient, host: str, command: str, stdin: str = "") -> tuple[str, int]:
    """Return what a command said on both of its outputs, and its exit code."""
    try:
        transport: Any = client.get_transport()
        channel = transport.open_session(timeout=_LIMIT_S)
        channel.settimeout(_LIMIT_S)
        channel.set_combine_stderr(True)
        channel.exec_command(command)
        channel.sendall(stdin.encode())
        channel.shutdown_write()
        text = channel.makefile("rb").read(_MOST_BYTES).decode("utf-8", "replace")
        if not channel.status_event.wait(_LIMIT_S):
            raise TimeoutError(f"`{command}` did not end there")
        return text, channel.recv_exit_status()
    except PROBLEMS as error:
        said = str(error) or type(error).__name__
        raise SshError(f"{host}: the connection ended: {said}") from error
