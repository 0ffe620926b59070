"""Whether a TCP port answers, and with which first line."""

import socket


def answers(address: str, port: int, *, timeout_s: float = 1.0) -> bool:
    """Return whether something accepts a connection there."""
    try:
        with socket.create_connection((address, port), timeout=timeout_s):
            return True
    except OSError:
        return False


def ssh_banner(address: str, port: int = 22, *, timeout_s: float = 3.0) -> bool:
    """Return whether an ssh server greets there; an open port alone is not one yet."""
    try:
        with socket.create_connection((address, port), timeout=timeout_s) as connection:
            connection.settimeout(timeout_s)
            return connection.recv(16).startswith(b"SSH-")
    except OSError:
        return False
