"""pyinfra's SSH connection with a bound on everything: no call waits for ever, and none asks a person.

The connections of pyinfra 3.10 have no bound where a channel is opened, a command is requested or a
file is sent, and they ask for passwords on the terminal, which stops all hosts. An entry point in
pyproject.toml makes this one known to pyinfra as `@bramble/FOLDER`, all hosts of that inventory.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import gevent
from paramiko import Channel, SSHException, Transport
from pyinfra.api import StringCommand
from pyinfra.api.exceptions import ConnectError, NoConnectorError
from pyinfra.api.output import echo, format_text
from pyinfra.api.util import get_file_io
from pyinfra.connectors.ssh import SSHConnector
from pyinfra.connectors.sshuserclient import client as user_client
from pyinfra.connectors.util import CommandOutput, OutputLine, make_unix_command_for_host

from bramble import computer, registry
from bramble.for_pyinfra import NameData, prepared
from bramble.inventory.load import from_data
from bramble.pyinfra.boundary import EXPECTED, Overdue, Problem, attempt
from bramble.remote import outcome
from bramble.sanitize import sanitize, sentence
from bramble.settings import SshSettings
from bramble.ssh.problems import key_problem, why

ALIVE_EVERY_S = 5
SILENT_S = 15
"""How long a node may leave a request of SSH itself unanswered; it is asked every ALIVE_EVERY_S."""
HANDSHAKE_S = 15
"""What keys, login and channel of a new connection may take, besides reaching the node."""
DEAD_AFTER_MS = 15_000
LARGEST_ANSWER = 32 * 2**20
MOST_LINES = 100_000
"""Bytes and lines that a command may print: more is no answer to anything that is asked."""

unreachable: dict[str, str] = {}
"""Why hosts could not be connected to, for the report: pyinfra keeps no record of it."""


def _gcm_transport(*args: Any, **kwargs: Any) -> Transport:
    """Return a transport that prefers AES-GCM: else paramiko authenticates each packet in Python."""
    transport = Transport(*args, **kwargs)
    options = transport.get_security_options()
    options.ciphers = sorted(options.ciphers, key=lambda name: "gcm" not in name)
    return transport


class Bounded(StringCommand):
    """A command with bounds of its own: pyinfra gives facts none."""

    def __init__(self, line: str, timeout_s: int, silence_s: int) -> None:
        super().__init__(line)
        self.timeout_s = timeout_s
        self.silence_s = silence_s


class NodeConnector(SSHConnector):
    """A node over SSH: each call ends within its time, and fails with OSError or TimeoutError."""

    handles_execution = True

    _moved_at_s = 0.0
    """When a transfer last moved: a node that receives may be slow to answer anything else."""

    def __init__(self, state: Any, host: Any) -> None:
        super().__init__(state, host)
        self._lost: WeakKeyDictionary[Transport, str] = WeakKeyDictionary()

    @staticmethod
    def make_names_data(name: str) -> Iterator[NameData]:
        """Give pyinfra the hosts of the inventory in the folder `name`."""
        try:
            hosts = prepared(name)
        except LookupError:
            raise NoConnectorError(
                f"@bramble/{name} is what bramble's inventory.py gives; name that file: "
                "pyinfra inventory.py deploys/node.py"
            ) from None
        # pyinfra writes into what it is given.
        yield from ((host, dict(data), list(groups)) for host, data, groups in hosts)

    def make_paramiko_kwargs(self) -> dict[str, Any]:
        """Return what paramiko connects with: pyinfra's, and the transport that begins with AES-GCM."""
        return {**super().make_paramiko_kwargs(), "transport_factory": _gcm_transport}

    def connect(self) -> None:
        """Connect within the inventory's time-out and HANDSHAKE_S; raise ConnectError otherwise."""
        ssh: Any = from_data(self.host.name, self.host.data.bramble, registry.sections())["ssh"]
        _ask_nobody_about_keys()
        done = attempt(lambda: self._connected(ssh))
        if isinstance(done, Problem):
            # What answers there may have said some of it.
            unreachable[self.host.name] = sentence(done.why)
            raise ConnectError(unreachable[self.host.name])

    def _connected(self, ssh: SshSettings) -> None:
        """Connect and watch the connection; raise ConnectError with what to do."""
        if ssh.key and (problem := key_problem(ssh.key)):
            raise ConnectError(f"ssh.key: {problem}")
        limit_s = ssh.connect_timeout_s + HANDSHAKE_S
        try:
            with gevent.Timeout(limit_s, Overdue(f"it took longer than {limit_s} s")):
                super().connect()
        except EXPECTED as error:
            raise ConnectError(why(self.host.name, ssh, error)) from error
        assert self.client is not None
        transport = self.client.get_transport()
        if transport is None:
            raise ConnectError("the connection was closed at once")
        # Behind a jump host the transport's "socket" is a channel, which has no such option.
        if isinstance(transport.sock, socket.socket):
            computer.end_when_unanswered(transport.sock, DEAD_AFTER_MS)
        gevent.spawn(self._watch, transport)

    def _watch(self, transport: Transport) -> None:
        """Close a connection whose peer answers nothing: a frozen node's kernel still acknowledges."""
        while transport.is_active():
            gevent.sleep(ALIVE_EVERY_S)
            asked_at_s = time.monotonic()
            asking = gevent.spawn(attempt, lambda: transport.global_request("keepalive@bramble"))
            while not asking.ready():
                asking.join(1)
                heard_at_s = max(asked_at_s, self._moved_at_s)
                if not asking.ready() and time.monotonic() - heard_at_s > SILENT_S:
                    self._lost[transport] = f"the node has answered nothing for {SILENT_S} s"
                    transport.close()

    def run_shell_command(
        self,
        command: StringCommand,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Any,
    ) -> tuple[bool, CommandOutput]:
        """Run a command, as pyinfra's own does, within `_timeout` seconds and without asking anybody.

        With `_silence` it may also print nothing for at most so many seconds. A command that is Bounded
        says both for itself where nothing else is said.
        """
        timeout_s, silence_s = arguments.pop("_timeout", None), arguments.pop("_silence", None)
        if isinstance(command, Bounded):
            timeout_s, silence_s = timeout_s or command.timeout_s, silence_s or command.silence_s
        stdin, pty = arguments.pop("_stdin", None), arguments.pop("_get_pty", False)
        codes = arguments.pop("_success_exit_codes", None) or (0,)
        unix_command = make_unix_command_for_host(self.state, self.host, command, **arguments)
        if print_input:
            echo(f"{self.host.print_prefix}>>> {unix_command}", err=True)
        transport = self.open_transport()
        try:
            with gevent.Timeout(SILENT_S, Overdue(f"it opened no channel within {SILENT_S} s")):
                channel = _begun(transport, unix_command.get_raw_value(), stdin, pty=pty)
            try:
                said = _Said(self.host.print_prefix if print_output else None)
                said.read(channel, timeout_s, silence_s)
                code = self._exit_code(transport, channel)
            finally:
                channel.close()
        except (EOFError, SSHException) as error:
            raise OSError(self._why(transport, error)) from error
        ok = code in codes
        # pyinfra prints what a failed command said, and takes facts from what others said.
        return ok, CommandOutput(said.lines if ok else said.shown())

    def begun(self, command: StringCommand, **arguments: Any) -> Channel:
        """Start a command, and return its channel, whose input stays open."""
        unix_command = make_unix_command_for_host(self.state, self.host, command, **arguments)
        with gevent.Timeout(SILENT_S, Overdue(f"it opened no channel within {SILENT_S} s")):
            channel = self.open_transport().open_session()
            channel.exec_command(unix_command.get_raw_value())
        return channel

    def open_transport(self) -> Transport:
        """Return the open connection; raise OSError where there is none any more."""
        transport = self.client.get_transport() if self.client is not None else None
        if transport is None or not transport.is_active():
            raise OSError(self._why(transport, None))
        return transport

    def _why(self, transport: Transport | None, error: Exception | None) -> str:
        """Return why a connection can no longer be used."""
        lost = self._lost.get(transport) if transport is not None else None
        return lost or str(error or "") or "the connection was closed"

    def _exit_code(self, transport: Transport, channel: Channel) -> int:
        """Return the command's exit code; raise OSError where the connection ended first."""
        with gevent.Timeout(SILENT_S, Overdue(f"it told no exit code within {SILENT_S} s")):
            code: int = channel.recv_exit_status()
        if code == -1 and not transport.is_active():
            raise OSError(self._why(transport, None))
        return code

    def _put_file(self, filename_or_io: Any, remote_location: str) -> None:
        """Send a file by SFTP; raise OSError once no byte has moved for SILENT_S."""
        with get_file_io(filename_or_io) as file:
            self._move(lambda sftp, moved: sftp.putfo(file, remote_location, callback=moved))

    def _get_file(self, remote_filename: str, filename_or_io: Any) -> None:
        """Fetch a file by SFTP; raise OSError once no byte has moved for SILENT_S."""
        with get_file_io(filename_or_io, "wb") as file:
            self._move(lambda sftp, moved: sftp.getfo(remote_filename, file, callback=moved))

    def _move(self, move: Callable[[Any, Callable[[int, int], None]], Any]) -> None:
        """Run a transfer that reports its progress, and abort it once it stalls."""
        self._moved_at_s = time.monotonic()

        def moved(_done: int, _size: int) -> None:
            self._moved_at_s = time.monotonic()

        transport = self.open_transport()
        moving = gevent.spawn(attempt, lambda: move(self.get_file_transfer_connection(), moved))
        while not moving.ready():
            still_s = time.monotonic() - self._moved_at_s
            if still_s >= SILENT_S:
                moving.kill(block=False)
                # pyinfra would replace a TimeoutError's message with an empty one.
                raise OSError(f"none of it moved for {SILENT_S} s")
            moving.join(SILENT_S - still_s)
        if isinstance(moving.value, Problem):
            raise OSError(self._lost.get(transport) or moving.value.why)


