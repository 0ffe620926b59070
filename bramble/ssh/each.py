"""One command on several hosts at once, each within its time: none waits for another."""

from __future__ import annotations

import queue
import shlex
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bramble.settings import SshSettings
from bramble.ssh.client import PROBLEMS, SshError, connect

UNREACHED, TIMED_OUT = 255, 124
"""Exit codes where a command has none: as ssh and timeout(1) give them."""

LARGEST = 1 << 20
"""Bytes of output of one host that are kept."""

AT_ONCE = 64
_KILL_AFTER_S, _PATIENCE_S = 5, 15
"""When the node kills a command that ignores its end, and how long that may take to be told."""


@dataclass(frozen=True)
class Said:
    """What a command did on one host; `problem` says why it has no exit code of its own."""

    host: str
    code: int
    output: str = ""
    problem: str = ""
    seconds: float = 0.0


def line_of(words: Sequence[str]) -> str:
    """Return a command as the node's shell reads it: one word is a line of it, several are words."""
    return words[0] if len(words) == 1 else shlex.join(words)


def on_each(hosts: Mapping[str, SshSettings], line: str, timeout_s: int) -> Iterator[Said]:
    """Yield what each host says, as it ends."""
    answers: queue.Queue[Said] = queue.Queue()
    turns = threading.BoundedSemaphore(AT_ONCE)

    def ask(host: str, ssh: SshSettings) -> None:
        with turns:
            answers.put(on_one(host, ssh, line, timeout_s))

    for host, ssh in hosts.items():
        threading.Thread(target=ask, args=(host, ssh), daemon=True).start()
    for _ in hosts:
        yield answers.get()


def on_one(host: str, ssh: SshSettings, line: str, timeout_s: int) -> Said:
    """Run the command on one host, which ends it after its time."""
    began_s = time.monotonic()
    try:
        with connect(host, ssh) as client:
            code, output, problem = _run(client, line, timeout_s)
    except SshError as error:
        code, output, problem = UNREACHED, "", str(error)
    except PROBLEMS as error:
        said = str(error) or type(error).__name__
        code, output, problem = UNREACHED, "", f"the connection failed: {said}"
    return Said(host, code, output, problem, round(time.monotonic() - began_s, 1))


def _run(client: Any, line: str, timeout_s: int) -> tuple[int, str, str]:
    """Return the command's exit code, what it said on both of its outputs, and what went wrong."""
    channel = client.get_transport().open_session(timeout=_PATIENCE_S)
    channel.set_combine_stderr(True)
    began_s = time.monotonic()
    until_s = began_s + timeout_s + _KILL_AFTER_S + _PATIENCE_S
    channel.settimeout(_PATIENCE_S)
    channel.exec_command(f"timeout -k {_KILL_AFTER_S} {timeout_s} sh -c {shlex.quote(line)}")
    channel.shutdown_write()
    pieces, size = [], 0
    try:
        while data := _received(channel, until_s):
            pieces.append(data)
            size += len(data)
            if size > LARGEST:
                text = b"".join(pieces)[:LARGEST].decode(errors="replace")
                return (
                    UNREACHED,
                    text,
                    f"it printed more than {LARGEST >> 20} MiB and was left alone",
                )
        channel.status_event.wait(max(until_s - time.monotonic(), 0))
    except TimeoutError:
        said = b"".join(pieces).decode(errors="replace")
        return TIMED_OUT, said, f"it did not end within {timeout_s} s, and nothing more was heard"
    code, text = channel.recv_exit_status(), b"".join(pieces).decode(errors="replace")
    # A command may have these codes of its own, when the kernel kills it for instance.
    if code in (TIMED_OUT, 128 + 9) and time.monotonic() - began_s >= timeout_s:
        return TIMED_OUT, text, f"it was ended after {timeout_s} s (--timeout)"
    return (
        (code, text, "") if code >= 0 else (UNREACHED, text, "the connection ended before it did")
    )


def _received(channel: Any, until_s: float) -> bytes:
    """Return the next bytes, none at the end; raise TimeoutError when the time is over."""
    left_s = until_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    channel.settimeout(left_s)
    data: bytes = channel.recv(1 << 16)
    return data
