"""Private keys on this computer, of the types that paramiko knows."""

from __future__ import annotations

from pathlib import Path

import paramiko

_KINDS = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)
# With damaged ones paramiko runs into its own assertions, and past the ends of what it reads.
_NO_KEY = (paramiko.SSHException, ValueError, LookupError, AssertionError)


def load(path: Path) -> paramiko.PKey | None:
    """Load a private key; return None where the file is none.

    Raise PasswordRequiredException where it is encrypted. paramiko itself tries each type in turn and
    reports only the last one's error.
    """
    for kind in _KINDS:
        try:
            key = kind.from_private_key_file(str(path))
        except paramiko.PasswordRequiredException:
            raise
        except _NO_KEY:
            continue
        certificate = path.with_name(f"{path.name}-cert.pub")
        if certificate.is_file():
            key.load_certificate(str(certificate))
        return key
    return None


def first(paths: tuple[Path, ...]) -> paramiko.PKey | None:
    """Load the first key that exists and is not encrypted; return None where there is none."""
    for path in paths:
        if path.is_file():
            try:
                key = load(path)
            except paramiko.PasswordRequiredException:
                continue
            if key is not None:
                return key
    return None