def _ask_nobody_about_keys() -> None:
    """Refuse an unknown jump host: pyinfra would prompt on the terminal, and block all hosts."""
    user_client.AskPolicy.missing_host_key = _refuse_key  # type: ignore[method-assign]


def _refuse_key(_policy: Any, _client: Any, hostname: str, _key: Any) -> None:
    raise SSHException(
        f"the jump host {hostname} is not in ~/.ssh/known_hosts; log in to it once with ssh, "
        "compare its fingerprint, and run again"
    )


def _begun(transport: Transport, command: str, stdin: Any, *, pty: bool) -> Channel:
    """Start a command in a channel, and give it its input."""
    channel = transport.open_session()
    if pty:
        channel.get_pty()
    channel.exec_command(command)
    # A command that ends without reading its input says why on its outputs.
    with suppress(OSError, EOFError):
        if stdin:
            channel.sendall(_text(stdin).encode())
        channel.shutdown_write()
    return channel


def _text(stdin: Any) -> str:
    """Return pyinfra's input (a file, a text or several) as one text of whole lines."""
    pieces = stdin.readlines() if hasattr(stdin, "readlines") else stdin
    several = pieces if isinstance(pieces, (list, tuple)) else [pieces]
    return "".join(piece if piece.endswith("\n") else f"{piece}\n" for piece in several)


