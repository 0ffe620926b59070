"""What this computer's system gives, and what is done where it does not: Linux (WSL too) or macOS.

Everything on a person's computer that Linux alone has is asked for here. What is left out elsewhere is
said in docs/how-to/install.md.
"""

from __future__ import annotations

import getpass
import os
import platform
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

_PIECE_BYTES = 1 << 20
_UNKNOWN_MEMORY_MIB = 4096


def is_linux() -> bool:
    """Tell whether programs for nodes can be compiled here, and the kernel's own files read."""
    return sys.platform == "linux"


def name() -> str:
    """Name the system and its processor, as a person would."""
    system = {"linux": "Linux", "darwin": "macOS"}.get(sys.platform, sys.platform)
    return f"{system} on {platform.machine()}"


def who() -> str:
    """Name the account and the computer that this runs on; a number where the account has no name."""
    try:
        account = getpass.getuser()
    except (KeyError, OSError):
        account = str(os.getuid())
    return f"{account}@{socket.gethostname()}"


def is_running(pid: int) -> bool:
    """Tell whether a process of this number runs here, whoever's it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def processor() -> str | None:
    """Return /proc/cpuinfo, None where there is none."""
    return Path("/proc/cpuinfo").read_text(encoding="utf-8") if is_linux() else None


def neighbours() -> str:
    """Return the table of neighbours on the network, with their hardware addresses; empty if unknown."""
    try:
        if is_linux():
            return Path("/proc/net/arp").read_text(encoding="utf-8")
        done = subprocess.run(
            ["arp", "-an"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def memory_mib() -> int:
    """Return this computer's memory, or a small one's where the system does not say."""
    if "SC_PHYS_PAGES" not in os.sysconf_names:
        return _UNKNOWN_MEMORY_MIB
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20


def ended(code: int) -> str:
    """Say how a child process ended, by its code as subprocess gives it."""
    if code >= 0:
        return f"ended with exit code {code}"
    named = {each.value: f" ({each.name})" for each in signal.Signals}
    return f"was ended by signal {-code}{named.get(-code, '')}"


def end_when_unanswered(connection: socket.socket, after_ms: int) -> bool:
    """Make the kernel end a connection whose peer acknowledges nothing; return False if it cannot.

    Then only requests over the connection itself can show that nobody answers.
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is None:
        return False
    connection.setsockopt(socket.IPPROTO_TCP, option, after_ms)
    return True


def send_file(connection: socket.socket, file: BinaryIO, start: int) -> None:
    """Send a file from `start` on: by Linux's kernel, elsewhere piece by piece."""
    if is_linux():
        connection.sendfile(file, start)
        return
    file.seek(start)
    while piece := file.read(_PIECE_BYTES):
        connection.sendall(piece)
