"""What a project's inventory.py brings into its client: it counts what goes to the node, and ends there.

Each remote command and each file sent or fetched is a line of the file BRAMBLE_COMMANDS, by what it
does. BRAMBLE_KILL names the instant at which the client and all of its processes are killed:
"before 7", "after 7", or "amid 7", when the seventh was given to the node and has not ended; of a file
that is sent, "amid 7 0.25" is when a quarter of it was read.
"""

import os
import signal
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from bramble import remote
from bramble.pyinfra.connector import NodeConnector
from bramble.pyinfra.reboot import BOOT_ID

COMMANDS, KILL = "BRAMBLE_COMMANDS", "BRAMBLE_KILL"

_names: dict[str, str] = {}
"""What programs are called, by their whole text."""
_given: list[str] = []
"""The command that the client is to end in the middle of, once that has come."""


def arm():
    """Have every connection of this process counted, and end as the environment says."""
    if COMMANDS not in os.environ:
        return
    made, begun = remote.program, NodeConnector._begun
    ran, sent, fetched = (
        NodeConnector.run_shell_command,
        NodeConnector._put_file,
        NodeConnector._get_file,
    )

    def program(name, query):
        text = made(name, query)
        _names[text] = f"follow {_names[query['program']]}" if name == "follow" else name
        return text

    def begin(*args, **kwargs):
        channel = begun(*args, **kwargs)
        if _given:
            end()
        return channel

    def run_shell_command(self, command, *args, **kwargs):
        with _counted(_name(command, kwargs.get("_stdin"))) as amid:
            _given.extend([amid] if amid else [])
            return ran(self, command, *args, **kwargs)

    def put_file(self, filename_or_io, remote_location):
        with _counted(f"send {remote_location}") as amid:
            return sent(
                self, _Read(filename_or_io, amid) if amid else filename_or_io, remote_location
            )

    def get_file(self, remote_filename, filename_or_io):
        with _counted(f"fetch {remote_filename}"):
            return fetched(self, remote_filename, filename_or_io)

    remote.program = program
    NodeConnector._begun = begin
    NodeConnector.run_shell_command = run_shell_command
    NodeConnector._put_file = put_file
    NodeConnector._get_file = get_file


def _name(command, stdin):
    """Return what a command does: the program that it is given, or itself."""
    if stdin is None:
        return command.get_raw_value() if hasattr(command, "get_raw_value") else str(command)
    return _names.get(stdin.getvalue(), "a program")


@contextmanager
def _counted(name):
    """Count a command, and end before or after it; give the share of a file at which to end."""
    number, is_new = _noted(Path(os.environ[COMMANDS]), name)
    when, at, share = (*os.environ.get(KILL, "").split(), "", "", "")[:3]
    is_meant = is_new and at == str(number)
    if is_meant and when == "before":
        end()
    try:
        yield (share or "0.5") if is_meant and when == "amid" else None
    finally:
        if is_meant and when == "after":
            end()


def _noted(file, name):
    """Write a command down; return its number, and whether it has one of its own.

    How often a node is asked whether it is up again hangs on time: that counts once.
    """
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    if lines and lines[-1] == name == BOOT_ID:
        return len(lines), False
    with file.open("a", encoding="utf-8") as text:
        text.write(f"{name}\n")
    return len(lines) + 1, True


def end():
    """Kill this client: its whole group of processes, of which a test made it the leader."""
    os.killpg(os.getpgrp(), signal.SIGKILL)


class _Read:
    """A file that is read up to a share of it, which is where the client ends."""

    def __init__(self, path, share):
        content = Path(path).read_bytes()
        self._file = BytesIO(content[: int(len(content) * float(share))])

    def read(self, size):
        data = self._file.read(size)
        if not data:
            end()
        return data

    def seek(self, place):
        return self._file.seek(place)