class _Said:
    """What a command says on both of its outputs, line by line as it arrives."""

    def __init__(self, prefix: str | None) -> None:
        self.lines: list[OutputLine] = []
        self._prefix = prefix
        self._size = 0
        self._heard_at_s = time.monotonic()

    def read(self, channel: Channel, limit_s: float | None, silence_s: float | None) -> None:
        """Read until both outputs end, or one must not go on; TimeoutError after a limit."""
        began_s = self._heard_at_s
        left = readers = [
            gevent.spawn(attempt, lambda: self._listen("stdout", channel.recv)),
            gevent.spawn(attempt, lambda: self._listen("stderr", channel.recv_stderr)),
        ]
        try:
            while left and not _problem(readers):
                left_s = _left(began_s, limit_s, "it took longer than")
                last = f" after {self.lines[-1].line!r}" if self.lines else ""
                silent_s = _left(self._heard_at_s, silence_s, f"it said nothing{last} for")
                gevent.joinall(left, min(left_s, silent_s), count=1)
                left = [reader for reader in left if not reader.ready()]
        finally:
            gevent.killall(readers, block=False)
        if problem := _problem(readers):
            raise OSError(problem.why)

    def shown(self) -> list[OutputLine]:
        """Return the lines as they may be printed."""
        return [OutputLine(line.buffer_name, sanitize(line.line, "\t")) for line in self.lines]

    def _listen(self, name: str, receive: Callable[[int], bytes]) -> None:
        begun: list[bytes] = []
        while data := receive(2**16):
            self._heard_at_s = time.monotonic()
            self._size += len(data)
            if self._size > LARGEST_ANSWER:
                raise OSError(f"it printed more than {LARGEST_ANSWER >> 20} MiB")
            first, *others = data.split(b"\n")
            begun.append(first)
            for other in others:
                self._say(name, b"".join(begun))
                begun = [other]
        if rest := b"".join(begun):
            self._say(name, rest)

    def _say(self, name: str, line: bytes) -> None:
        text = line.decode("utf-8", "replace")
        self.lines.append(OutputLine(name, text))
        if len(self.lines) > MOST_LINES:
            raise OSError(f"it printed more than {MOST_LINES} lines")
        if self._prefix is not None and not text.startswith(outcome.PREFIX):
            shown = sentence(text)
            echo(
                f"{self._prefix}{format_text(shown, 'red') if name == 'stderr' else shown}",
                err=True,
            )


def _problem(readers: list[Any]) -> Problem | None:
    return next((each.value for each in readers if isinstance(each.value, Problem)), None)


def _left(since_s: float, limit_s: float | None, complaint: str) -> float:
    """Return the remaining seconds of a limit (at most a minute); raise TimeoutError when none are."""
    if limit_s is None:
        return 60
    left_s = since_s + limit_s - time.monotonic()
    if left_s <= 0:
        raise Overdue(f"{complaint} {limit_s:.0f} s")
    return min(left_s, 60)
