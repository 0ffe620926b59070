"""pyinfra's SSH connection with a bound on everything: no call waits for ever, and none asks a person.

The connections of pyinfra 3.10 have no bound where a channel is opened, a command is requested or a
file is sent, and they ask for passwords on the terminal, which stops all hosts. An entry point in
pyproject.toml makes this one known to pyinfra as `@bramble/FOLDER`, all hosts of that inventory.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import gevent
from paramiko import Channel, SSHException, Transport
from pyinfra.api import StringCommand
from pyinfra.api.exceptions import ConnectError, NoConnectorError
from pyinfra.api.output import echo
from pyinfra.api.util import get_file_io
from pyinfra.connectors.ssh import SSHConnector
from pyinfra.connectors.sshuserclient import client as user_client
from pyinfra.connectors.util import CommandOutput, make_unix_command_for_host

from bramble import computer, registry
from bramble.for_pyinfra import NameData, prepared
from bramble.inventory.load import from_data
from bramble.pyinfra import standing
from bramble.pyinfra.boundary import EXPECTED, Overdue, Problem, attempt
from bramble.pyinfra.output import Said
from bramble.pyinfra.sudo import Dialogue, Sudo
from bramble.sanitize import sentence
from bramble.settings import SILENCE_S, SshSettings
from bramble.ssh.problems import key_problem, why

ALIVE_EVERY_S = 5
"""How often a node is asked by SSH itself, which it may leave unanswered for `ssh.silence_s`."""
PART_OF_A_LOOK_S = 10
"""How much longer one part of a look may take."""
PARTS_OF_A_LOOK = 8
"""How many such silences a whole look may last: a slow board takes long for all parts, not for one."""

unreachable: dict[str, str] = {}
"""Why hosts could not be connected to, for the report: pyinfra keeps no record of it."""


def _gcm_transport(*args: Any, **kwargs: Any) -> Transport:
    """Return a transport that prefers AES-GCM: else paramiko authenticates each packet in Python."""
    transport = Transport(*args, **kwargs)
    options = transport.get_security_options()
    options.ciphers = sorted(options.ciphers, key=lambda name: "gcm" not in name)
    return transport


class LookCommand(StringCommand):
    """The command line of a look, which is bounded as one: pyinfra gives facts no bounds."""


class NodeConnector(SSHConnector):
    """A node over SSH: each call ends within its time, and fails with OSError or TimeoutError."""

    handles_execution = True

    _moved_at_s = 0.0
    """When a transfer last moved: a node that receives may be slow to answer anything else."""

    def __init__(self, state: Any, host: Any) -> None:
        super().__init__(state, host)
        self._lost: WeakKeyDictionary[Transport, str] = WeakKeyDictionary()
        self._silence_s = SILENCE_S
        self._sudo = Sudo(host)

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
        """Connect within the inventory's times; raise ConnectError otherwise."""
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
        self._silence_s = ssh.silence_s
        # Keys, login and channel take their time besides reaching the node.
        limit_s = ssh.connect_timeout_s + self._silence_s
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
            computer.end_when_unanswered(transport.sock, self._silence_s * 1000)
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
                if not asking.ready() and time.monotonic() - heard_at_s > self._silence_s:
                    told = f"the node has answered nothing for {self._silence_s} s"
                    self._lost[transport] = told
                    transport.close()

    def run_shell_command(
        self,
        command: StringCommand,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Any,
    ) -> tuple[bool, CommandOutput]:
        """Run a command, as pyinfra's own does, within `_timeout` seconds and without asking anybody.

        As a look (`_look`, or a command that is a LookCommand) it is bounded by the inventory's
        `ssh.silence_s`, as a whole and in what it leaves unsaid. With `_without_password` sudo gets
        none.
        """
        timeout_s, silence_s = arguments.pop("_timeout", None), None
        if arguments.pop("_look", False) or isinstance(command, LookCommand):
            timeout_s = PARTS_OF_A_LOOK * self._silence_s
            silence_s = self._silence_s + PART_OF_A_LOOK_S
        stdin, pty = _text(arguments.pop("_stdin", None)), arguments.pop("_get_pty", False)
        codes = arguments.pop("_success_exit_codes", None) or (0,)
        without = arguments.pop("_without_password", False)

        def ran(dialogue: Dialogue | None) -> tuple[int, Said]:
            line = self._line(command, arguments, dialogue)
            if print_input:
                echo(f"{self.host.print_prefix}>>> {line}", err=True)
            transport = self.open_transport()
            prefix = self.host.print_prefix if print_output else None
            said = Said(prefix, partial(standing.told, self.host.name))
            try:
                channel, early = self._begun(transport, line, stdin, pty=pty, dialogue=dialogue)
                try:
                    said.read(channel, timeout_s, silence_s, {"stdout" if pty else "stderr": early})
                    return self._exit_code(transport, channel), said
                finally:
                    channel.close()
            except (EOFError, SSHException) as error:
                raise OSError(self._why(transport, error)) from error

        dialogue = None if without else self._sudo.dialogue(command, arguments)
        code, said = ran(dialogue)
        if code and not dialogue and not without and self._sudo.asked(said.lines, arguments):
            dialogue = self._sudo.dialogue(command, arguments, must=True)
            code, said = ran(dialogue) if dialogue else (code, said)
        ok = code in codes
        # pyinfra prints what a failed command said, and takes facts from what others said.
        return ok, CommandOutput(said.lines if ok else said.shown())

    def begun(self, command: StringCommand, **arguments: Any) -> Channel:
        """Start a command, and return its channel, whose input stays open."""
        dialogue = self._sudo.dialogue(command, arguments)
        line = self._line(command, arguments, dialogue)
        channel, _ = self._begun(self.open_transport(), line, None, dialogue=dialogue)
        return channel

    def _line(
        self, command: StringCommand, arguments: Mapping[str, Any], dialogue: Dialogue | None
    ) -> StringCommand:
        """Return the shell's command line."""
        if dialogue:
            return dialogue.line
        # With a password pyinfra would put it there.
        others = {name: value for name, value in arguments.items() if name != "_sudo_password"}
        return make_unix_command_for_host(self.state, self.host, command, **others)

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

    def _begun(
        self,
        transport: Transport,
        line: StringCommand,
        stdin: str | None,
        *,
        pty: bool = False,
        dialogue: Dialogue | None = None,
    ) -> tuple[Channel, bytes]:
        """Start a command in a channel, and give it its input, which stays open where that is None.

        Return the channel, and what the command has said already.
        """
        early = b""
        with self._overdue("it opened no channel"):
            channel = transport.open_session()
            if pty:
                channel.get_pty()
            channel.exec_command(line.get_raw_value())
        try:
            if dialogue:
                early = dialogue.hold(channel, pty=pty)
            if stdin is not None:
                with self._overdue("it took no input"):
                    _feed(channel, stdin)
        except BaseException:
            channel.close()
            raise
        return channel, early

    def _overdue(self, what: str) -> gevent.Timeout:
        """Return the end of a wait for the node's SSH server."""
        return gevent.Timeout(self._silence_s, Overdue(f"{what} within {self._silence_s} s"))

    def _exit_code(self, transport: Transport, channel: Channel) -> int:
        """Return the command's exit code; raise OSError where the connection ended first."""
        with self._overdue("it told no exit code"):
            code: int = channel.recv_exit_status()
        if code == -1 and not transport.is_active():
            raise OSError(self._why(transport, None))
        return code

    def _put_file(self, filename_or_io: Any, remote_location: str) -> None:
        """Send a file by SFTP; raise OSError once no byte moves any more."""
        with get_file_io(filename_or_io) as file:
            self._move(lambda sftp, moved: sftp.putfo(file, remote_location, callback=moved))

    def _get_file(self, remote_filename: str, filename_or_io: Any) -> None:
        """Fetch a file by SFTP; raise OSError once no byte moves any more."""
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
            if still_s >= self._silence_s:
                moving.kill(block=False)
                # pyinfra would replace a TimeoutError's message with an empty one.
                raise OSError(f"none of it moved for {self._silence_s} s")
            moving.join(self._silence_s - still_s)
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


def _feed(channel: Channel, stdin: str) -> None:
    """Give a command its input; one that ends without reading it says why on its outputs."""
    try:
        channel.sendall(stdin.encode())
        channel.shutdown_write()
    except Overdue:
        raise
    except (OSError, EOFError):
        return


def _text(stdin: Any) -> str:
    """Return pyinfra's input (a file, a text or several) as one text of whole lines."""
    if not stdin:
        return ""
    pieces = stdin.readlines() if hasattr(stdin, "readlines") else stdin
    several = pieces if isinstance(pieces, (list, tuple)) else [pieces]
    return "".join(piece if piece.endswith("\n") else f"{piece}\n" for piece in several)
